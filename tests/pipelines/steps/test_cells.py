"""Raw cells to numbers and texts: the same in training and for a client."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from pipelines import Rows
from pipelines.files import numbers
from pipelines.files.readings import Reading
from pipelines.steps import cells
from zoo.spec import Field


def rows_of(readings, **columns) -> Rows:
    table = {
        name: np.array(values, object if isinstance(values[0], bytes) else np.float64)
        for name, values in columns.items()
    }
    fields = {
        name: Field((), "string" if column.dtype == object else "float64")
        for name, column in table.items()
    }
    number = len(next(iter(table.values())))
    table["y"], fields["y"] = np.zeros(number), Field((), "float32")
    return Rows(number, fields, "y", table=table, readings=readings)


def sent(**columns):
    return {name: tf.constant(values) for name, values in columns.items()}


@pytest.mark.parametrize("form", ["point", "comma", "point $", "comma €", "point %", "point US$"])
def test_numbers_reads_what_the_file_reader_reads(form):
    unit = form.partition(" ")[2]
    bodies = [
        "1,039.92",
        "1.039,92",
        "12",
        "-3",
        "--3",
        "+-3",
        "0.5",
        ",5",
        "1 234",
        "(7)",
        "1e3",
        "007",
        "",
        "x",
    ]
    texts = (
        [f"{b}{unit}" for b in bodies]
        + [f"{unit}{b}" for b in bodies]
        + [*bodies, "-" + unit, f"-{unit}-5"]
    )
    reading = Reading("number", form)
    part = cells.recorded(rows_of({"x": reading}, x=[b"1"]))
    found = cells.read(part, sent(x=texts)).numbers.numpy()[:, 0]
    expected = [numbers.value(text, form) for text in texts]
    np.testing.assert_array_equal(found, [np.nan if v is None else v for v in expected])
    assert np.isfinite(found).sum() >= 4


def test_numbers_takes_words_and_sentinels_as_missing():
    readings = {
        "x": Reading("number", sentinels=(-999.0, 0.0)),
        "z": Reading("number", "point", words=(b"", b"-"), sentinels=(1000.0,)),
    }
    part = cells.recorded(rows_of(readings, x=[1.0], z=[b"1,000"]))
    raw = {
        "x": [-999.0, 0, 5, np.inf, 3e38, np.nan],
        "z": ["-", " 2,000 ", "1000", "1,000", "", "NA"],
    }
    found = cells.read(part, {k: tf.constant(v) for k, v in raw.items()}).numbers
    nan = np.nan
    np.testing.assert_array_equal(
        found, [[nan, nan], [nan, 2000], [5, nan], [nan, nan], [nan, nan], [nan, nan]]
    )


def test_texts_are_stripped_and_missing_by_the_words_of_their_column():
    readings = {"a": Reading("text", words=(b"", b"none")), "b": Reading("text", words=(b"", b"-"))}
    part = cells.recorded(rows_of(readings, a=[b"x"], b=[b"x"]))
    values = [" None ", "-", "x\t", ""]
    one, two = cells.read(part, sent(a=values, b=values)).texts
    assert one.numpy().tolist() == [b"", b"-", b"x", b""]
    assert two.numpy().tolist() == [b"None", b"", b"x", b""]


def test_dates_become_seconds_hours_and_parts_that_vary():
    stamps = [
        f"2024-{m:02}-{d:02} {h:02}:30".encode()
        for m in (1, 2)
        for d in range(1, 29)
        for h in range(8, 18)
    ] * 6  # 3 360 rows, enough for days of the month
    days = [stamp[:10] for stamp in stamps]
    readings = {
        "at": Reading("date", "year_first", sentinels=(-3_155_673_600.0,)),
        "day": Reading("date", "year_first"),
    }
    part = cells.recorded(rows_of(readings, at=stamps, day=days))
    assert part["texts"].tolist() == [
        *("at month", "at weekday", "at day", "at hour"),
        *("day month", "day weekday", "day day"),
    ]
    assert part["clocks"].tolist() == ["at"]
    raw = sent(at=["2024-03-05 10:45", "1900-01-01", "soon"], day=["2000-01-02", "2000-01-01", ""])
    nan = np.nan
    seconds = 8830 * 86_400 + 10.75 * 3600  # 2024-03-05 is day 8830 from 2000-01-01
    np.testing.assert_allclose(
        cells.read(part, raw).numbers, [[seconds, 86_400, 10.75], [nan, 0, nan], [nan, nan, nan]]
    )
    found = dict(zip(part["texts"].tolist(), cells.read(part, raw).texts, strict=True))
    shown = {name: text.numpy().tolist() for name, text in found.items()}
    assert shown["at month"] == [b"03", b"", b""]
    assert shown["at weekday"] == [b"2", b"", b""]  # a Tuesday
    assert shown["at hour"] == [b"10", b"", b""]
    assert shown["day day"] == [b"02", b"01", b""]


def test_recorded_keeps_the_time_of_day_as_a_number_where_hours_are_no_columns():
    stamps = [f"2024-01-01 {i % 24:02}:00".encode() for i in range(240)]
    few = cells.recorded(rows_of({"at": Reading("date", "year_first")}, at=stamps[:100]))
    assert (few["texts"].tolist(), few["clocks"].tolist()) == ([], ["at"])
    many = cells.recorded(rows_of({"at": Reading("date", "year_first")}, at=stamps))
    assert (many["texts"].tolist(), many["clocks"].tolist()) == (["at hour"], [])


def test_recorded_leaves_out_parts_with_too_few_rows_for_their_values():
    days = [f"2024-{i % 12 + 1:02}-{i % 28 + 1:02}".encode() for i in range(100)]
    part = cells.recorded(rows_of({"day": Reading("date", "year_first")}, day=days))
    assert part["texts"].tolist() == ["day weekday"]  # 7 values; 12 months need 120 rows
    assert Counter(part["columns"].tolist()) == Counter(["day"])
