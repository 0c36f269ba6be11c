"""The cells of several files as one table."""

import pytest

from pipelines import DataError
from pipelines.files import table_cells


def test_cells_of_files_are_joined_by_their_columns_names(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,one\n2,two\n")
    (tmp_path / "b.csv").write_text("y,x\nthree,3\n")
    named = f"train={tmp_path / 'a.csv'},test={tmp_path / 'b.csv'}"
    paths = table_cells.paths(named)
    cells = table_cells.read(paths, "")
    assert cells.names == ("x", "y")
    assert cells.split_of == ["train", "train", "test"]
    assert list(cells.separate) == ["test"]
    assert [cells.where(row).rpartition("/")[2] for row in range(3)] == [
        "a.csv:2",
        "a.csv:3",
        "b.csv:2",
    ]
    assert [list(column) for column in cells.columns] == [
        ["1", "2", "3"],
        ["one", "two", "three"],
    ]


def test_files_of_other_columns_and_single_columns_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("x,z\n1,2\n")
    (tmp_path / "c.csv").write_text("x\n1\n")
    both = [("train", str(tmp_path / "a.csv")), ("train", str(tmp_path / "b.csv"))]
    with pytest.raises(DataError, match=r"b\.csv has other columns than .*a.csv: y, z"):
        table_cells.read(both, "")
    with pytest.raises(DataError, match="only one column, 'x'"):
        table_cells.read([("train", str(tmp_path / "c.csv"))], "")
