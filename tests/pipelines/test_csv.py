"""A table of one's own: which files are meant, and every fault in one line with its place."""

import csv
import importlib

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from pipelines import DataError
from pipelines.core.prepared import prepare
from pipelines.files import table_file
from pipelines.storage import tfds
from tests.pipelines.files.test_table import numbers
from tests.pipelines.tables import joined, load_csv, write
from trainers.tasks import registry
from zoo.spec import Field

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
    "one column": (b"x\n1\n2\n", "t.csv:1: only one column, 'x'"),
    "space between cells": (b"x c y\n1 2 3\n", "t.csv:1: only one column"),
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
    "a word among numbers": (at(8, b"many,k0,1\n"), "t.csv:8: column 'x': 'many' is not a number"),
    "infinity": (at(8, b"-inf,k0,1\n"), "t.csv:8: column 'x': '-inf' is not a number"),
    "too large": (at(8, b"1e39,k0,1\n"), "t.csv:8: column 'x': '1e39' is not a number"),
    "far too large": (at(8, b"1e999,k0,1\n"), "t.csv:8: column 'x': '1e999' is not a number"),
    "underscores": (at(8, b"1_000,k0,1\n"), "t.csv:8: column 'x': '1_000' is not a number"),
    "a code": (at(8, b"007,k0,1\n"), "t.csv:8: column 'x': '007' is not a number"),
    "decimal commas": (GOOD.replace(b",", b";").replace(b".5", b",5"), "t.csv:2: .*'0,5'.*comma"),
    "thousands": (b'x,y\n"1,200",1\n"3,400.5",0\n', "t.csv:2: .*'1,200' is a number with a comma"),
    "a bad target": (at(8, b"1,k0,maybe\n"), "t.csv:8: column 'y': 'maybe' is not a number"),
    "Excel": (b"PK\x03\x04" + bytes(40), "t.csv is not text but an Excel or ZIP file"),
    "gzip": (b"\x1f\x8b\x08" + bytes(40), "t.csv is not text but compressed"),
    "nothing but constants": (
        b"x,y\n1,0\n1,1\n",
        r"no column is left to learn y from: x \(all are 1\)",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_csv_names_faults_with_file_and_line(fault, tmp_path):
    content, reason = FAULTS[fault]
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=reason) as caught:
        load_csv(tmp_path / "t.csv")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def test_csv_takes_the_table_without_a_fault(tmp_path):
    for i, content in enumerate((GOOD, GOOD.replace(b"\n", b"\r\n"), b"\n\n" + GOOD + b"\n \n")):
        (tmp_path / f"{i}.csv").write_bytes(content)
        prepared = load_csv(tmp_path / f"{i}.csv")
        assert {name: field.dtype for name, field in prepared.raw.items()} == {
            "x": "float32",
            "c": "string",
        }


def test_csv_names_a_fault_in_the_second_file(tmp_path):
    (tmp_path / "a.csv").write_bytes(GOOD)
    (tmp_path / "b.csv").write_bytes(at(8, b"many,k0,1\n"))
    with pytest.raises(DataError, match=r"b\.csv:8: column 'x'"):
        load_csv(tmp_path)


@pytest.mark.parametrize("encoding", ["utf8000", "ascii"])
def test_csv_refuses_encodings_that_do_not_fit(encoding, tmp_path):
    (tmp_path / "t.csv").write_bytes(at(9, "1,é,1\n".encode()))
    with pytest.raises(DataError, match=r"is unknown to Python|:9: byte 0xc3 is not ascii"):
        load_csv(tmp_path / "t.csv", encoding=encoding)


def test_csv_takes_files_by_comma_folder_and_pattern_alike(tmp_path):
    a = write(tmp_path / "a.csv", numbers(0, 300))
    b = write(
        tmp_path / "b.csv", [["y", "x", "c"], *([i % 2, i / 8, "k"] for i in range(300, 400))]
    )
    for files in (f"{a},{b}", str(tmp_path), f"{tmp_path}/*.csv"):
        prepared = load_csv(files)
        assert sorted(joined(prepared, "x")) == [i / 8 for i in range(400)]
        np.testing.assert_array_equal(joined(prepared, "x") * 8 % 2, joined(prepared, "y"))


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ("nowhere.csv", "is not a file"),
        ("trian=a.csv", "train, validation, test"),
        ("test=a.csv", "no file is for train"),
        ("a.csv,test=a.csv", "every file, or of none"),
        ("a.csv,b.csv", "other columns than .*a.csv: x, z"),
    ],
)
def test_csv_refuses_files_that_cannot_be_meant(files, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.csv", numbers(0, 30))
    write(tmp_path / "b.csv", [["z", "c", "y"], [1, 2, 3]])
    with pytest.raises(DataError, match=reason):
        load_csv(files)


def test_csv_does_not_hide_the_standard_library_s():
    assert csv.__file__ != importlib.import_module("pipelines.csv").__file__
    assert table_file.csv is csv
    assert "your own" in pipelines.describe("csv").summary.lower()


def test_csv_fits_mean_and_std_of_a_regression(tmp_path):
    """The task lays it over; the state keeps it beside what the columns' form fits."""
    values = [1e6 + 1000 * (i % 41) for i in range(400)]
    path = write(tmp_path / "t.csv", [["x", "y"], *([i / 3, v] for i, v in enumerate(values))])
    pipeline, rows, schema = tfds.load(pipelines.get("csv", data_files=path, target="y"))
    pipeline, schema = registry.get("regression").over(pipeline, schema)
    prepared = prepare(pipeline, schema, rows)
    train = prepared.rows["train"].table["y"].astype(np.float64)
    assert prepared.state["target"]["mean"] == pytest.approx(train.mean())
    assert prepared.state["target"]["std"] == pytest.approx(train.std())
    assert "mean" in prepared.state["inputs/vector"]
    assert prepared.rows["test"].table["y"].max() > 1e6  # rows keep their own numbers
    assert prepared.schema.target == Field((), "float32")


def test_csv_makes_ids_of_categories_in_its_second_form(tmp_path):
    towns = ["Bonn", "Ulm", "", "Ulm", "once", "Bonn"]
    rows = [["town", "size", "y"], *([town, i, i % 2] for i, town in enumerate(towns))]
    path = write(tmp_path / "a.csv", rows)
    files = f"train={path},validation={path},test={path}"
    prepared = load_csv(files, form="columns")
    assert prepared.spec.inputs["categories"] == Field((1,), "int32", ids=(4,))
    raw = {
        "town": tf.constant(["Bonn", " Ulm", "", "na", "once", "Rom"]),
        "size": tf.constant([0.0, 5, 2, 9, -1, np.nan]),
    }
    made = prepared.preprocess(raw)
    # 0: missing, 1: unknown; "once" is too rare to be known.
    np.testing.assert_array_equal(made["categories"][:, 0], [2, 3, 0, 0, 1, 1])
    np.testing.assert_allclose(made["ranks"][:, 0], [0, 1, 0.4, 1, 0, 0], atol=1e-6)
    np.testing.assert_array_equal(made["missing"][:, 0], [0, 0, 0, 0, 0, 1])


def test_csv_takes_dates_as_names_where_they_are_asked_for(tmp_path):
    days = [f"2024-01-{i % 3 + 1:02}" for i in range(60)]
    rows = [["a day", "x", "y"], *([day, i % 7, i % 2] for i, day in enumerate(days))]
    path = write(tmp_path / "a.csv", rows)
    as_dates = load_csv(path).state["inputs/vector"]
    assert as_dates["dates"].tolist() == ["a_day"]
    as_names = load_csv(path, categories="a day").state["inputs/vector"]
    assert (as_names["dates"].tolist(), as_names["texts"].tolist()) == ([], ["a_day"])
    assert as_names["categories"].tolist() == sorted({day.encode() for day in days})
    columns_form = load_csv(path, categories="x, a day", form="columns")
    assert columns_form.spec.inputs["categories"].ids == (5, 9)
