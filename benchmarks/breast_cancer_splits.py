"""mlp_binary compared with logistic regression on ten stratified splits of breast_cancer.

    python benchmarks/breast_cancer_splits.py [--splits=10] [-- any flags of trainers.run]

Each split is a run in its own process, as a user starts it. Logistic regression gets the same rows
and the same standardised columns. Prints a line per split, then means and standard deviations.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from absl import app, flags
from sklearn.linear_model import LogisticRegression

import pipelines
from pipelines.core.prepared import prepare
from pipelines.storage import tfds

_SPLITS = flags.DEFINE_integer("splits", 10, "Seeded splits.")


def _network(split_seed: int, folder: str, extra: list[str]) -> dict:
    command = [sys.executable, "-m", "trainers.run", "--model=mlp_binary", f"--workdir={folder}"]
    command += [f"--pipeline_options=split_seed={split_seed}", f"--seed={split_seed}", *extra]
    subprocess.run(command, check=True, capture_output=True)
    return json.loads(pathlib.Path(folder, "report.json").read_text(encoding="utf-8"))


def _logistic_regression(split_seed: int) -> dict[str, float]:
    pipeline, rows, schema = tfds.load(pipelines.get("breast_cancer", split_seed=split_seed))
    prepared = prepare(pipeline, schema, rows)
    columns, target = {}, {}
    for split, part in prepared.rows.items():
        raw = {name: part.table[name] for name in prepared.raw}
        columns[split] = prepared.preprocess(raw)["features"].numpy()
        target[split] = part.table[part.target]
    model = LogisticRegression(max_iter=1000).fit(columns["train"], target["train"])
    return {s: float(model.score(columns[s], target[s])) for s in ("validation", "test")}


def main(argv: list[str]) -> None:
    results = []
    for split_seed in range(_SPLITS.value):
        with tempfile.TemporaryDirectory() as folder:
            network = _network(split_seed, str(pathlib.Path(folder, "run")), argv[1:])
        linear = _logistic_regression(split_seed)
        line = [linear["validation"], network["validation"]["accuracy"]]
        line += [linear["test"], network["test"]["accuracy"]]
        results.append(line)
        print(split_seed, *(f"{value:.4f}" for value in line), flush=True)
    names = ["validation: linear", "validation: mlp", "test: linear", "test: mlp"]
    for name, values in zip(names, np.transpose(results), strict=True):
        print(f"{name:20} {values.mean():.4f} +- {values.std(ddof=1):.4f}")


if __name__ == "__main__":
    app.run(main)
