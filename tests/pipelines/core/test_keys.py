"""The counter hash, against an implementation in Python's integers."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines.core.keys import Keys, bits, bits_numpy, integers, uniform

MASK = 2**64 - 1


def splitmix(seed: int, epoch: int, draw: int, index: int) -> int:
    state = 0
    for coordinate in (seed, epoch, draw, index):
        state = (state + coordinate + 0x9E3779B97F4A7C15) & MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
        state ^= state >> 31
    return state


def make(seed=7, epoch=3, num=1000):
    return Keys(
        tf.constant(seed, tf.int64), tf.constant(epoch, tf.int64), tf.range(num, dtype=tf.int64)
    )


@pytest.mark.parametrize(("seed", "epoch", "draw"), [(0, 0, 0), (7, 3, 1), (2**31 - 1, 999, -1)])
def test_three_implementations_agree(seed, epoch, draw):
    expected = np.array([splitmix(seed, epoch, draw, i) for i in range(20)], np.uint64)
    np.testing.assert_array_equal(bits(make(seed, epoch, 20), draw).numpy(), expected)
    np.testing.assert_array_equal(bits_numpy(seed, epoch, draw, np.arange(20)), expected)


def test_the_first_number_of_splitmix64_is_the_published_one():
    # Vigna's splitmix64.c from state 0 gives e220a8397b1dcdaf first: one coordinate of ours.
    assert int(bits_numpy(0, 0, 0, np.zeros(1, np.int64))[0]) == splitmix(0, 0, 0, 0)
    state = 0x9E3779B97F4A7C15
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    assert state ^ (state >> 31) == 0xE220A8397B1DCDAF


def test_uniform_fills_the_interval():
    draws = uniform(make(num=100_000), 0).numpy()
    assert draws.min() >= 0
    assert draws.max() < 1
    assert draws.mean() == pytest.approx(0.5, abs=0.005)
    counts, _ = np.histogram(draws, bins=20, range=(0, 1))
    # 19 degrees of freedom: beyond 43.8 one time in a thousand, and the seed is fixed.
    assert ((counts - 5000) ** 2 / 5000).sum() < 43.8


def test_integers_are_even_over_their_range():
    counts = np.bincount(integers(make(num=81_000), 0, 81).numpy(), minlength=81)
    assert len(counts) == 81
    assert ((counts - 1000) ** 2 / 1000).sum() < 124.8  # 80 degrees of freedom, one in a thousand


@pytest.mark.parametrize("change", [{"seed": 8}, {"epoch": 4}])
def test_other_seeds_epochs_and_draws_are_unrelated(change):
    a = uniform(make(num=10_000), 0).numpy()
    b = uniform(make(**change, num=10_000), 0).numpy()
    c = uniform(make(num=10_000), 1).numpy()
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.04
    assert abs(np.corrcoef(a, c)[0, 1]) < 0.04
