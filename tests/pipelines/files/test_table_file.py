"""Tables as text files: cells, lines, encodings and names."""

import csv
import math

import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import DataError
from pipelines.files import table_file
from tests.pipelines.tables import write

CELL = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


def read(path, encoding="") -> list[list[str]]:
    table = table_file.open_table(str(path), encoding)
    return [list(table.names), *(cells for _, cells in table_file.rows(table))]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.lists(CELL, min_size=3, max_size=3), max_size=8),
    delimiter=st.sampled_from(",;\t"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    line=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_rows_are_what_a_csv_writer_wrote(rows, delimiter, encoding, line, tmp_path):
    header = ["a,b", "c;d", "e\tf"]
    dialect = {"delimiter": delimiter, "lineterminator": line, "quoting": csv.QUOTE_ALL}
    path = write(tmp_path / "t.csv", [header, *rows], encoding, **dialect)
    assert read(path) == [header, *([c.strip(table_file.SPACE) for c in row] for row in rows)]


def test_rows_know_their_lines_also_after_cells_of_several_lines(tmp_path):
    (tmp_path / "t.csv").write_bytes(b'a,b\r\n"x\r\ny",1\r\n\r\nz,2\r\n')
    table = table_file.open_table(str(tmp_path / "t.csv"))
    assert list(table_file.rows(table)) == [(2, ["x\r\ny", "1"]), (5, ["z", "2"])]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_open_table_takes_any_encoding(encoding, tmp_path):
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
def test_field_name_is_one_that_tensorflow_keeps(column, field, tmp_path):
    assert table_file.field_name(column) == field == table_file.field_name(field)
    spec = {field: tf.TensorSpec((None,), name=field), "other": tf.TensorSpec((None,))}
    function = tf.function(lambda **raw: {"sum": tf.add_n(list(raw.values()))}, autograph=False)
    tf.saved_model.save(
        tf.Module(), str(tmp_path), signatures=function.get_concrete_function(**spec)
    )
    served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    assert set(served.structured_input_signature[1]) == {field, "other"}


@given(st.text(max_size=12))
def test_field_name_is_a_name(name):
    field = table_file.field_name(name)
    assert field.isascii()
    assert field.isidentifier()
    assert table_file.field_name(field) == field


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("1", 1.0),
        ("-1.50", -1.5),
        (".5", 0.5),
        ("+2e3", 2000.0),
        ("0", 0.0),
        ("1e38", 1e38),
        ("", math.nan),
        ("NA", math.nan),
        ("n/a", math.nan),
        ("?", math.nan),
        ("007", None),
        ("1_000", None),
        ("1,5", None),
        ("inf", None),
        ("1e39", None),
        ("0x1", None),
        ("one", None),
    ],
)
def test_number_reads_plain_numbers_and_missing_cells(cell, value):
    assert table_file.number(cell) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_open_table_finds_the_delimiter_that_makes_most_columns(delimiter, tmp_path):
    path = write(tmp_path / "t.csv", [["a", "b", "c"], ["1,5", "x", "y"]], delimiter=delimiter)
    table = table_file.open_table(path)
    assert (table.delimiter, table.names) == (delimiter, ("a", "b", "c"))
    assert list(table_file.rows(table)) == [(2, ["1,5", "x", "y"])]


def test_the_only_column_of_a_tsv_may_have_commas_in_its_texts(tmp_path):
    lines = ["Superb, we thought", "Never again; dull, long", "a|b", "Fine, in the end"]
    (tmp_path / "t.tsv").write_text("text\n" + "\n".join(lines))
    table = table_file.open_table(str(tmp_path / "t.tsv"))
    assert (table.delimiter, table.names) == ("\t", ("text",))
    assert [cells for _, cells in table_file.rows(table)] == [[line] for line in lines]
    (tmp_path / "t.tsv").write_text("a,b\n1,2\n")  # with a wrong ending
    assert table_file.open_table(str(tmp_path / "t.tsv")).names == ("a", "b")
    (tmp_path / "t.tsv").write_text("Size, m2\tprice\n1,5\t2\n")
    assert table_file.open_table(str(tmp_path / "t.tsv")).names == ("Size, m2", "price")


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_open_table_finds_the_delimiter_below_names_with_commas(delimiter, tmp_path):
    lines = [["Temp, °C", "Wind, km/h", "Rain, mm"], ["1,5", "12,0", "0"], ["2,5", "7,25", "1"]]
    path = tmp_path / "t.csv"
    path.write_text("".join(delimiter.join(cells) + "\n" for cells in lines), encoding="utf-8")
    assert read(path) == lines


def test_rows_refuse_more_or_fewer_cells_than_columns(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n\n1,2,3\n")
    rows = table_file.rows(table_file.open_table(str(tmp_path / "t.csv")))
    assert next(rows) == (2, ["1", "2"])
    with pytest.raises(DataError, match=r"t\.csv:4: 3 cells, the header has 2 columns"):
        next(rows)


def test_open_table_refuses_names_that_differ_in_their_case_alone(tmp_path):
    path = write(tmp_path / "t.csv", [["Age", "y", "age"], ["1", "2", "3"]])
    with pytest.raises(DataError, match="column 'age' beside 'Age': both are age to a server"):
        table_file.open_table(path)
