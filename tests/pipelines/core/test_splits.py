"""Splits by content: fixed, seeded, without leaks."""

import re

import numpy as np
import pytest

from pipelines import DataError, Rows
from pipelines.core.splits import by_content, by_percent, digests, duplicates, select
from zoo.spec import Field


def rows(number: int, first: int = 0) -> tuple[Rows, np.ndarray]:
    values = np.arange(first, first + number)
    fields = {"x": Field((), "int64"), "label": Field((), "int64")}
    found = Rows(number, fields, "label", table={"x": values, "label": values % 3})
    return found, digests(str(value).encode() for value in values)


def cut(number: int, seed: int = 0) -> dict[str, set[int]]:
    parts = by_content(*rows(number), seed=seed, validation=0.1, test=0.2)
    return {name: set(part.table["x"].tolist()) for name, part in parts.items()}


def test_by_content_puts_every_example_in_one_split_of_its_fraction():
    parts = cut(6000)
    assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == 6000
    # Four standard deviations of a draw.
    assert abs(len(parts["test"]) - 1200) < 4 * (6000 * 0.2 * 0.8) ** 0.5
    assert abs(len(parts["validation"]) - 600) < 4 * (6000 * 0.1 * 0.9) ** 0.5
    for label in range(3):
        of_class = sum(x % 3 == label for x in parts["test"])
        assert abs(of_class - 400) < 4 * (2000 * 0.2 * 0.8) ** 0.5


def test_by_content_moves_none_for_more_examples_and_many_for_another_seed():
    small, large = cut(500), cut(900)
    for name, part in small.items():
        assert part == {x for x in large[name] if x < 500}
    assert cut(500) == small
    assert cut(500, seed=1) != small


def test_by_content_keeps_copies_together():
    found, digest = rows(300)
    twice = found._replace(
        num_rows=600, table={name: np.tile(column, 2) for name, column in found.table.items()}
    )
    parts = by_content(twice, np.tile(digest, 2), seed=0, validation=0.1, test=0.2)
    for part in parts.values():
        _, counts = np.unique(part.table["x"], return_counts=True)
        assert (counts == 2).all()


def test_duplicates_counts_those_that_are_in_training_too():
    _, digest = rows(10)
    _, other = rows(6, first=8)
    assert duplicates({"train": digest, "validation": other, "test": other[2:]}) == {
        "validation": 2
    }


@pytest.mark.parametrize("fractions", [(0.0, 0.1), (0.5, 0.5), (-0.1, 0.1), (float("nan"), 0.1)])
def test_by_content_refuses_impossible_fractions(fractions):
    with pytest.raises(DataError, match="fractions above 0"):
        by_content(*rows(50), seed=0, validation=fractions[0], test=fractions[1])


def test_by_content_refuses_a_split_without_examples():
    with pytest.raises(DataError, match="too few"):
        by_content(*rows(2), seed=0, validation=0.1, test=0.2)


def test_by_content_leaves_fractions_of_separate_splits_in_training():
    whole, digest = rows(2000)
    every = by_content(whole, digest, seed=0, validation=0.1, test=0.2)
    parts = by_content(whole, digest, seed=0, validation=0.1, test=0.2, separate=["test"])
    assert set(parts) == {"train", "validation"}
    np.testing.assert_array_equal(parts["validation"].table["x"], every["validation"].table["x"])
    expected = np.sort(np.concatenate([every[k].table["x"] for k in ("train", "test")]))
    np.testing.assert_array_equal(parts["train"].table["x"], expected)


def test_digests_are_the_first_eight_bytes_of_sha256():
    digest = digests([b"", b"abc"])
    expected = [bytes.fromhex("e3b0c44298fc1c14"), bytes.fromhex("ba7816bf8f01cfea")]
    assert digest.dtype == np.int64
    assert [int(d).to_bytes(8, "little", signed=True) for d in digest] == expected


@pytest.mark.parametrize(
    ("available", "test"), [(["train", "test"], "test"), (["train", "validation"], "validation")]
)
def test_by_percent_cuts_the_end_of_training_and_takes_what_there_is_as_test(available, test):
    expected = {"train": "train[:85%]", "validation": "train[85%:]", "test": test}
    assert by_percent("own", available, 15) == expected


def test_by_percent_refuses_a_set_without_a_test_split():
    assert by_percent("own", [], 10)["test"] == "test"  # not prepared: its splits are not known
    with pytest.raises(DataError, match=r"own has no test split; it has \['train', 'unlabelled'\]"):
        by_percent("own", ["unlabelled", "train"], 10)
    with pytest.raises(DataError, match=r"own has no dev split; it has \['test', 'train'\]"):
        by_percent("own", ["test", "train"], 10, "dev")
    assert by_percent("own", [], 10, "dev")["test"] == "dev"


def test_select_keeps_the_rows_in_the_order_asked_for():
    whole, _ = rows(9)
    some = select(whole, np.array([7, 2]))
    assert (some.num_rows, some.target) == (2, "label")
    np.testing.assert_array_equal(some.table["x"], [7, 2])


def test_by_content_names_a_seed_where_chance_left_a_split_empty():
    whole, digest = rows(12)
    fractions = {"validation": 0.1, "test": 0.2}

    def sizes(seed):
        return [r.num_rows for r in by_content(whole, digest, seed=seed, **fractions).values()]

    messages = set()
    for seed in range(20):
        try:
            assert all(sizes(seed))
        except DataError as error:
            messages.add(str(error))
    assert messages
    for message in messages:
        seed = re.search(r"by chance: .*--pipeline_options=split_seed=([0-9]+)$", message)[1]
        assert all(sizes(int(seed)))


def test_by_content_says_that_rows_are_copies_where_chance_left_a_split_empty():
    whole, digest = rows(12_000)
    digest = digest[np.arange(12_000) % 8]  # more rows than are ever left to chance
    fractions, faults = {"validation": 0.1, "test": 0.2}, []
    for seed in range(20):
        try:
            by_content(whole, digest, seed=seed, **fractions)
        except DataError as error:
            faults.append(str(error))
    expected = r"12000 examples, which are copies of 8 different ones, fell into .* split_seed=(.+)"
    for fault in faults:
        seed = int(re.search(expected, fault.replace("--pipeline_options=", ""))[1])
        sizes = {
            k: r.num_rows for k, r in by_content(whole, digest, seed=seed, **fractions).items()
        }
        # At least half of its fraction in each; an eighth of the rows cannot be divided.
        assert sizes["train"] >= 4200
        assert min(sizes.values()) >= 1500
    assert faults
    with pytest.raises(DataError, match="copies of one, are too few for a train split"):
        by_content(whole, np.zeros(12_000, np.int64), seed=0, **fractions)
