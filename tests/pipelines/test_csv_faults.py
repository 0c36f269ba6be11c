"""What is wrong with a table, in one line with file and line number."""

import pytest

import pipelines
from pipelines import DataError

GOOD = b"x,c,y\n" + b"".join(b"%d.5,k%d,%d\n" % (i, i % 3, i % 2) for i in range(300))
LINES = GOOD.splitlines(keepends=True)


def at(line: int, content: bytes) -> bytes:
    """The good table with another line (counted from 1)."""
    return b"".join([*LINES[: line - 1], content, *LINES[line:]])


FAULTS = {
    "empty file": (b"", "t.csv is empty"),
    "blank lines only": (b"\n\n \n", "t.csv is empty"),
    "mark only": (b"\xef\xbb\xbf", "t.csv is empty"),
    "header only": (LINES[0], "t.csv has a header and no rows"),
    "one column": (b"x\n1\n2\n", "t.csv:1: one column only, 'x'"),
    "space between cells": (b"x c y\n1 2 3\n", "t.csv:1: one column only"),
    "a column twice": (at(1, b"x,x,y\n"), "t.csv:1: column 'x' twice"),
    "alike after encoding": (at(1, b"x a,x.a,y\n"), "t.csv:1: column 'x.a' beside 'x a'"),
    "a column without a name": (at(1, b"x,,y\n"), "t.csv:1: column 2 has no name"),
    "too few cells": (at(17, b"1,k0\n"), "t.csv:17: 2 cells, the header has 3"),
    "too many cells": (at(17, b"1,k0,1,\n"), "t.csv:17: 4 cells, the header has 3"),
    "latin-1": (at(9, b"1,caf\xe9,1\n"), "t.csv:9: byte 0xe9 is not utf-8"),
    "latin-1 in the header": (at(1, b"x,\xe9,y\n"), "t.csv:1: byte 0xe9 is not utf-8"),
    "cut within a character": (GOOD + b"1,\xe4\xbd", "t.csv:302: byte 0xe4 is not utf-8"),
    "utf-16 cut": ("x,y\n1,2\n".encode("utf-16") + b"\x31", "t.csv:3: byte 0x31 is not utf-16"),
    "utf-16 without mark": (GOOD.decode().encode("utf-16-le"), "t.csv:1: a NUL character"),
    "NUL": (at(40, b"1,k\0,1\n"), "t.csv:40: a NUL character"),
    "quote not closed": (at(40, b'1,"k,1\n'), "t.csv:40: .*is a quote not closed"),
    "text after a quote": (at(40, b'1,"k" k,1\n'), "t.csv:40: .*is a quote not closed"),
    "quote not closed in the header": (at(1, b'x,"c,y\n'), "t.csv:1: .*is a quote not closed"),
    "endless cell": (at(40, b'1,"' + b"k" * 200_000 + b'",1\n'), "t.csv:40: field larger"),
    "a word among numbers": (at(8, b"many,k0,1\n"), "t.csv:8: column 'x': 'many' is no number"),
    "infinity": (at(8, b"-inf,k0,1\n"), "t.csv:8: column 'x': '-inf' is no number"),
    "too large": (at(8, b"1e39,k0,1\n"), "t.csv:8: column 'x': '1e39' is no number"),
    "far too large": (at(8, b"1e999,k0,1\n"), "t.csv:8: column 'x': '1e999' is no number"),
    "underscores": (at(8, b"1_000,k0,1\n"), "t.csv:8: column 'x': '1_000' is no number"),
    "a code": (at(8, b"007,k0,1\n"), "t.csv:8: column 'x': '007' is no number"),
    "decimal commas": (GOOD.replace(b",", b";").replace(b".5", b",5"), "t.csv:2: .*'0,5'.*comma"),
    "thousands": (b'x,y\n"1,200",1\n"3,400.5",0\n', "t.csv:2: .*'1,200' is a number with a comma"),
    "a bad target": (at(8, b"1,k0,maybe\n"), "t.csv:8: column 'y': 'maybe' is no number"),
    "Excel": (b"PK\x03\x04" + bytes(40), "t.csv is no text but an Excel or ZIP file"),
    "gzip": (b"\x1f\x8b\x08" + bytes(40), "t.csv is no text but compressed"),
    "nothing but constants": (b"x,y\n1,0\n1,1\n", r"no column to learn from y.*x \(all are 1\)"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named_with_file_and_line(fault, tmp_path):
    content, said = FAULTS[fault]
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        pipelines.get("csv", data_files=str(tmp_path / "t.csv"), target="y")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def test_the_good_table_is_good(tmp_path):
    for i, content in enumerate((GOOD, GOOD.replace(b"\n", b"\r\n"), b"\n\n" + GOOD + b"\n \n")):
        (tmp_path / f"{i}.csv").write_bytes(content)
        pipeline = pipelines.get("csv", data_files=str(tmp_path / f"{i}.csv"), target="y")
        assert {name: field.dtype for name, field in pipeline.raw.items()} == {
            "x": "float32",
            "c": "string",
        }


def test_a_fault_in_the_second_file_is_named_there(tmp_path):
    (tmp_path / "a.csv").write_bytes(GOOD)
    (tmp_path / "b.csv").write_bytes(at(8, b"many,k0,1\n"))
    with pytest.raises(DataError, match=r"b\.csv:8: column 'x'"):
        pipelines.get("csv", data_files=str(tmp_path), target="y")


@pytest.mark.parametrize("encoding", ["utf8000", "ascii"])
def test_encodings_that_cannot_be(encoding, tmp_path):
    (tmp_path / "t.csv").write_bytes(at(9, "1,é,1\n".encode()))
    with pytest.raises(DataError, match=r"is unknown to Python|:9: byte 0xc3 is not ascii"):
        pipelines.get("csv", data_files=str(tmp_path / "t.csv"), target="y", encoding=encoding)
