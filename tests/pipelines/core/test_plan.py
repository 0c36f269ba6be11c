"""The order of rows: as it was for small sets, and as properties for any."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core import plan as plan_module
from pipelines.core.keys import bits_numpy
from pipelines.core.plan import (
    batches,
    evaluation_plan,
    order_version,
    permutation,
    training_plan,
)

ROWS = st.integers(1, 400)
BATCH = st.integers(1, 64)
SEED = st.integers(0, 2**31 - 1)
LARGE = (2**16 + 1, 10**5, 2**17, 2**17 + 1)


def by_sorting(num_rows, batch_size, seed, epoch, lengths=None) -> np.ndarray:
    """One epoch by a sort of hashes: the figures of small sets were made with this order."""
    steps = num_rows // batch_size
    order = np.argsort(bits_numpy(seed, epoch, -1, np.arange(num_rows)), kind="stable")
    order = order[: steps * batch_size].reshape(steps, batch_size)
    if lengths is None:
        return order
    for first in range(0, steps, 50):
        group = order[first : first + 50].reshape(-1)
        group = group[np.argsort(lengths[group], kind="stable")]
        order[first : first + 50] = group.reshape(-1, batch_size)
    return order[np.argsort(bits_numpy(seed, epoch, -2, np.arange(steps)), kind="stable")]


def epoch_of(num_rows, batch_size, seed=0, epoch=0, lengths=None) -> np.ndarray:
    plan = training_plan(num_rows, batch_size=batch_size, seed=seed, lengths=lengths)
    return plan.rows(epoch, 0, plan.steps)


@settings(deadline=None, derandomize=True)
@given(
    num_rows=ROWS, batch_size=BATCH, seed=SEED, epoch=st.integers(0, 1000), by_length=st.booleans()
)
def test_training_plan_is_whole_batches_of_different_rows(
    num_rows, batch_size, seed, epoch, by_length
):
    lengths = np.arange(num_rows) % 7 if by_length else None
    if num_rows < batch_size:
        with pytest.raises(ValueError, match="do not fill"):
            training_plan(num_rows, batch_size=batch_size, seed=seed)
        return
    order = epoch_of(num_rows, batch_size, seed, epoch, lengths)
    assert order.shape == (num_rows // batch_size, batch_size)
    assert len(np.unique(order)) == order.size
    assert order.min() >= 0
    assert order.max() < num_rows
    np.testing.assert_array_equal(order, by_sorting(num_rows, batch_size, seed, epoch, lengths))


@pytest.mark.parametrize("num_rows", [1257, 45_000, 2**16])
@pytest.mark.parametrize("by_length", [False, True])
def test_training_plan_of_small_sets_is_a_sort_of_hashes(num_rows, by_length):
    lengths = np.random.default_rng(0).integers(1, 400, num_rows) if by_length else None
    expected = by_sorting(num_rows, 32, 7, 3, lengths)
    np.testing.assert_array_equal(epoch_of(num_rows, 32, 7, 3, lengths), expected)
    plan = training_plan(num_rows, batch_size=32, seed=7, lengths=lengths)
    np.testing.assert_array_equal(plan.rows(3, 11, 30), expected[11:30])


@settings(deadline=None, derandomize=True)
@given(num_rows=st.integers(2, 400), small=st.integers(1, 20), large=st.integers(1, 20), seed=SEED)
def test_training_plan_orders_alike_for_any_batch_size(num_rows, small, large, seed):
    orders = [
        epoch_of(num_rows, min(size, num_rows), seed, 2).reshape(-1) for size in (small, large)
    ]
    shared = min(map(len, orders))
    np.testing.assert_array_equal(orders[0][:shared], orders[1][:shared])


def test_training_plan_leaves_out_every_row_sometimes_and_favours_no_position():
    left_out, first = np.zeros(10), np.zeros(10)
    for epoch in range(3000):
        order = epoch_of(10, 4, seed=1, epoch=epoch).reshape(-1)
        left_out[np.setdiff1d(np.arange(10), order)] += 1
        first[order[0]] += 1
    assert np.abs(left_out / 3000 - 0.2).max() < 0.03
    assert np.abs(first / 3000 - 0.1).max() < 0.03


@pytest.mark.parametrize("sorted_up_to", [2**16, 100])
def test_training_plan_by_length_puts_similar_lengths_together(sorted_up_to, monkeypatch):
    monkeypatch.setattr(plan_module, "_SORTED", sorted_up_to)
    lengths = np.random.default_rng(0).integers(1, 500, 6400)
    mixed, bucketed = epoch_of(6400, 32), epoch_of(6400, 32, lengths=lengths)
    waste = [np.mean(lengths[p].max(1) - lengths[p].mean(1)) for p in (mixed, bucketed)]
    assert waste[1] < waste[0] / 10
    means = lengths[bucketed].mean(1)
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.2  # dealt in random order


@pytest.mark.parametrize("num_rows", [6400, 6427, 3209])
def test_training_plan_by_length_of_many_rows_is_a_partition_in_any_slice(num_rows, monkeypatch):
    """As beyond 2^16 rows: a slice sorts only the groups of 50 batches that it touches."""
    monkeypatch.setattr(plan_module, "_SORTED", 100)
    lengths = np.random.default_rng(1).integers(1, 500, num_rows)
    plan = training_plan(num_rows, batch_size=32, seed=3, lengths=lengths)
    whole = plan.rows(2, 0, plan.steps)
    assert len(np.unique(whole)) == whole.size
    assert whole.max() < num_rows
    for first, end in ((0, 1), (49, 51), (13, 98), (plan.steps - 3, plan.steps)):
        np.testing.assert_array_equal(plan.rows(2, first, end), whole[first:end])
    unsorted = training_plan(num_rows, batch_size=32, seed=3).rows(2, 0, plan.steps)
    for first in range(0, plan.steps, 50):  # the same rows, in other batches of their group
        np.testing.assert_array_equal(
            np.sort(whole[first : first + 50], axis=None),
            np.sort(unsorted[first : first + 50], axis=None),
        )


def test_training_plan_by_length_of_many_rows_orders_no_more_than_its_groups(monkeypatch):
    lengths = np.random.default_rng(1).integers(1, 500, 2**17)
    plan, asked = training_plan(2**17, batch_size=32, seed=3, lengths=lengths), []
    original = plan_module.permutation

    def counted(num_rows, index, **options):
        asked.append(len(index))
        return original(num_rows, index, **options)

    monkeypatch.setattr(plan_module, "permutation", counted)
    plan.rows(0, 100, 110)
    assert asked == [50 * 32]


@pytest.mark.parametrize("num_rows", LARGE)
def test_permutation_of_many_rows_has_each_once_and_any_slice_of_it(num_rows):
    whole = permutation(num_rows, np.arange(num_rows), seed=5, epoch=1)
    assert whole.dtype == np.int64
    np.testing.assert_array_equal(np.sort(whole), np.arange(num_rows))
    index = np.random.default_rng(0).integers(0, num_rows, 1000)
    np.testing.assert_array_equal(permutation(num_rows, index, seed=5, epoch=1), whole[index])
    np.testing.assert_array_equal(
        permutation(num_rows, np.arange(77, 177), seed=5, epoch=1), whole[77:177]
    )
    for other in ({"seed": 6, "epoch": 1}, {"seed": 5, "epoch": 2}):
        changed = permutation(num_rows, np.arange(num_rows), **other)
        assert (changed == whole).mean() < 1e-3


def feistel_in_integers(num_rows: int, index: int, seed: int, epoch: int) -> int:
    """The same permutation, one number at a time."""
    half = 1
    while 4**half < num_rows:
        half += 1
    while True:
        left, right = divmod(index, 2**half)
        for i in range(6):
            key = int(bits_numpy(seed, epoch, -4 - i, np.array([-1]))[0]) % 2**63
            mixed = int(bits_numpy(key, 0, 0, np.array([right]))[0]) % 2**half
            left, right = right, left ^ mixed
        index = left * 2**half + right
        if index < num_rows:
            return index


@pytest.mark.parametrize("num_rows", [2**16 + 1, 10**6, 2**40 + 3])
def test_permutation_equals_one_number_at_a_time(num_rows):
    index = np.linspace(0, num_rows - 1, 40).astype(np.int64)
    expected = [feistel_in_integers(num_rows, i, 9, 4) for i in index.tolist()]
    np.testing.assert_array_equal(permutation(num_rows, index, seed=9, epoch=4), expected)


def test_permutation_of_a_hundred_million_rows_costs_what_is_asked_of_it(monkeypatch):
    """Counted in numbers that are enciphered: 2.7 a row, as 2^28 is 2.7 times 10^8."""
    enciphered, original = [], plan_module._feistel

    def counted(value, *more):
        enciphered.append(len(value))
        return original(value, *more)

    monkeypatch.setattr(plan_module, "_feistel", counted)
    plan = training_plan(10**8, batch_size=256, seed=0)
    rows = plan.rows(3, 1000, 1010)
    assert rows.shape == (10, 256)
    assert len(np.unique(rows)) == 2560
    assert plan.steps == 10**8 // 256
    assert 2560 <= sum(enciphered) < 4 * 2560


def test_permutation_of_many_rows_is_even_and_without_a_trend():
    num_rows = 10**5
    whole = permutation(num_rows, np.arange(num_rows), seed=0, epoch=0)
    # Rows 0..4999 and positions 0..4999, in twenty parts each: chi-square of 19 degrees of freedom
    # is beyond 43.8 one time in a thousand, and the seed is fixed.
    for part in (whole[:5000], np.flatnonzero(whole < 5000)):
        counts = np.bincount(part // 5000, minlength=20)
        assert ((counts - 250) ** 2 / 250).sum() < 43.8
    for lag in (1, 2, 256):
        assert abs(np.corrcoef(whole[:-lag], whole[lag:])[0, 1]) < 4 / num_rows**0.5
    assert abs(np.corrcoef(np.arange(num_rows), whole)[0, 1]) < 4 / num_rows**0.5
    first = [permutation(num_rows, np.array([0]), seed=0, epoch=e)[0] for e in range(2000)]
    counts = np.bincount(np.array(first) // 5000, minlength=20)
    assert ((counts - 100) ** 2 / 100).sum() < 43.8


def test_order_version_changes_where_the_algorithm_does():
    assert order_version(1) == order_version(2**16) == 1
    assert order_version(2**16 + 1) == order_version(10**8) == 2


@settings(deadline=None, derandomize=True)
@given(num_rows=ROWS, batch_size=BATCH)
def test_evaluation_plan_takes_every_row_once_in_order(num_rows, batch_size):
    plan = evaluation_plan(num_rows, batch_size=batch_size)
    order = plan.rows(0, 0, plan.steps).reshape(-1)
    np.testing.assert_array_equal(order[order >= 0], np.arange(num_rows))
    assert len(order) - num_rows < batch_size
    assert (order[num_rows:] == -1).all()
    assert not plan.endless
    np.testing.assert_array_equal(np.concatenate(list(batches(plan))), np.arange(num_rows))


def test_batches_are_those_of_one_epoch():
    plan = training_plan(10, batch_size=3, seed=0)
    np.testing.assert_array_equal(np.stack(list(batches(plan, epoch=4))), plan.rows(4, 0, 3))
    assert [len(index) for index in batches(evaluation_plan(10, batch_size=4))] == [4, 4, 2]
