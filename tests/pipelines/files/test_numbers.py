"""Numbers as people write them."""

from collections import Counter

import pytest

from pipelines import DataError
from pipelines.files import numbers


def at(cell: str) -> str:
    return "t.csv:2"


@pytest.mark.parametrize(
    ("cell", "form", "value"),
    [
        ("1,039.92", "point", 1039.92),
        ("$1,039.92", "point $", 1039.92),
        ("-$5", "point $", -5),
        ("$-5", "point $", -5),
        ("($5.50)", "point $", -5.5),
        ("1,00,000", "point", 100_000),
        ("12 %", "point %", 12),
        ("-0.5%", "point %", -0.5),
        ("1.234,50", "comma", 1234.5),
        ("1 234,50 €", "comma €", 1234.5),
        ("1\u00a0234,50\u00a0€", "comma €", None),  # only a plain space stands before a unit
        ("1'234.50", "point", 1234.5),
        ("CHF 1'234.50", "point CHF", 1234.5),
        (",5", "comma", 0.5),
        ("1,5e-3", "comma", 0.0015),
        ("12", "point %", None),  # percentages all have their sign
        ("12,34.5", "point", None),
        ("007", "point", None),
        ("$", "point $", None),
        ("€5", "point $", None),
        ("1.2.3", "comma", None),
        ("--5", "point", None),
        ("+-0.5", "point", None),  # of a tolerance
        ("-$-5", "point $", None),
        ("-(5)", "point", None),
    ],
)
def test_value_by_hand(cell, form, value):
    assert numbers.value(cell, form) == value


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (["1.5", "2"], ""),
        (["$1,200.50", "$3"], "point $"),
        (["1.234,50", "12"], "comma"),
        (["0,123", "0,456"], "comma"),  # thousands never begin with 0
        (["1,234", "999", "12"], "point"),  # who marks thousands marks them everywhere
        (["1,234", "1234", "12"], "comma"),
        (["1,234,567", "1,234"], "point"),
        (["5 %", "7 %"], "point %"),
        (["5,5 %", "7 %"], "comma %"),
        (["€ 5,50", "€ 7,25"], "comma €"),
        (["US$5", "US$7"], "point US$"),
        (["\u22121.5", "2.5"], "point"),
        (["\u22121,5", "1.002,5"], "comma"),
    ],
)
def test_written_finds_the_form_of_a_column(cells, form):
    found = numbers.written("x", Counter(cells), at)
    assert found.form == form
    assert set(found.values) == set(cells)


def test_written_refuses_what_may_be_read_in_two_ways():
    cells = Counter(["1,234", "5,678"])
    with pytest.raises(DataError) as caught:
        numbers.written("price", cells, at)
    assert str(caught.value) == (
        "t.csv:2: column 'price': '1,234' may be 1234 or 1.234, and no other cell says "
        "which: write --pipeline_options=decimal=price:point or decimal=price:comma"
    )
    assert numbers.written("x", cells, at, "point").values == {"1,234": 1234, "5,678": 5678}
    assert numbers.written("x", cells, at, "comma").values == {"1,234": 1.234, "5,678": 5.678}


def test_written_leaves_cells_of_other_units_unread():
    found = numbers.written("x", Counter({"$5": 9, "€5": 1, "free": 1}), at)
    assert found.values == {"$5": 5}


def test_written_asks_nothing_where_a_cell_is_no_number_either_way():
    found = numbers.written("x", Counter({"blue": 5, "1,200": 1, "red": 4}), at)
    assert found.values == {"1,200": 1200}


@pytest.mark.parametrize(
    ("cells", "may"),
    [
        (["1.250", "999", "-12.500"], True),
        (["1.000", "2.000"], True),
        (["1.250", "1.5"], False),
        (["0.125", "1.250"], False),
        (["1.250e3", "2.500"], False),
        (["1", "1250"], False),
    ],
)
def test_points_may_mark_thousands_where_all_have_three_digits_after_them(cells, may):
    assert numbers.mark_thousands(cells) == may
