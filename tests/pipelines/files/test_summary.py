"""Which columns are left out, and the table that is printed."""

import pytest

from pipelines.files import summary
from tests.pipelines.files.test_columns import infer


@pytest.mark.parametrize(
    ("name", "cells", "reason"),
    [
        ("x", ["", "", ""], "all cells are missing"),
        ("x", ["7", "7", "7"], "all are 7"),
        ("x", ["a", "a", ""], ""),  # missing or not says something
        ("x", [f"t{i}" for i in range(40)], "nearly every row has another text"),
        ("customer_id", [str(7 * i) for i in range(40)], "nearly every row has another number"),
        ("Unnamed: 0", [str(7 * i) for i in range(40)], "nearly every row has another number"),
        ("humid", [str(i * i) for i in range(40)], ""),
        ("", [str(i) for i in range(40)], "nearly every row has another number"),
        ("id", [f"{i}.5" for i in range(40)], ""),  # no whole numbers: a measure
        ("day", [f"2024-01-{i + 1:02}" for i in range(30)], ""),
    ],
)
def test_unlearnable_says_why(name, cells, reason):
    assert summary.unlearnable(infer(cells, name=name)) == reason


def test_describe_shows_ranges_and_the_most_frequent_text():
    described = summary.describe([infer(["1", "", "3"]), infer(["b", "a", "b"], name="kind")])
    assert [line.split() for line in described] == [
        ["column", "kind", "missing", "distinct", "values"],
        ["x", "number", "1", "2", "1", "..", "3"],
        ["kind", "text", "0", "2", "b", "(2", "times)"],
    ]


def test_describe_counts_the_columns_of_a_wide_table():
    wide = [infer(["1", "2"], name=f"c{i}") for i in range(35)]
    assert len(summary.describe(wide)) == 32
    assert summary.describe(wide)[-1] == "and 5 number columns more"


@pytest.mark.parametrize(
    ("name", "cells", "reason"),
    [
        ("rownames", range(1, 41), "it counts the rows; keep=rownames uses it"),
        ("RowNumber", [i % 30 for i in range(40)], "it counts the rows; keep=RowNumber uses it"),
        ("", range(40), "it counts the rows"),
        ("year", range(40), None),  # measured, though it counts
        ("hr", [i % 24 for i in range(400)], None),
        ("n", range(39, -1, -1), None),
        ("n", range(5, 45), None),  # from 5 on
        ("n", range(0, 80, 2), None),
    ],
)
def test_row_numbers_count_the_rows_from_their_first_on(name, cells, reason):
    counting, other = infer([str(i) for i in cells], name=name), infer(["1", "2"], name="other")
    assert summary.row_numbers([counting, other]) == ({} if reason is None else {name: reason})
    assert summary.row_numbers([counting, other], kept=[name]) == {}
    assert summary.row_numbers([counting]) == {}  # nothing else is left to learn from
