"""The order of rows, as properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.plan import evaluation_plan, plan

ROWS = st.integers(1, 400)
BATCH = st.integers(1, 64)
SEED = st.integers(0, 2**31 - 1)


@settings(deadline=None, derandomize=True)
@given(
    num_rows=ROWS, batch_size=BATCH, seed=SEED, epoch=st.integers(0, 1000), by_length=st.booleans()
)
def test_an_epoch_is_whole_batches_of_different_rows(num_rows, batch_size, seed, epoch, by_length):
    lengths = np.arange(num_rows) % 7 if by_length else None
    if num_rows < batch_size:
        with pytest.raises(ValueError, match="do not fill"):
            plan(num_rows, batch_size=batch_size, seed=seed, epoch=epoch)
        return
    order = plan(num_rows, batch_size=batch_size, seed=seed, epoch=epoch, lengths=lengths)
    assert order.shape == (num_rows // batch_size, batch_size)
    assert len(np.unique(order)) == order.size
    assert order.min() >= 0
    assert order.max() < num_rows


@settings(deadline=None, derandomize=True)
@given(num_rows=st.integers(2, 400), small=st.integers(1, 20), large=st.integers(1, 20), seed=SEED)
def test_the_permutation_does_not_depend_on_the_batch_size(num_rows, small, large, seed):
    orders = [
        plan(num_rows, batch_size=min(size, num_rows), seed=seed, epoch=2).reshape(-1)
        for size in (small, large)
    ]
    shared = min(map(len, orders))
    np.testing.assert_array_equal(orders[0][:shared], orders[1][:shared])


@settings(deadline=None, derandomize=True)
@given(num_rows=ROWS, batch_size=BATCH)
def test_evaluation_takes_every_row_once_in_order(num_rows, batch_size):
    order = evaluation_plan(num_rows, batch_size=batch_size).reshape(-1)
    np.testing.assert_array_equal(order[order >= 0], np.arange(num_rows))
    assert len(order) - num_rows < batch_size
    assert (order[num_rows:] == -1).all()


def test_every_row_is_left_out_sometimes_and_no_place_is_favoured():
    left_out, first = np.zeros(10), np.zeros(10)
    for epoch in range(3000):
        order = plan(10, batch_size=4, seed=1, epoch=epoch).reshape(-1)
        left_out[np.setdiff1d(np.arange(10), order)] += 1
        first[order[0]] += 1
    assert np.abs(left_out / 3000 - 0.2).max() < 0.03
    assert np.abs(first / 3000 - 0.1).max() < 0.03


def test_batches_by_length_hold_similar_lengths():
    lengths = np.random.default_rng(0).integers(1, 500, 6400)
    mixed = plan(6400, batch_size=32, seed=0, epoch=0)
    sorted_ = plan(6400, batch_size=32, seed=0, epoch=0, lengths=lengths)
    waste = [np.mean(lengths[p].max(1) - lengths[p].mean(1)) for p in (mixed, sorted_)]
    assert waste[1] < waste[0] / 10
    means = lengths[sorted_].mean(1)
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.2  # batches are dealt at random
