"""Your own table: what is read, inferred and learnt from it, by value."""

import csv
import datetime
import importlib
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pipelines
from pipelines import DataError
from pipelines.files import columns, table_file
from pipelines.steps import tabular
from pipelines.storage import tfds as source
from tests.conftest import run_python
from trainers.store import run_folder

CELL = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


def write(path, rows, encoding="utf-8", **dialect) -> str:
    with open(path, "w", newline="", encoding=encoding) as file:
        csv.writer(file, **dialect).writerows(rows)
    return str(path)


def read(path, encoding="") -> list[list[str]]:
    table = table_file.open_table(str(path), encoding)
    return [list(table.names), *(cells for _, cells in table_file.rows(table))]


def load(place, target="y", **options) -> pipelines.Pipeline:
    pipeline = pipelines.get("csv", data_files=str(place), target=target, **options)
    return pipelines.prepared(*source.load(pipeline))


def joined(pipeline, name) -> np.ndarray:
    return np.concatenate([rows.table[name] for rows in pipeline.rows.values()])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.lists(CELL, min_size=3, max_size=3), max_size=8),
    delimiter=st.sampled_from(",;\t"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    line=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_what_a_csv_writer_wrote_is_read_back(rows, delimiter, encoding, line, tmp_path):
    header = ["a,b", "c;d", "e\tf"]
    dialect = {"delimiter": delimiter, "lineterminator": line, "quoting": csv.QUOTE_ALL}
    path = write(tmp_path / "t.csv", [header, *rows], encoding, **dialect)
    assert read(path) == [header, *([c.strip(table_file.SPACE) for c in row] for row in rows)]


@settings(deadline=None)
@given(st.lists(st.floats(-1e37, 1e37) | st.none() | st.integers(-(10**9), 10**9), min_size=1))
def test_numbers_are_read_back(values):
    cells = ["" if value is None else repr(value) for value in values]
    column = columns.infer("x", cells, str, text=False)
    assert column.kind == "number"
    expected = [math.nan if value is None else float(value) for value in values]
    np.testing.assert_array_equal(column.values, expected)
    assert column.distinct == len({value + 0.0 for value in values if value is not None})


def test_each_line_is_known_also_after_cells_of_several_lines(tmp_path):
    (tmp_path / "t.csv").write_bytes(b'a,b\r\n"x\r\ny",1\r\n\r\nz,2\r\n')
    table = table_file.open_table(str(tmp_path / "t.csv"))
    assert list(table_file.rows(table)) == [(2, ["x\r\ny", "1"]), (5, ["z", "2"])]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(encoding, tmp_path):
    rows = [["straße", "y"], ["Größe €", "1"]]
    path = write(tmp_path / "t.csv", rows, encoding)
    assert read(path, "cp1252" if encoding == "cp1252" else "") == rows


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("price", "price"),
        ("Sale Price ($)", "Sale_Price"),
        ("Größe (m²)", "Gro_u00dfe_m2"),
        ("价格", "u4ef7_u683c"),
        ("2nd floor", "column_2nd_floor"),
        ("class", "class_"),
        ("self", "self_"),
        ("a/b.c", "a_b_c"),
    ],
)
def test_columns_are_sent_under_names_that_tensorflow_keeps(column, field, tmp_path):
    assert table_file.field_name(column) == field == table_file.field_name(field)
    spec = {field: tf.TensorSpec((None,), name=field), "other": tf.TensorSpec((None,))}
    function = tf.function(lambda **raw: {"sum": tf.add_n(list(raw.values()))}, autograph=False)
    tf.saved_model.save(
        tf.Module(), str(tmp_path), signatures=function.get_concrete_function(**spec)
    )
    served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    assert set(served.structured_input_signature[1]) == {field, "other"}


@given(st.text(max_size=12))
def test_field_names_are_names(name):
    field = table_file.field_name(name)
    assert field.isascii()
    assert field.isidentifier()
    assert table_file.field_name(field) == field


def test_what_is_inferred_is_printed_once(tmp_path, capsys):
    rows = [["id", "size", "zip", "town", "day", "empty", "same", "text", "note", "y"]]
    for i in range(200):
        size = ["", "NA", "?"][i] if i < 3 else str(i / 4)
        day = f"2024-01-{i % 28 + 1:02}"
        town = ["Bonn", "Ulm", "none"][i % 3]
        note = "7" if i % 4 else "odd"
        rows.append([i, size, f"0{i % 5}", town, day, "", "x", f"t{i}", note, i % 2])
    rows.append(rows[-1])
    rows.append([*rows[-1][:-1], ""])
    path = write(tmp_path / "t.csv", rows)
    pipeline = load(path)
    assert {name: field.dtype for name, field in pipeline.raw.items()} == {
        "size": "float32",
        "zip": "string",
        "town": "string",
        "day": "string",
        "note": "string",
    }
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"{path}: 202 rows, 10 columns"
    table = {line.split()[0]: line.split()[1:] for line in told[2:9]}
    assert table["size"] == ["number", "3", "197", "0.75", "..", "49.75"]
    assert table["zip"] == ["text", "0", "5", "04", "(42", "times)"]
    assert table["town"][:3] == ["text", "66", "2"]
    assert table["day"] == ["date", "0", "28", "2024-01-01", "..", "2024-01-28"]
    left_out = next(line for line in told if line.startswith("left out"))
    assert left_out == (
        "left out: id (nearly every row has another number), empty (all cells are missing), "
        "same (all are x), text (nearly every row has another text)"
    )
    assert any("note" in line and "taken as text for 50 cells" in line for line in told)
    assert any(f"first {path}:2: column 'note': 'odd'" in line for line in told)
    missing = next(line for line in told if line.startswith("missing cells"))
    assert set(missing.split(": ")[1].split(", ")) == {"204 empty", "1 'NA'", "1 '?'", "66 'none'"}
    assert "1 rows are copies of an earlier one" in told
    assert "1 rows without y are left out" in told
    assert "target y: binary: 0 49.8%, 1 50.2%" in told
    pipelines.prepared(
        *source.load(pipelines.get("csv", data_files=path, target="y")), load(path).state
    )
    assert capsys.readouterr().out.count("202 rows") == 1  # `load` alone; not with stored state


def test_identifiers_are_left_out_and_measures_are_not(tmp_path, capsys):
    rows = [["", "customer_id", "key", "humid", "x", "name", "y"]]
    rows += [[i, 900 - i, i % 9, i * 7, i, f"n{i}", i % 2] for i in range(60)]
    rows += rows[1:3]
    assert list(load(write(tmp_path / "t.csv", rows)).raw) == ["key", "humid", "x"]
    told = capsys.readouterr().out
    assert "left out: the first (nearly every row has another number), customer_id (" in told
    assert ", name (nearly every row has another text)" in told
    ignored = load(tmp_path / "t.csv", ignore="humid, x", categories="key")
    assert {k: f.dtype for k, f in ignored.raw.items()} == {"key": "string"}


def test_wide_tables_are_elided(tmp_path, capsys):
    rows = [[*(f"c{i}" for i in range(200)), "y"]]
    rows += [[*((i * j) % 7 for j in range(1, 201)), i % 2] for i in range(40)]
    load(write(tmp_path / "t.csv", rows))
    told = capsys.readouterr().out
    assert len(told.splitlines()) < 40
    assert "number columns more" in told


def test_features_by_hand(tmp_path):
    """Numbers, missing ones, dates and categories, with statistics of the training rows alone."""
    header = ["size", "full", "town", "day", "y"]
    train = [
        ["1", "5", "Ulm", "2000-01-01", 0],
        ["3", "6", "Ulm", "2000-01-03", 1],
        ["", "7", "Bonn", "2000-01-03T12:00", 0],
        ["5", "8", "Bonn", "2000-01-05", 1],
        ["7", "9", "once", "1999-12-31", 1],
        ["4", "7", "", "2000-01-03", 0],
    ]
    test = [
        [" 11 ", "", "Köln", "2000-01-13", 0],
        ["na", "7", " Ulm", "", 1],
        ["4", "1e30", "NULL", "?", 1],
    ]
    write(tmp_path / "a.csv", [header, *train])
    write(tmp_path / "b.csv", [header, *test])
    files = ",".join(
        f"{split}={tmp_path / 'ab'[i % 2]}.csv"
        for split, i in (("train", 0), ("validation", 1), ("test", 1))
    )
    pipeline = load(files)
    sizes, full = np.array([1.0, 3, 5, 7, 4]), np.array([5.0, 6, 7, 8, 9, 7])
    day = np.array([0.0, 2, 2, 4, -1, 2])
    scaled = lambda x, seen: (x - seen.mean()) / seen.std()
    # size, full, day, "size is missing", then Bonn, Ulm, other, missing
    expected = [
        [scaled(11, sizes), 0, scaled(12, day), 0, 0, 0, 1, 0],
        [0, scaled(7, full), 0, 1, 0, 1, 0, 0],
        [scaled(4, sizes), 10, 0, 0, 0, 0, 0, 1],
    ]
    raw = {name: pipeline.rows["test"].table[name] for name in pipeline.raw}
    for preprocess in (pipeline.preprocess, tf.function(pipeline.preprocess, autograph=False)):
        found = preprocess({name: tf.constant(column) for name, column in raw.items()})
        np.testing.assert_allclose(found["features"], expected, rtol=1e-5, atol=1e-6)
    # A client that sends words as they stand in a file, or a number that says "missing" in JSON.
    sent = {"size": [3e38, np.inf], "full": [7.0, np.nan], "town": ["N/A", "ULM"], "day": ["", "x"]}
    spaced = {"size": [3.0], "full": [7.0], "town": ["\tUlm "], "day": [" 2000-01-03 "]}
    found = pipeline.preprocess({k: tf.constant(v) for k, v in spaced.items()})["features"]
    np.testing.assert_allclose(found[:, 2:], [[scaled(2, day), 0, 0, 1, 0, 0]], rtol=1e-5)
    found = pipeline.preprocess({k: tf.constant(v) for k, v in sent.items()})["features"].numpy()
    np.testing.assert_allclose(found[:, 4:], [[0, 0, 0, 1], [0, 0, 1, 0]])
    np.testing.assert_allclose(found[:, :4], [[0, scaled(7, full), 0, 1], [0, 0, 0, 1]], atol=1e-6)


def test_a_column_that_varies_only_after_training_stays_zero(tmp_path):
    write(tmp_path / "a.csv", [["x", "c", "y"], *([0.1, i, i % 2] for i in range(50))])
    write(tmp_path / "b.csv", [["x", "c", "y"], [900, 1, 0], ["", 2, 1]])
    pipeline = load(f"train={tmp_path}/a.csv,test={tmp_path}/b.csv")
    raw = {k: tf.constant(pipeline.rows["test"].table[k]) for k in pipeline.raw}
    np.testing.assert_array_equal(pipeline.preprocess(raw)["features"][:, 0], [0, 0])


def test_rare_categories_are_other(tmp_path):
    words = [f"w{i:03}" for i in range(150) for _ in range(2 + (i < 40))] + ["once"]
    rows = [["w", "y"], *([word, i % 2] for i, word in enumerate(words))]
    write(tmp_path / "a.csv", rows)
    pipeline = load(f"train={tmp_path}/a.csv,validation={tmp_path}/a.csv,test={tmp_path}/a.csv")
    known = [word.decode() for word in pipeline.state["categories"]]
    assert known == [f"w{i:03}" for i in range(100)]
    found = pipeline.preprocess({"w": tf.constant(["w000", "w099", "w100", "once", "new", ""])})
    place = found["features"].numpy().argmax(axis=1)
    np.testing.assert_array_equal(place[:5], [0, 99, 100, 100, 100])
    assert found["features"].numpy()[5].sum() == 0  # missing was never seen: no weight was trained


def test_days_are_those_of_the_calendar():
    first = datetime.date(1600, 1, 1)
    dates = [first + datetime.timedelta(days=61 * i) for i in range(4000)]
    expected = [(date - datetime.date(2000, 1, 1)).days for date in dates]
    text = tf.constant([f" {date.isoformat()}" for date in dates])
    np.testing.assert_array_equal(tabular.days(text), expected)
    assert np.isnan(tabular.days(tf.constant(["2024-13-01", "24-01-01", "", "2024-1-1"]))).all()


def test_the_standard_library_s_csv_is_not_hidden():
    assert csv.__file__ != importlib.import_module("pipelines.csv").__file__
    assert table_file.csv is csv
    assert "your own" in run_python("-m", "trainers.run", "--list").stdout.lower()
    probe = "import sys, pipelines; pipelines.describe('csv'); print('tensorflow' in sys.modules)"
    assert run_python("-c", probe).stdout.strip() == "False"


def test_statistics_of_other_columns_are_refused(tmp_path):
    one = load(write(tmp_path / "a.csv", [["x", "y"], *([i, i % 2] for i in range(60))]))
    two = write(tmp_path / "b.csv", [["z", "y"], *([i, i % 2] for i in range(60))])
    pipeline, rows = source.load(pipelines.get("csv", data_files=two, target="y"))
    with pytest.raises(DataError, match="other columns: x, z"):
        pipelines.prepared(pipeline, rows, one.state)


def test_the_fingerprint_of_texts_is_that_of_their_content():
    def texts(*words):
        return {"a": np.array([b"".join([word]) for word in words], object)}

    assert run_folder.fingerprint(texts(b"ab", b"c")) == run_folder.fingerprint(texts(b"ab", b"c"))
    assert run_folder.fingerprint(texts(b"ab", b"c")) != run_folder.fingerprint(texts(b"a", b"bc"))
