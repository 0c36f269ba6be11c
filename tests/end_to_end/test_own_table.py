"""Somebody's own table, from the file to answers in a process that has nothing of ours."""

import csv
import json
import math

import numpy as np
import pytest

from tests.conftest import run_python
from trainers.serving import compare

pytestmark = pytest.mark.slow


def write(path, header, rows) -> None:
    """As a spreadsheet writes it: with a mark, and CRLF between the rows."""
    with open(path, "w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, lineterminator="\r\n").writerows([header, *rows])


def train(folder, table: str, target: str, *flags: str) -> dict:
    command = ("--model=mlp", "--pipeline=csv", f"--data_files={table}", f"--target={target}")
    run_python("-m", "trainers.run", *command, "--workdir=run", *flags, cwd=folder)
    return json.loads((folder / "run" / "report.json").read_text())


def ask(folder, report, raw: dict) -> dict:
    """The export's answers to raw columns, where neither our packages nor keras can be imported."""
    texts = {name: c.astype(object) for name, c in raw.items() if c.dtype.kind == "S"}
    exported = folder / "run" / report["export"]
    answers = compare.run_in_new_process(exported, {"serving_default": {**raw, **texts}})
    return answers["serving_default"]


def churned(random, number: int):
    """Columns as a client has them, and a rule that no linear model finds."""
    months = random.integers(1, 60, number).astype(np.float32)
    plan = random.choice(np.array([b"basic", b"plus", "größe".encode(), b""]), number)
    calls = random.normal(5, 2, number).astype(np.float32)
    young = (months < 24) ^ (plan == b"plus") ^ (calls > 5)
    months[random.random(number) < 0.05] = np.nan
    return {"months": months, "plan": plan, "calls_per_week": calls}, young


def test_table_with_missing_values_and_categories_becomes_a_served_model(tmp_path):
    random = np.random.default_rng(0)
    raw, young = churned(random, 6000)
    rows = [
        [f"u{i}", "NA" if math.isnan(m) else f"{m:g}", p.decode(), c, "left" if y else "stayed"]
        for i, (m, p, c, y) in enumerate(zip(*raw.values(), young, strict=True))
    ]
    write(tmp_path / "t.csv", ["user", "months", "plan", "calls per week", "state"], rows)
    report = train(tmp_path, "t.csv", "state", "--epochs=40")
    majority = max(young.mean(), 1 - young.mean())
    assert majority < 0.6
    assert report["test"]["accuracy"] > 0.93  # 5 % of the rows lack what the rule needs

    raw, young = churned(random, 2000)
    found = ask(tmp_path, report, raw)
    expected = np.where(young, b"left", b"stayed")
    assert (found["class_name"] == expected).mean() > 0.93
    # The answers do not depend on how a missing cell is written, or on space around texts.
    for missing in (b"NULL", b" n/a "):
        other = np.where(raw["plan"] == b"", missing, raw["plan"])
        again = ask(tmp_path, report, {**raw, "plan": other})
        np.testing.assert_array_equal(again["probability"], found["probability"])


def priced(random, number: int):
    area = random.uniform(20, 200, number).astype(np.float32)
    town = random.choice(np.array([b"Ulm", b"Bonn", b"K\xc3\xb6ln"]), number)
    day = np.array([b"20%02d-%02d-01" % (y, m) for y, m in random.integers(1, 13, (number, 2))])
    factor = np.select([town == b"Ulm", town == b"Bonn"], [1.0, 1.5], 3.0)
    year = np.array([int(text[:4]) for text in day])
    return {"area": area, "town": town, "sold": day}, 3000 * area * factor + 20_000 * (year - 2000)


def test_regression_is_served_in_the_units_of_the_target(tmp_path):
    random = np.random.default_rng(0)
    raw, price = priced(random, 4000)
    rows = [
        [a, t.decode(), s.decode(), f"{p:.0f}"]
        for a, t, s, p in zip(*raw.values(), price, strict=True)
    ]
    write(tmp_path / "t.csv", ["area", "town", "sold", "price"], rows)
    report = train(tmp_path, "t.csv", "price", "--epochs=40")
    assert report["test"]["r2"] > 0.99
    raw, price = priced(random, 1000)
    value = ask(tmp_path, report, raw)["value"]
    assert np.abs(value - price).mean() < 0.1 * price.std()
    assert 0.97 < value.mean() / price.mean() < 1.03
