"""Tables as CSV or as JSON lines, read alike."""

import json

import numpy as np
import pytest

from pipelines import DataError
from pipelines.files import any_table
from pipelines.files.table import Chosen

ROWS = [("a.png", 1.5, "x"), ("b.png", 2.0, "y"), ("c.png", None, "x")]


@pytest.fixture
def files(tmp_path) -> dict[str, str]:
    paths = {kind: str(tmp_path / f"t.{kind}") for kind in ("csv", "jsonl")}
    with open(paths["csv"], "w") as file:
        file.write("file,size,kind\n")
        file.writelines(f"{a},{'' if b is None else b},{c}\n" for a, b, c in ROWS)
    with open(paths["jsonl"], "w") as file:
        for row in ROWS:
            file.write(json.dumps(dict(zip(("file", "size", "kind"), row, strict=True))) + "\n")
    return paths


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_read_gives_the_same_cells_and_target_of_both(kind, files):
    cells, nested = any_table.read(files[kind], "")
    assert (cells.names, dict(nested)) == (("file", "size", "kind"), {})
    column_options = any_table.parse_options(cells, ["size"], "", "", "")
    [column] = any_table.predicted(cells, column_options, Chosen("size"), np.array([2, 0]))
    np.testing.assert_array_equal(column.values, [np.nan, 1.5])


def test_read_refuses_files_of_both_kinds(files):
    with pytest.raises(DataError, match=r"t\.jsonl has JSON on each line, .*t\.csv has not"):
        any_table.read(f"{files['csv']},{files['jsonl']}", "")
