"""Numbers that stand for missing ones: form, share and gap."""

import datetime

import numpy as np
import pytest

from pipelines.files import sentinels
from pipelines.files.sentinels import Sentinels

AGES = np.arange(1000) % 60 + 18.0


def with_some(values, *others):
    return np.concatenate([values, *(np.full(n, value) for value, n in others)])


def counted(values):
    """The arguments of both functions."""
    return *np.unique(values[~np.isnan(values)], return_counts=True), len(values)


@pytest.mark.parametrize(
    ("values", "certain", "perhaps"),
    [
        (AGES, (), ()),
        (with_some(AGES, (-999, 20)), (-999,), ()),
        (with_some(AGES, (9999, 20), (-999, 20)), (-999, 9999), ()),
        (with_some(AGES, (888, 20), (999, 20)), (888, 999), ()),
        (with_some(AGES, (99.99, 20)), (), (99.99,)),  # a gap of 23 in a range of 59: wide enough?
        (with_some(AGES, (-999, 3)), (), (-999,)),  # too few
        (with_some(AGES, (-200, 20)), (), (-200,)),  # another form
        (with_some(AGES, (-1, 20)), (), (-1,)),  # no wide gap
        (with_some(AGES / 100, (-1, 20)), (-1,), ()),
        (with_some(AGES - 40, (-1, 20)), (), ()),  # among numbers below 0
        (with_some(AGES, (99, 3)), (), ()),
        (np.arange(100.0).repeat(3), (), ()),  # 99 is the last of 0 to 99
        (np.array([0.0, 1] * 50), (), ()),
        (with_some(np.arange(200) % 2.0, (9, 20)), (), ()),  # too few other values
        (np.array([np.nan] * 5), (), ()),
    ],
)
def test_of_numbers_takes_form_share_and_gap_together(values, certain, perhaps):
    assert sentinels.of_numbers(*counted(values)) == Sentinels(certain, perhaps)


def seconds(*day) -> float:
    return (datetime.datetime(*day) - datetime.datetime(2000, 1, 1)).total_seconds()


def test_of_dates_knows_the_days_that_programs_write():
    assert {seconds(*map(int, day.split("-"))) for day in sentinels.DAYS.values()} == set(
        sentinels.DAYS
    )
    born = np.array([seconds(1930 + i % 80, i % 12 + 1, i % 28 + 1) for i in range(900)])
    for day in ((1900, 1, 1), (9999, 12, 31)):
        many = with_some(born, (seconds(*day), 20))
        assert sentinels.of_dates(*counted(many)) == Sentinels((seconds(*day),), ())
    assert sentinels.of_dates(*counted(born)) == Sentinels((), ())
    # The start of a long series is its own.
    series = seconds(1970, 1, 1) + 86_400.0 * np.arange(900)
    assert sentinels.of_dates(*counted(series)) == Sentinels((), ())
