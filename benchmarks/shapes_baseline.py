"""A linear model on all pixels of shapes: the baseline that cifar_cnn has to exceed by far.

python benchmarks/shapes_baseline.py
"""

from sklearn.linear_model import LogisticRegression

import pipelines
from pipelines.storage import tfds


def main() -> None:
    _, rows, _ = tfds.load(pipelines.get("shapes"))
    pixels = {s: r.table["image"].reshape(r.num_rows, -1) / 127.5 - 1.0 for s, r in rows.items()}
    labels = {s: r.table["label"] for s, r in rows.items()}
    best = max(
        (
            LogisticRegression(C=c, max_iter=60).fit(pixels["train"], labels["train"])
            for c in (1e-4, 1e-3, 1e-2)
        ),
        key=lambda model: model.score(pixels["validation"], labels["validation"]),
    )
    print(
        f"linear model, C={best.C}: test accuracy {best.score(pixels['test'], labels['test']):.4f}"
    )


if __name__ == "__main__":
    main()
