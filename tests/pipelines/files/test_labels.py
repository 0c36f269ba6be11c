"""Labels that differ in spelling alone, and whole numbers that may be classes."""

import numpy as np
import pytest

from pipelines.files import labels
from pipelines.files.columns import Column


def column(values) -> Column:
    values = np.array(values, object)
    return Column("y", "text", values, len(set(values.tolist()) - {b""}), {})


def test_merged_takes_the_most_frequent_spelling():
    made = labels.merged(column([b"Yes", b"Yes", b"yes", b"YES", b"no", b"no  no", b"No no", b""]))
    assert made.values.tolist() == [b"Yes"] * 4 + [b"no", b"No no", b"No no", b""]
    assert made.distinct == 3
    assert made.remark.splitlines() == [
        "y: 'YES', 'yes' (2 cells) are taken as 'Yes'; labels=as_written keeps them apart",
        "y: 'no  no' (1 cells) are taken as 'No no'; labels=as_written keeps them apart",
    ]


@pytest.mark.parametrize(
    "values", [[b"a", b"A", b"b"], [b"01", b"1", b"001"], [b"x y", b"xy"]], ids=str
)
def test_merged_keeps_single_letters_and_other_labels_apart(values):
    made = labels.merged(column(values))
    assert (made.values.tolist(), made.remark) == (values, "")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.arange(1, 31).repeat(10), True),
        (np.arange(0, 25).repeat(5), True),
        (np.arange(1, 31).repeat(4), False),  # too few of each
        (np.arange(2, 31).repeat(10), False),  # from 2 on
        (np.arange(1, 61, 2).repeat(10), False),
        (np.random.default_rng(0).poisson(12, 3000), False),  # counts have a tail
        (np.arange(1, 131).repeat(10), False),
    ],
)
def test_either_asks_about_even_numbers_without_a_gap(values, expected):
    assert labels.either(values.astype(float)) is expected
