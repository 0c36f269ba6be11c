"""A table of one's own: which files are meant, and every fault in one line with its place."""

import csv
import datetime
import importlib
import os
import time

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


LONG = b"n" * 4990


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
    "a carriage return in a cell": (
        at(17, b"1,k\r0,2\n"),
        "t.csv:17: 2 cells, the header has 3 columns: a carriage return in a cell ends the line",
    ),
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
    "endless line": (
        at(40, b"k" * (2**24 + 1) + b",k,1\n"),
        "t.csv:40: a line of more than 16,777,216",
    ),
    "a million columns": (b"x,y" + b",c" * 100_000 + b"\n", "t.csv:1: 100,002 columns, at most"),
    "names of 5 000 characters": (
        at(1, LONG + b"1," + LONG + b"1,y\n"),
        "t.csv:1: column 'n{38}…n{18}1' twice; rename one$",
    ),
    "a name that turns the line": (
        at(1, '"x\u202e\nerror: no",c,y\n'.encode()) + b"many,k,1\n",
        r"column 'x\\u202e\\nerror: no': 'many' is not a number",
    ),
    "endless cell": (at(40, b'1,"' + b"k" * 200_000 + b'",1\n'), "t.csv:40: field larger"),
    "a word among numbers": (at(8, b"many,k0,1\n"), "t.csv:8: column 'x': 'many' is not a number"),
    "infinity": (at(8, b"-inf,k0,1\n"), "t.csv:8: column 'x': '-inf' is not a number"),
    "too large": (at(8, b"1e39,k0,1\n"), "t.csv:8: column 'x': '1e39' is not a number"),
    "far too large": (at(8, b"1e999,k0,1\n"), "t.csv:8: column 'x': '1e999' is not a number"),
    "underscores": (at(8, b"1_000,k0,1\n"), "t.csv:8: column 'x': '1_000' is not a number"),
    "a code": (at(8, b"007,k0,1\n"), "t.csv:8: column 'x': '007' is not a number"),
    "a comma that may be either": (
        b"x,y\n" + b'"1,200",1\n"3,400",0\n' * 20,
        "column 'x': '1,200' may be 1200 or 1.2, and no other cell says which: write --pipeline_",
    ),
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
    assert "centre" in prepared.state["inputs/vector"]
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


def as_people_write_them(number: int) -> dict[str, list]:
    """Columns of cells as they stand in files, and what they mean."""
    rng = np.random.default_rng(0)
    start = datetime.datetime(2023, 1, 1, tzinfo=datetime.UTC)
    at = [start + datetime.timedelta(hours=7 * i) for i in range(number)]
    income = rng.uniform(200, 9000, number).round(2)
    ages = rng.integers(18, 70, number)
    return {
        "at": [f"{m:%Y-%m-%dT%H:%M:%S}+02:00" for m in at],
        "sold": [f"{m:%d/%m/%Y}" if i % 20 else "unknown" for i, m in enumerate(at)],
        "income": [f"${x:,.2f}" if i % 9 else "#N/A" for i, x in enumerate(income)],
        "rate": [f"{x / 100:.1f} %".replace(".", ",") for x in income],
        "stamp": [str(1_716_000_000 + i * i % 301) for i in range(number)],
        "age": [str(x) if i % 10 else "-999" for i, x in enumerate(ages)],
        "note": [("None", "b", "", "c")[i % 4] for i in range(number)],
        "y": [str(i % 7 / 2) for i in range(number)],
    }


@pytest.mark.parametrize("form", ["vector", "columns"])
def test_csv_serves_cells_as_training_read_them(form, tmp_path, logged):
    """What a client sends as it stands in the file becomes the inputs of training."""
    columns = as_people_write_them(400)
    rows = [list(columns), *map(list, zip(*columns.values(), strict=True))]
    path = write(tmp_path / "t.csv", rows)
    prepared = load_csv(
        f"train={path},validation={path},test={path}", form=form, missing="sold:unknown"
    )
    assert {name: field.dtype for name, field in prepared.raw.items()} == {
        **dict.fromkeys(("at", "sold", "income", "rate"), "string"),
        "stamp": "float64",
        "age": "float32",
        "note": "string",
    }
    table = prepared.rows["test"].table
    trained = prepared.preprocess({name: tf.constant(table[name]) for name in prepared.raw})

    module = tf.Module()
    signature = {k: tf.TensorSpec((None,), f.dtype, k) for k, f in prepared.raw.items()}
    function = tf.function(lambda **raw: prepared.preprocess(raw), autograph=False)
    tf.saved_model.save(
        module, str(tmp_path / "saved"), function.get_concrete_function(**signature)
    )
    serve = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    sent = {
        k: tf.constant(
            columns[k] if f.dtype == "string" else [float(cell) for cell in columns[k]], f.dtype
        )
        for k, f in prepared.raw.items()
    }
    served = serve(**sent)
    assert served.keys() == trained.keys()
    for name, value in trained.items():
        np.testing.assert_array_equal(served[name], value, err_msg=name)

    if form == "columns":  # age: -999 is no value
        ages = np.array(columns["age"], float)
        ages[ages == -999] = np.nan
        low, middle, high = np.nanquantile(ages, [0.25, 0.5, 0.75])
        scaled = (ages - middle) / (high - low)
        place = prepared.state["inputs/columns"]["numbers"].tolist().index("age")
        np.testing.assert_allclose(
            trained["numbers"][:, place],
            np.nan_to_num(scaled / np.sqrt(1 + (scaled / 3) ** 2)),
            rtol=1e-5,
            atol=1e-6,
        )
        np.testing.assert_array_equal(trained["missing"][:, place], np.isnan(ages))
    assert "age: -999 (120 cells) is taken as missing; missing=age: makes it a value" in logged()


def test_csv_sends_numbers_as_text_where_the_table_has_words_of_its_own(tmp_path):
    rows = [["x", "y"], *([i * i if i % 9 else "-", i % 2] for i in range(300))]
    prepared = load_csv(write(tmp_path / "t.csv", rows), missing="x:-")
    assert prepared.raw["x"].dtype == "string"
    raw = {"x": tf.constant(["-", "", "100", " 4 "])}
    made = prepared.preprocess(raw)["features"]
    assert made[:, 1].numpy().tolist() == [1, 1, 0, 0]
    with pytest.raises(
        DataError, match=r"'-' is not a number, 266 others .*missing=x:- if it mean"
    ):
        load_csv(tmp_path / "t.csv")


def test_csv_keeps_copies_together_that_were_numbered_afterwards(tmp_path, logged):
    rows = [[i, i % 150 / 4, i % 150 % 7, i % 150 % 2] for i in range(450)]
    path = write(tmp_path / "t.csv", [["RowNumber", "a", "b", "y"], *rows])
    prepared = load_csv(path)
    assert list(prepared.raw) == ["a", "b"]
    seen = [set(part.table["a"].tolist()) for part in prepared.rows.values()]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 150
    assert "300 rows are copies of an earlier one" in logged()
    assert list(load_csv(path, keep="RowNumber").raw) == ["RowNumber", "a", "b"]


def test_csv_warns_of_classes_that_no_row_of_train_has(tmp_path, caplog):
    train = write(tmp_path / "a.csv", [["x", "y"], *([i / 3, "pq"[i % 2]] for i in range(200))])
    test = write(tmp_path / "b.csv", [["x", "y"], *([i / 3, "pqz"[i % 3]] for i in range(30))])
    load_csv(f"train={train},test={test}")
    assert "test has classes that no row of train has: 'z' (10 rows)" in caplog.messages


def test_csv_merges_labels_that_differ_in_case_and_spaces(tmp_path, logged):
    labels = ["Yes", "Yes", "yes", "No", "NO"]
    rows = [["x", "y"], *([i / 3, labels[i % 5]] for i in range(300))]
    path = write(tmp_path / "t.csv", rows)
    assert load_csv(path).class_names == ("NO", "Yes")
    line = "y: 'yes' (60 cells) are taken as 'Yes'; labels=as_written keeps them apart"
    assert line in logged()
    assert load_csv(path, labels="as_written").class_names == ("NO", "No", "Yes", "yes")
    with pytest.raises(DataError, match="labels=x: expected as_written"):
        load_csv(path, labels="x")


def test_csv_trains_on_a_large_target_in_float64(tmp_path):
    """Seconds since 1970, which float32 rounds to 128."""
    values = [1_716_000_000 + i for i in range(400)]
    path = write(tmp_path / "t.csv", [["x", "y"], *([v % 400 / 4, v] for v in values)])
    pipeline, rows, schema = tfds.load(pipelines.get("csv", data_files=path, target="y"))
    assert schema.target == Field((), "float64")
    assert sorted(np.concatenate([part.table["y"] for part in rows.values()])) == values
    pipeline, schema = registry.get("regression").over(pipeline, schema)
    prepared = prepare(pipeline, schema, rows)
    origin = prepared.state["target"]["origin"]
    assert origin == pytest.approx(np.mean(rows["train"].table["y"]), abs=1e-3)
    for split, part in rows.items():
        encoded = prepared.rows[split].table["y"]
        assert encoded.dtype == np.float32
        np.testing.assert_allclose(encoded, part.table["y"] - origin, rtol=1e-6)


def test_csv_refuses_a_file_larger_than_memory_before_it_reads_any(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_bytes(GOOD)
    os.truncate(path, 60 * 2**30)  # sparse
    monkeypatch.setattr(table_file, "open_table", lambda *_: pytest.fail("read"))
    with pytest.raises(DataError, match=r"t.csv has 60.0 GiB of 60.0 in all; tables of up to 4 G"):
        load_csv(path, target="y")


def test_csv_refuses_a_pipe_that_nobody_writes(tmp_path):
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(DataError, match=r"t.csv is not a plain file"):
        load_csv(tmp_path / "t.csv", target="y")


def test_csv_looks_for_no_near_name_where_that_takes_minutes(tmp_path):
    """5 000 characters compared with as many take 0.4 s, and a million names 5 minutes."""
    names = [f"{'n' * 4990}{i:06d}" for i in range(50)]
    path = tmp_path / "t.csv"
    path.write_text(f"{','.join(names)}\n{','.join('1' * 50)}\n")
    started = time.monotonic()
    with pytest.raises(DataError, match=r"no column 'n+…n+x'; nearest: n+…n+000000, ") as caught:
        load_csv(path, target="n" * 4995 + "x")
    assert time.monotonic() - started < 2
    assert len(str(caught.value)) < 2000


def test_csv_logs_hostile_names_on_their_line(tmp_path, logged):
    path = tmp_path / "t.csv"
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["L" * 5000, "price\u202egnp", "two\nwarning: forged", "red\x1b[31m", "y\n"])
        classes = ["c" * 5000, "d\u202e\nwarning: forged"]
        rows.writerows([i, i % 7, f"w\x07{i % 3}", i % 5, classes[i % 2]] for i in range(60))
    _, schema = pipelines.get("csv", data_files=str(path), target="y").read()
    assert schema.class_names == tuple(classes)  # as they are
    lines = logged()
    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith("warning: forged") for line in lines)
    assert max(map(len, lines)) < 1000


def test_csv_takes_a_column_called_column_by_its_cells(tmp_path):
    path = write(
        tmp_path / "t.csv", [["column", "y"], *([str(i * i), str(i % 2)] for i in range(40))]
    )
    assert load_csv(path).state["inputs/vector"]["numbers"].tolist() == ["column"]


def told(number: int, different: int = 300) -> list[list]:
    """Rows of a number, a text that says the target, an address of the web, and the target."""
    said = {1: ["a fine and quiet room", "quiet, fine"], 0: ["noise all night", "all of it noise"]}
    rows = [["size", "note", "page", "y"]]
    for i in range(number):
        note = f"{said[i % 2][i // 2 % 2]} {i % different} of 9" if i % 10 else ""
        rows.append([i / 7, note, f"https://example.org/a-page/{i}", i % 2])
    return rows


def test_csv_reads_free_text_as_words_where_the_form_takes_them(tmp_path, logged):
    path = write(tmp_path / "t.csv", told(300))
    prepared = load_csv(path, form="columns")
    lines = logged()
    assert prepared.raw == {"size": Field((), "float32"), "note": Field((), "string")}
    assert "page (nearly every row has another text)" in "\n".join(lines)
    [line] = [line.split() for line in lines if line.startswith("note  ")]
    assert line == ["note", "words", "30", "270", "4.5", "words", "on", "average"]
    known = prepared.state["inputs/columns"]["vocabulary"].tolist()
    assert known[:2] == [b"9", b"of"]
    assert set(known) >= {b"fine", b"quiet", b"noise", b","}
    raw = {"size": tf.constant([1.0, 1]), "note": tf.constant(["QUIET, but far", "n/a"])}
    words = prepared.preprocess(raw)["words"].numpy()
    assert prepared.spec.inputs["words"] == Field((1, 8), "int32", ids=len(known) + 2)
    expected = [known.index(b"quiet") + 2, known.index(b",") + 2, 1, 1, *[0] * 4]
    np.testing.assert_array_equal(words[:, 0], [expected, [0] * 8])
    stored = prepared.inputs_of("train")
    assert stored.table["words"].shape == (stored.num_rows, 1, 8)
    np.testing.assert_array_equal(
        stored.table["words"],
        prepared.preprocess({k: prepared.rows["train"].table[k] for k in prepared.raw})["words"],
    )
    # The same rows are split alike, and `vector` goes on without the text.
    vector = load_csv(path)
    assert list(vector.raw) == ["size"]
    for split, rows in prepared.rows.items():
        assert set(vector.rows[split].table) == {"size", "y"}
        np.testing.assert_array_equal(vector.rows[split].table["size"], rows.table["size"])


def test_csv_takes_free_text_as_a_category_where_it_is_asked_for(tmp_path, logged):
    path = write(tmp_path / "t.csv", told(300, different=200))
    assert set(load_csv(path, form="columns").spec.inputs) >= {"words"}
    assert "note: free text; as a category: categories=note" in logged()
    prepared = load_csv(path, form="columns", categories="note")
    assert set(prepared.raw) == {"size", "note"}
    assert "words" not in prepared.spec.inputs
    alone = write(tmp_path / "alone.csv", [row[1:] for row in told(300)])
    with pytest.raises(DataError, match=r"but free text \(note\): --model=tabular takes its words"):
        load_csv(alone)
    assert list(load_csv(alone, form="columns").raw) == ["note"]


def test_csv_counts_no_word_for_missing_as_unreadable(tmp_path):
    rows = [[f"${i}.50", f"2024-01-{i % 28 + 1:02}", i % 2] for i in range(1, 300)]
    rows[7][:2] = "N/A", "NaT"
    prepared = load_csv(write(tmp_path / "t.csv", [["price", "sold", "y"], *rows]))
    raw = {"price": ["#N/A", "n/a", "", "cheap"], "sold": ["NaT", "NA", "", "soon"]}
    _, unreadable = prepared.unseen.find({k: tf.constant(v) for k, v in raw.items()})
    assert unreadable.numpy().tolist() == [[False, False]] * 3 + [[True, True]]
