"""Plain tables are read as the reader of all tables reads them, or left to it."""

import numpy as np
import pytest

from pipelines import DataError
from pipelines.files import plain_table, table_file
from tests.pipelines.tables import load_csv


@pytest.fixture(autouse=True)
def _any_size(monkeypatch):
    monkeypatch.setattr(plain_table, "_SMALLEST", 0)


def both(tmp_path, content: bytes):
    """The columns of each of the two readers."""
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    table = table_file.open_table(str(path))
    rows = list(table_file.rows(table))
    expected = [list(column) for column in zip(*(cells for _, cells in rows), strict=True)]
    found = plain_table.columns(table)
    found = None if found is None else [column.head(len(column)) for column in found]
    return found, expected, [line for line, _ in rows]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_columns_are_those_of_the_other_reader(delimiter, end, tmp_path):
    draw = np.random.default_rng(0)
    cells = ["", " ", "1", "-2.50", "NA", "null", "größe", "\u00a0x", " a b ", "x'y", "\x0b7", "猫"]
    rows = [delimiter.join(draw.choice(cells, 3)) for _ in range(200)]
    content = end.join([delimiter.join(("a", "größe", "c")), *rows])
    for last in ("", end):
        found, expected, lines = both(tmp_path, (content + last).encode())
        assert found == expected
        assert lines == list(range(2, 202))


def test_columns_may_have_quotes_around_them(tmp_path):
    content = b'"a","b,c",d\n1,"x, y",2\n"2","",\n3," z ","5"\n'
    found, expected, _ = both(tmp_path, content)
    assert found == expected == [["1", "2", "3"], ["x, y", "", "z"], ["2", "", "5"]]


@pytest.mark.parametrize("size", [1, 5, 8, 13, 1000])
def test_columns_are_read_a_few_lines_at_a_time(size, monkeypatch, tmp_path):
    monkeypatch.setattr(plain_table, "_CHUNK", size)
    rows = [f"{i},{'x' * (i % 11)}" for i in range(60)]
    found, expected, _ = both(tmp_path, "\n".join(["a,b", *rows]).encode())
    assert found == expected
    assert both(tmp_path, "\n".join(["a,b", *rows, "", *rows]).encode())[0] is None


def test_columns_begin_below_titles_and_a_mark(tmp_path):
    content = "\ufeffsep=;\na;b\n1;x\n2;y\n".encode()
    found, expected, lines = both(tmp_path, content)
    assert found == expected == [["1", "2"], ["x", "y"]]
    assert lines == [3, 4]


@pytest.mark.parametrize(
    "content",
    [
        b'a,b\n1,"x ""y"""\n2,y\n',
        b'a,b\n1, "x"\n2,y\n',
        b'a,b\n1,6"x"\n2,y\n',
        b'a,b\n1,6"\n2,7"\n',
        b'a,b\n1,"x\n,y"\n2,y\n',
        b'a,"b\nc"\n1,x\n2,y\n',
        b"a,b\n1,x\n\n2,y\n",  # rows do not stand in consecutive lines
        b"a,b\n1,x\n \n2,y\n",
        b"a,b,\n1,x,\n2,y,\n",
        b"a,b\r1,x\r2,y\r",
        "a,b\n1,ä\n".encode("utf-16"),
    ],
)
def test_columns_leave_what_is_not_plain_to_the_other_reader(content, tmp_path):
    found, expected, _ = both(tmp_path, content)
    assert found is None
    assert len(expected) == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"3,x,z", r"t\.csv:52: 3 cells, the header has 2 columns"),
        (b"3", r"t\.csv:52: 1 cells, the header has 2 columns"),
        (b"\xff,x", r"t\.csv:52: byte 0xff is not utf-8"),
        (b"\0,x", r"t\.csv:52: a NUL character"),
    ],
)
def test_csv_names_the_line_of_a_fault_in_a_plain_table(line, reason, tmp_path):
    path = tmp_path / "t.csv"
    rows = [b"%d,%d" % (i, i % 2) for i in range(50)]
    path.write_bytes(b"\n".join([b"a,y", *rows, line, *rows]))
    with pytest.raises(DataError, match=reason):
        load_csv(path)
