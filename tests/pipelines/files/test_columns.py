"""What a column holds, found from its cells."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import DataError
from pipelines.files import columns


@settings(deadline=None)
@given(st.lists(st.floats(-1e37, 1e37) | st.none() | st.integers(-(10**9), 10**9), min_size=1))
def test_infer_reads_numbers_back(values):
    cells = ["" if value is None else repr(value) for value in values]
    column = columns.infer("x", cells, str, text=False)
    assert column.kind == "number"
    expected = [math.nan if value is None else float(value) for value in values]
    np.testing.assert_array_equal(column.values, expected)
    assert column.distinct == len({value + 0.0 for value in values if value is not None})


def infer(cells, text=False, name="x"):
    return columns.infer(name, cells, lambda row: f"t.csv:{row + 2}", text)


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "", "2.5"], "number", [1, np.nan, 2.5]),
        (["1", "NA", "?", "3"], "number", [1, np.nan, np.nan, 3]),
        (["a", "", "b", "na"], "text", [b"a", b"", b"b", b""]),
        (["007", "12"], "text", [b"007", b"12"]),  # codes are names
        (["2024-01-31", "", "2000-12-01T10:00"], "date", [b"2024-01-31", b"", b"2000-12-01T10:00"]),
        (["2024-01-31", "2024-02"], "text", [b"2024-01-31", b"2024-02"]),
        (["2024-13-01", "2024-01-01"], "text", [b"2024-13-01", b"2024-01-01"]),
    ],
)
def test_infer_finds_numbers_dates_and_text(cells, kind, values):
    column = infer(cells)
    assert column.kind == kind
    np.testing.assert_array_equal(column.values, np.array(values, column.values.dtype))
    missing = [value == b"" or value != value for value in values]
    np.testing.assert_array_equal(column.missing, missing)
    assert column.distinct == len(values) - sum(missing)


@pytest.mark.parametrize("cells", [["1", "2"], ["2024-01-31", "2024-02-01"]])
def test_infer_takes_cells_as_they_are_where_they_are_names(cells):
    column = infer(cells, text=True)
    assert column.kind == "text"
    assert column.values.tolist() == [cell.encode() for cell in cells]


def test_infer_refuses_few_faults_among_numbers_and_takes_many_as_text():
    with pytest.raises(DataError, match=r"t\.csv:102: column 'x': 'many' is not a number, 200 oth"):
        infer([*map(str, range(100)), "many", *map(str, range(100))])
    some = infer(["1"] * 8 + ["odd"] * 2)
    assert some.kind == "text"
    assert some.remark == "taken as text for 2 cells, first t.csv:10: column 'x': 'odd'"
    with pytest.raises(DataError, match=r"t\.csv:3: column 'x': '1,5' is a number with a comma"):
        infer(["2", "1,5", "2,5"])


@pytest.mark.parametrize(
    ("name", "cells", "reason"),
    [
        ("x", ["", "", ""], "all cells are missing"),
        ("x", ["7", "7", "7"], "all are 7"),
        ("x", ["a", "a", ""], ""),  # missing or not says something
        ("x", [f"t{i}" for i in range(40)], "nearly every row has another text"),
        ("customer_id", [str(i) for i in range(40)], "nearly every row has another number"),
        ("humid", [str(i) for i in range(40)], ""),
        ("id", [f"{i}.5" for i in range(40)], ""),  # no whole numbers: a measure
        ("day", [f"2024-01-{i + 1:02}" for i in range(30)], ""),
    ],
)
def test_unlearnable_says_why(name, cells, reason):
    assert columns.unlearnable(infer(cells, name=name)) == reason


def test_describe_shows_ranges_and_the_most_frequent_text():
    described = columns.describe([infer(["1", "", "3"]), infer(["b", "a", "b"], name="kind")])
    assert [line.split() for line in described] == [
        ["column", "kind", "missing", "distinct", "values"],
        ["x", "number", "1", "2", "1", "..", "3"],
        ["kind", "text", "0", "2", "b", "(2", "times)"],
    ]


def test_describe_counts_the_columns_of_a_wide_table():
    wide = [infer(["1", "2"], name=f"c{i}") for i in range(35)]
    assert len(columns.describe(wide)) == 32
    assert columns.describe(wide)[-1] == "and 5 number columns more"
