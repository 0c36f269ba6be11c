"""A table whose columns are called by the words that the program itself uses."""

import ast
import pathlib
import re

import numpy as np
import pytest

import pipelines
import trainers
import zoo
from pipelines.files.table_file import field_name
from tests.pipelines.tables import write
from trainers.config import settings
from trainers.store.finished import finished
from trainers.training import run

# What fields, inputs, outputs and parts of stored rows are called, and words of Python.
COMMON = (
    *("image", "text", "target", "row", "features", "outputs", "weight", "weights", "tokens"),
    *("index", "label", "class", "logits", "inputs", "fields", "numbers", "categories", "ranks"),
    *("missing", "column", "name", "self", "kwargs", "training", "key", "input", "instances"),
)


def words_of_the_code() -> list[str]:
    """Every string in the packages that could name a column."""
    words = set()
    for package in (pipelines, trainers, zoo):
        for path in pathlib.Path(package.__file__).parent.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    words |= set(re.findall(r"\A[A-Za-z_]+\Z", node.value))
    return sorted(words)


def trained(tmp_path, words, target: str, **changes) -> dict:
    """The report of a run on columns of these names, two thirds of them numbers."""
    names = {field_name(word).lower(): word for word in words}
    names.pop(field_name(target).lower(), None)
    random, rows = np.random.default_rng(0), [[*names.values(), target]]
    for i in range(120):
        numbers = random.normal(2 * (i % 2), 1, len(names))
        cells = [f"{x:.2f}" if j % 3 else "uv"[int(x > 1)] for j, x in enumerate(numbers)]
        rows.append([*cells, ("no", "yes")[i % 2]])
    given = {"pipeline": "csv", "data_files": write(tmp_path / "t.csv", rows), "target": target}
    given |= {"epochs": 2, "batch_size": 8, "workdir": str(tmp_path / "run")}
    report = run.run(settings.resolve("mlp", given | {"report_baseline": False} | changes))
    fields = finished(tmp_path / "run").prepared.raw
    kinds = [fields[field_name(name)].dtype for name in names.values()]
    assert kinds == ["float32" if j % 3 else "string" for j in range(len(names))]
    return report


@pytest.mark.usefixtures("_unchecked_export")
def test_run_takes_columns_called_as_its_own_fields(tmp_path):
    assert trained(tmp_path, COMMON, "features")["test"]["accuracy"] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("target", ["features", "target", "image"])
def test_run_takes_columns_called_by_every_word_of_the_code(target, tmp_path):
    words = words_of_the_code()
    assert {"image", "features", "row"} <= set(words)
    assert trained(tmp_path, words, target)["test"]["accuracy"] > 0.9
