"""Which form of date a column has: the whole column decides, or it is refused."""

from collections import Counter

import numpy as np
import pytest

from pipelines import DataError
from pipelines.files import dates


def at(cell: str) -> str:
    return "t.csv:2"


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (["2024-01-31", "2024-02-01 10:00"], "year_first"),
        (["01/02/2020", "13/02/2020"], "day_first"),
        (["01/02/2020", "02/13/2020"], "month_first"),
        (["01.02.2020", "02.03.2020"], "day_first"),  # no one writes the month first with dots
        (["1980-01", "1980-02"], "month"),
        (["Jan 5, 2021", "May 6, 2021"], "name_first"),
        (["5 Jan 2021", "6 May 2021"], "name_second"),
        (["Thu Jan  5 13:07:09 2017", "Fri Jan  6 13:07:09 2017"], "name_time_year"),
        (["05/Jan/2017:13:07:09 +0000", "06/Feb/2017:13:07:09 +0000"], "name_log"),
        (["1970 Jan", "1970 Feb"], "year_name"),
        (["1998 Q4", "1999 Q1"], "quarter"),
        (["Q4 1998", "Q1 1999"], "quarter_year"),
        (["05:30", "17:45"], "clock"),
        (["01/02/2020"], "day_first"),  # one value only: either way it says nothing
    ],
)
def test_detect_decides_the_form_by_the_whole_column(cells, form):
    assert dates.detect("when", Counter(cells), at).form == form


def test_detect_refuses_what_may_be_read_in_two_ways():
    cells = Counter(["01/01/2020", "01/02/2020", "03/04/2020"])
    reason = (
        "t.csv:2: column 'when': '01/02/2020' may be 2020-02-01 or 2020-01-02, and no other cell "
        "says which: write --pipeline_options=dates=when:day_first or dates=when:month_first"
    )
    with pytest.raises(DataError) as caught:
        dates.detect("when", cells, at)
    assert str(caught.value) == reason
    for order in ("day_first", "month_first"):
        assert dates.detect("when", cells, at, order).form == order


def test_detect_refuses_a_form_that_is_asked_for_and_does_not_fit():
    cells = Counter(["01/02/2020", "31/12/2020"])
    with pytest.raises(DataError, match=r"t\.csv:2: column 'x': '31/12/2020' is not month_first"):
        dates.detect("x", cells, at, "month_first")
    assert dates.detect("x", cells, at, "day_first").form == "day_first"
    assert dates.detect("x", Counter(["2024-01-31"]), at, "month_first").form == "year_first"


@pytest.mark.parametrize(
    "cells",
    [
        ["a", "b"],
        ["1.2.3", "1.2.4"],
        ["10.0.0.1", "10.0.0.2"],
        ["1998 Q5", "Q12"],
        ["2024-01-31", "x", "y"],
    ],
)
def test_detect_leaves_other_texts_alone(cells):
    assert dates.detect("x", Counter(cells), at) is None


def test_digits_are_days_only_if_all_are():
    days = [f"2024{month:02}28" for month in range(1, 13)]
    found = dates.digits(Counter(days))
    assert found.form == "digits"
    assert len(found.moments) == 12
    assert dates.digits(Counter([*days, "20240230"])) is None
    assert dates.digits(Counter([*days, "12345678"])) is None
    assert dates.digits(Counter(days[:3])) is None  # too few to say


def test_digits_may_be_months_or_have_a_time():
    months = [f"{year}{month:02}" for year in (2023, 2024) for month in range(1, 13)]
    assert dates.digits(Counter(months)).form == "digits_month"
    assert dates.digits(Counter(months[:12])) is None  # of one year: numbers of orders, perhaps
    assert dates.digits(Counter([*months, "202413"])) is None
    times = [f"2024{month:02}28235{month % 10}" for month in range(1, 13)]
    assert dates.digits(Counter(times)).form == "digits_time"
    assert dates.digits(Counter([f"{time}59" for time in times])).form == "digits_time"
    assert dates.digits(Counter([*times, "202401282460"])) is None
    assert dates.detect("x", Counter([*months[:5], "b"]), at) is None  # of a column of codes


@pytest.mark.parametrize(
    ("cell", "values", "may_be"),
    [
        ("202401", [202401, 202512], True),
        ("", [np.nan, 202401], True),
        ("20240131", [20240131, 20250131], True),
        ("202401312359", [202401312359, np.nan], True),
        ("202401", [202401, 99], False),
        ("1700000000", [1.7e9, 1.7e9], False),
        ("", [np.nan], False),
    ],
)
def test_may_be_digits_looks_at_the_range_of_numbers(cell, values, may_be):
    assert dates.may_be_digits(cell, np.array(values)) == may_be


@pytest.mark.parametrize(
    ("texts", "unit", "shown"),
    [
        (["2024-01-31 10:11:12", "2024-01-31"], "second", "2024-01-31 10:11:12"),
        (["2024-01-31 10:11", "2024-01-31"], "minute", "2024-01-31 10:11"),
        (["2024-01-31 10:00", "2024-01-31"], "hour", "2024-01-31 10:00"),
        (["2024-01-31", "2024-02-01"], "day", "2024-01-31"),
        (["2024-03-01", "2024-01-01"], "month", "2024-03"),
        (["2024-01-01", "2023-01-01"], "year", "2024"),
    ],
)
def test_resolution_is_the_finest_unit_in_which_they_differ(texts, unit, shown):
    moments = dates.detect("when", Counter(texts), at).moments
    local = np.array([moments[text][1] for text in texts])
    assert dates.resolution(local) == unit
    assert dates.iso(local[0], unit, "year_first") == shown
