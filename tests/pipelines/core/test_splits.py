"""Splits by content: fixed, seeded, without leaks."""

import numpy as np
import pytest

from pipelines import DataError, Rows
from pipelines.core.splits import by_content, digests, duplicates
from zoo.spec import Field


def rows(number: int, first: int = 0) -> tuple[Rows, np.ndarray]:
    values = np.arange(first, first + number)
    fields = {"x": Field((), "int64"), "label": Field((), "int64")}
    found = Rows(number, fields, "label", table={"x": values, "label": values % 3})
    return found, digests(str(value).encode() for value in values)


def cut(number: int, seed: int = 0) -> dict[str, set[int]]:
    parts = by_content(*rows(number), seed=seed, validation=0.1, test=0.2)
    return {name: set(part.table["x"].tolist()) for name, part in parts.items()}


def test_every_example_is_in_one_split_and_shares_are_as_asked():
    parts = cut(6000)
    assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == 6000
    # Four standard deviations of a draw.
    assert abs(len(parts["test"]) - 1200) < 4 * (6000 * 0.2 * 0.8) ** 0.5
    assert abs(len(parts["validation"]) - 600) < 4 * (6000 * 0.1 * 0.9) ** 0.5
    for label in range(3):
        of_class = sum(x % 3 == label for x in parts["test"])
        assert abs(of_class - 400) < 4 * (2000 * 0.2 * 0.8) ** 0.5


def test_more_examples_move_none_and_a_seed_moves_many():
    small, large = cut(500), cut(900)
    for name, part in small.items():
        assert part == {x for x in large[name] if x < 500}
    assert cut(500) == small
    assert cut(500, seed=1) != small


def test_copies_of_an_example_share_a_split():
    found, digest = rows(300)
    twice = found._replace(
        num_rows=600, table={name: np.tile(column, 2) for name, column in found.table.items()}
    )
    parts = by_content(twice, np.tile(digest, 2), seed=0, validation=0.1, test=0.2)
    for part in parts.values():
        _, counts = np.unique(part.table["x"], return_counts=True)
        assert (counts == 2).all()


def test_duplicates_are_counted_where_they_are():
    _, digest = rows(10)
    _, other = rows(6, first=8)
    assert duplicates({"train": digest, "validation": other, "test": other[2:]}) == {
        "validation": 2
    }


@pytest.mark.parametrize("shares", [(0.0, 0.1), (0.5, 0.5), (-0.1, 0.1), (float("nan"), 0.1)])
def test_impossible_shares_are_refused(shares):
    with pytest.raises(DataError, match="shares above 0"):
        by_content(*rows(50), seed=0, validation=shares[0], test=shares[1])


def test_a_split_without_examples_is_refused():
    with pytest.raises(DataError, match="too few"):
        by_content(*rows(2), seed=0, validation=0.1, test=0.2)
