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
        (["05:30", "17:45"], "clock"),
        (["01/02/2020"], "day_first"),  # one value only: either way it says nothing
    ],
)
def test_found_decides_the_form_by_the_whole_column(cells, form):
    assert dates.found("when", Counter(cells), at).form == form


def test_found_refuses_what_may_be_read_in_two_ways():
    cells = Counter(["01/01/2020", "01/02/2020", "03/04/2020"])
    reason = (
        "t.csv:2: column 'when': '01/02/2020' may be 2020-02-01 or 2020-01-02, and no other cell "
        "says which: write --pipeline_options=dates=when:day_first or dates=when:month_first"
    )
    with pytest.raises(DataError) as caught:
        dates.found("when", cells, at)
    assert str(caught.value) == reason
    for asked in ("day_first", "month_first"):
        assert dates.found("when", cells, at, asked).form == asked


def test_found_refuses_a_form_that_is_asked_for_and_does_not_fit():
    cells = Counter(["01/02/2020", "31/12/2020"])
    with pytest.raises(DataError, match=r"t\.csv:2: column 'x': '31/12/2020' is not month_first"):
        dates.found("x", cells, at, "month_first")
    assert dates.found("x", cells, at, "day_first").form == "day_first"
    assert dates.found("x", Counter(["2024-01-31"]), at, "month_first").form == "year_first"


@pytest.mark.parametrize(
    "cells", [["a", "b"], ["1.2.3", "1.2.4"], ["10.0.0.1", "10.0.0.2"], ["2024-01-31", "x", "y"]]
)
def test_found_leaves_other_texts_alone(cells):
    assert dates.found("x", Counter(cells), at) is None


def test_digits_are_days_only_if_all_are():
    days = [f"2024{month:02}28" for month in range(1, 13)]
    found = dates.digits(Counter(days))
    assert found.form == "digits"
    assert len(found.moments) == 12
    assert dates.digits(Counter([*days, "20240230"])) is None
    assert dates.digits(Counter([*days, "12345678"])) is None
    assert dates.digits(Counter(days[:3])) is None  # too few to say


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
    moments = dates.found("when", Counter(texts), at).moments
    local = np.array([moments[text][1] for text in texts])
    assert dates.resolution(local) == unit
    assert dates.iso(local[0], unit, "year_first") == shown
