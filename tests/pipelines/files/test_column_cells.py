"""The cells of a column are the same whether pyarrow holds them or Python does."""

import math

import numpy as np
import pyarrow
import pytest

from pipelines.files import column_cells, columns
from pipelines.files.column_cells import Cells

TEXTS = ["b", "a", "", "b", "größe", "a", "b"]


def arrow(cells, rows_a_chunk=3):
    parts = [cells[i : i + rows_a_chunk] for i in range(0, len(cells), rows_a_chunk)]
    return Cells(pyarrow.chunked_array([pyarrow.array(part, pyarrow.string()) for part in parts]))


@pytest.mark.parametrize("made", [arrow, column_cells.of])
def test_cells_are_coded_in_the_order_in_which_they_first_occur(made):
    cells = made(TEXTS)
    assert len(cells) == 7
    assert list(cells.coded.distinct) == ["b", "a", "", "größe"]
    assert cells.coded.codes.tolist() == [0, 1, 2, 0, 3, 1, 0]
    assert list(cells.counts.items()) == [("b", 3), ("a", 2), ("", 1), ("größe", 1)]
    assert (cells[4], cells.row("größe"), cells.head(2)) == ("größe", 4, ["b", "a"])
    assert cells.each(np.array([5, 6, 7, 8])).tolist() == [5, 6, 7, 5, 8, 6, 5]
    assert cells.numbers is None


@pytest.mark.parametrize("made", [arrow, column_cells.of])
@pytest.mark.parametrize(
    "cell",
    ["1", "-0", "0.1", "-.5", "5.", "1e5", "1E-7", "+1", "+.25", "3e+2", "0.30000000000000004"],
)
def test_numbers_of_plain_cells_are_those_of_python(cell, made):
    for cells in (["7", cell, ""], ["", cell], [cell]):
        expected = [float(c or "nan") for c in cells]
        found = made(cells).numbers
        assert found.dtype == np.float64
        assert found.tobytes() == np.array(expected).tobytes()


@pytest.mark.parametrize("made", [arrow, column_cells.of])
@pytest.mark.parametrize(
    "cell",
    [
        *("007", "-01", "00", "+00.5", "1e", "-", ".", "1-2", "1.2.3", "nan", "1,5", " 1", "1_0"),
        *("1e38", "1e400", "0x1", "\u0661"),
    ],
)
def test_numbers_are_none_where_a_cell_is_no_plain_number(cell, made):
    for cells in (["7", "8", "9", cell], [cell, "7"], [cell]):
        assert made(cells).numbers is None


def test_joined_rows_of_several_files():
    other = ["a", "new", ""]
    for parts in ((arrow(TEXTS), arrow(other)), (arrow(TEXTS), column_cells.of(other))):
        cells = column_cells.joined(parts)
        assert cells.head(10) == TEXTS + other
        assert list(cells.coded.distinct) == ["b", "a", "", "größe", "new"]


def test_rows_are_the_same_bytes_however_they_are_held(monkeypatch):
    monkeypatch.setattr(column_cells, "_BLOCK_SIZE", 2)
    numbers = [str(i) for i in range(7)]
    expected = [f"{a}\0{b}".encode() for a, b in zip(TEXTS, numbers, strict=True)]
    for first in (arrow(TEXTS), column_cells.of(TEXTS)):
        for second in (arrow(numbers, 2), column_cells.of(numbers)):
            assert list(column_cells.rows([first, second])) == expected
    assert list(column_cells.rows([arrow(TEXTS)])) == [text.encode() for text in TEXTS]


def test_numbers_never_become_python_strings(monkeypatch):
    """One object a cell took four times the time and twice the memory of the rest of reading."""
    refuse = property(lambda _: pytest.fail("every different cell became a string"))
    monkeypatch.setattr(Cells, "coded", refuse)
    column = columns.infer("x", arrow(["0.5", "", "-7", "2e3"]), str)
    assert column.kind == "number"
    assert (column.distinct, column.spelled) == (3, {"": 1})
    assert [v for v in column.values.tolist() if not math.isnan(v)] == [0.5, -7, 2000]


@pytest.mark.parametrize("cells", [TEXTS, ["1,5", "2,5", "1,5"], ["2024-01-31", "", "2024-02-01"]])
def test_equal_cells_are_one_object(cells):
    column = columns.infer("x", arrow(cells * 3), str)
    assert len(set(map(id, column.sent.tolist()))) == len(set(cells))
