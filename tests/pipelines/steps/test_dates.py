"""Dates and times of day as text, against the standard library."""

import datetime

import numpy as np
import pytest
import tensorflow as tf

from pipelines.steps import dates

START = datetime.datetime(2000, 1, 1)


def seconds(*moment) -> float:
    return (datetime.datetime(*moment) - START).total_seconds()


def test_moments_are_those_of_the_calendar():
    first = datetime.datetime(1600, 1, 1, 13, 7, 9)
    moments = [first + datetime.timedelta(days=61 * i, seconds=4001 * i) for i in range(4000)]
    found = dates.read([f" {m.isoformat()}".encode() for m in moments], "year_first")
    np.testing.assert_array_equal(found.instant, [(m - START).total_seconds() for m in moments])
    np.testing.assert_array_equal(found.local, found.instant)
    assert found.month.tolist() == [m.month for m in moments]
    assert found.day.tolist() == [m.day for m in moments]


@pytest.mark.parametrize(
    ("form", "text", "instant", "local"),
    [
        ("year_first", "2024-01-31", (2024, 1, 31), None),
        ("year_first", "2024/1/3 1:05 pm", (2024, 1, 3, 13, 5), None),
        ("year_first", "2024-02-29T10:11:12.250Z", (2024, 2, 29, 10, 11, 12, 250_000), None),
        (
            "year_first",
            "2024-01-31 00:30:00+02:00",
            (2024, 1, 30, 22, 30),
            (2024, 1, 31, 0, 30),
        ),
        ("year_first", "2024-01-31 20:00 -0530", (2024, 2, 1, 1, 30), (2024, 1, 31, 20)),
        ("day_first", "31/12/2020", (2020, 12, 31), None),
        ("day_first", "1.2.2020 12:00", (2020, 2, 1, 12), None),
        ("day_first", "1-2-69", (1969, 2, 1), None),
        ("day_first", "01.02.20", (2020, 2, 1), None),
        ("year_first", "9999-12-31", (9999, 12, 31), None),
        ("day_first", "31/12/68 12:30 AM", (2068, 12, 31, 0, 30), None),
        ("month_first", "12/31/2020 12:00 p.m.", (2020, 12, 31, 12), None),
        ("month", "1980-01", (1980, 1, 1), None),
        ("month_year", "02/1980", (1980, 2, 1), None),
        ("digits", "20201231", (2020, 12, 31), None),
        ("digits_month", "202012", (2020, 12, 1), None),
        ("digits_time", "20201231235958", (2020, 12, 31, 23, 59, 58), None),
        ("digits_time", "202012310005", (2020, 12, 31, 0, 5), None),
        ("name_time_year", "Thu Jan  5 13:07:09 2017", (2017, 1, 5, 13, 7, 9), None),
        (
            "name_time_year",
            "Thu Jan 05 00:30:00 +0100 2017",
            (2017, 1, 4, 23, 30),
            (2017, 1, 5, 0, 30),
        ),
        ("name_log", "05/Jan/2017:13:07:09 +0000", (2017, 1, 5, 13, 7, 9), None),
        ("year_name", "1970 Jan", (1970, 1, 1), None),
        ("year_name", "1970-september", (1970, 9, 1), None),
        ("quarter", "1998 Q1", (1998, 1, 1), None),
        ("quarter", "1998-q2", (1998, 4, 1), None),
        ("quarter", "1998Q4", (1998, 10, 1), None),
        ("quarter_year", "Q32010", (2010, 7, 1), None),
        ("digits", "20201231T235959Z", (2020, 12, 31, 23, 59, 59), None),
        ("digits", "20201231 93012", (2020, 12, 31, 9, 30, 12), None),  # an hour of one digit
        ("year_first", "2020-12-31 930", (2020, 12, 31, 9, 30), None),
        ("year_first", "2020-12-31 2359+01", (2020, 12, 31, 22, 59), (2020, 12, 31, 23, 59)),
        ("name_first", "Jan 5, 2021", (2021, 1, 5), None),
        ("name_first", "Mon, SEPTEMBER 6th 2021 08:00", (2021, 9, 6, 8), None),
        ("name_second", "5-Mar-21", (2021, 3, 5), None),
        ("name_second", "Tue, 05 Jan 2021 10:00:00 GMT", (2021, 1, 5, 10), None),
        ("name_year", "Dec 2021", (2021, 12, 1), None),
        ("clock", "5:30 PM", (2000, 1, 1, 17, 30), None),
    ],
)
def test_moments_by_hand(form, text, instant, local):
    found = dates.read([text.encode()], form)
    assert found.instant.tolist() == [seconds(*instant)]
    assert found.local.tolist() == [seconds(*(local or instant))]


@pytest.mark.parametrize(
    ("form", "texts"),
    [
        (
            "year_first",
            ["2024-13-01", "24-01-01", "", "2024-02-30", "2023-02-29", "2024-01-01 25:00"],
        ),
        ("day_first", ["31/04/2024", "1.2.20", "12/31/2024", "2024-01-31"]),
        ("digits", ["20240230", "2024013", "202401311"]),
        ("name_first", ["Jann 5, 2021", "Feb 30, 2021", "5 Jan 2021"]),
        ("clock", ["24:00", "5:60", "1030"]),
    ],
)
def test_moments_of_other_texts_are_missing(form, texts):
    found = dates.read([text.encode() for text in texts], form)
    assert np.isnan(found.instant).all()
    assert np.isnan(found.local).all()
    calendar = dates.calendar(dates.Moments(*map(tf.constant, found)))
    for of, values in calendar.items():
        assert values.numpy().tolist() == [b""] * len(texts), of


def test_calendar_and_time_of_day_by_the_standard_library():
    moments = [START + datetime.timedelta(hours=7 * i, minutes=i % 60) for i in range(-3000, 3000)]
    found = dates.moments(tf.constant([m.isoformat() for m in moments]), "year_first")
    calendar = {name: values.numpy().tolist() for name, values in dates.calendar(found).items()}
    assert calendar == {
        "month": [f"{m.month:02}".encode() for m in moments],
        "weekday": [f"{m.isoweekday()}".encode() for m in moments],
        "day": [f"{m.day:02}".encode() for m in moments],
        "hour": [f"{m.hour:02}".encode() for m in moments],
    }
    hours = [m.hour + m.minute / 60 for m in moments]
    np.testing.assert_allclose(dates.time_of_day(found), hours, atol=1e-9)


def test_moments_are_the_same_in_a_graph():
    texts = tf.constant(["2024-01-31 10:00", "x", "2023-12-01"])
    one = dates.moments(texts, "year_first")
    two = tf.function(lambda t: dates.moments(t, "year_first"), autograph=False)(texts)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
