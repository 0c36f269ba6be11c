"""The first lines of a table: titles, a told delimiter, quotes, and no header at all."""

import pytest

from pipelines import DataError
from pipelines.files import table_file, table_head

ROWS = [f"{20 + i},{('red', 'blue')[i % 2]},{i % 3}" for i in range(12)]
NAMES = ("age", "colour", "bought")


def opened(tmp_path, *lines: str):
    """The table in a file of these lines, and its rows."""
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    table = table_file.open_table(str(path))
    return table, list(table_file.rows(table))


def all_as(change) -> list[str]:
    return [change(line) for line in ("age,colour,bought", *ROWS)]


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (["sep=;", *all_as(lambda line: line.replace(",", ";"))], 2),
        (["sep=,", *all_as(str)], 2),
        (["SEP=|", *all_as(lambda line: line.replace(",", "|"))], 2),
        (all_as(lambda line: line.replace(",", "|")), 1),
        (all_as(lambda line: line + ","), 1),
        (all_as(lambda line: line + ",,,"), 1),
        (["age,colour,bought", *(line + "," for line in ROWS)], 1),
        (all_as(lambda line: ", ".join(f'"{cell}"' for cell in line.split(","))), 1),
        (["age,colour,bought", *("{},'{}',{}".format(*x.split(",")) for x in ROWS)], 1),
        (all_as(lambda line: ",".join(f"'{cell}'" for cell in line.split(","))), 1),
        (["Sales by age", "", *all_as(str)], 3),
        (["Sales by age,,", "made in 2020,,", *all_as(str)], 3),
    ],
)
def test_open_table_finds_the_header_and_cells(lines, line, tmp_path):
    table, rows = opened(tmp_path, *lines)
    assert (table.names, table.start) == (NAMES, line)
    assert rows == [(line + 1 + i, row.split(",")) for i, row in enumerate(ROWS)]


def test_open_table_keeps_apostrophes_that_are_no_quotes(tmp_path):
    _, rows = opened(tmp_path, "a,b", "1,'tis", "2,o'clock", "3,'x'")
    assert [cells[1] for _, cells in rows] == ["'tis", "o'clock", "'x'"]


@pytest.mark.parametrize(
    "lines",
    [
        ROWS,
        ["5.4,3.99,x", *(f"{i}.{i},{i},{'xy'[i % 2]}" for i in range(9))],
        ["0,0,1", *(f"{i},{i % 2},{i % 3}" for i in range(9))],
        ["red,small", *(f"{('red', 'blue')[i % 2]},{('small', 'big')[i % 2]}" for i in range(9))],
        ["5.1;3.5;a", *(f"{i}.5;{i};a" for i in range(9))],
        ["NA,3,x", *(f"{i},{i},{'xy'[i % 2]}" for i in range(9))],
    ],
)
def test_open_table_refuses_a_table_without_a_header(lines, tmp_path):
    with pytest.raises(DataError, match=r"t\.csv:1: the first line is a row .*write them above it"):
        opened(tmp_path, *lines)


@pytest.mark.parametrize(
    "names",
    [
        "0,1,2",  # as pandas numbers columns without names
        "2019,2021,2020",
        "x,1,2",
        "a,b,3.5",
    ],
)
def test_open_table_takes_names_that_are_numbers(names, tmp_path):
    table, _ = opened(tmp_path, names, *(f"{i}.5,{7 * i},{i % 3}" for i in range(9)))
    assert table.names == tuple(names.split(","))


def test_rows_say_what_may_be_wrong_with_a_line(tmp_path):
    with pytest.raises(DataError, match=r":5: 4 cells, the header has 3 columns: does '5' belong"):
        opened(tmp_path, "age,colour,bought", *ROWS[:3], "20,red,1,5", *ROWS)
    with pytest.raises(DataError, match=r":5: 1 cells, the header has 3 columns: is the line cut"):
        opened(tmp_path, "age,colour,bought", *ROWS[:3], "total", *ROWS)


def test_single_quotes_of_one_row_are_told_by_the_names():
    row = [("'blue'", "1")]
    assert table_head.has_single_quotes(("'colour'", "'size'"), row)
    assert not table_head.has_single_quotes(("colour", "size"), row)
    assert table_head.has_single_quotes(("colour", "size"), row * 2)
