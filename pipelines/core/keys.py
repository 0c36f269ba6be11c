"""All randomness of the data: one counter hash of (seed, epoch, example, draw).

A draw depends on nothing else, so another batch size, a worker's share of a batch, a resumed run
and any number of threads see the same numbers. The hash is the finaliser of splitmix64 (Steele,
Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014), applied once per coordinate.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

_GAMMA = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB


class Keys(NamedTuple):
    """What every random draw of a batch hangs on."""

    seed: tf.Tensor  # () int64
    epoch: tf.Tensor  # () int64; evaluation draws with epoch 0
    index: tf.Tensor  # (B,) int64: the example's row in its split


def bits(keys: Keys, draw: int) -> tf.Tensor:
    """64 random bits for each example, (B,) uint64; `draw` numbers the draws of one example."""
    state = tf.zeros([], tf.uint64)
    for coordinate in (keys.seed, keys.epoch, tf.constant(draw, tf.int64), keys.index):
        state = _mix(state + tf.cast(coordinate, tf.uint64) + tf.constant(_GAMMA, tf.uint64))
    return state


def uniform(keys: Keys, draw: int) -> tf.Tensor:
    """A number in [0, 1) for each example, (B,) float32, of 24 random bits."""
    return tf.cast(tf.bitwise.right_shift(bits(keys, draw), _shift(40)), tf.float32) / 2.0**24


def integers(keys: Keys, draw: int, limit: int) -> tf.Tensor:
    """An integer in [0, limit) for each example, (B,) int32. `limit` is small against 2**32."""
    high = tf.bitwise.right_shift(bits(keys, draw), _shift(32))
    return tf.cast(
        tf.bitwise.right_shift(high * tf.constant(limit, tf.uint64), _shift(32)), tf.int32
    )


def bits_numpy(seed: int, epoch: int, draw: int, index: np.ndarray) -> np.ndarray:
    """The same bits as `bits`, in NumPy: for `plan`, which runs before there is a tensor."""
    state = np.zeros([1], np.uint64)
    for coordinate in (seed, epoch, draw, index):
        coordinate = np.atleast_1d(np.asarray(coordinate, np.int64)).astype(np.uint64)
        state = state + coordinate + np.uint64(_GAMMA)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(_MIX_1)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(_MIX_2)
        state = state ^ (state >> np.uint64(31))
    return state


def _mix(state: tf.Tensor) -> tf.Tensor:
    for shift, factor in ((30, _MIX_1), (27, _MIX_2)):
        state = tf.bitwise.bitwise_xor(state, tf.bitwise.right_shift(state, _shift(shift)))
        state = state * tf.constant(factor, tf.uint64)
    return tf.bitwise.bitwise_xor(state, tf.bitwise.right_shift(state, _shift(31)))


def _shift(places: int) -> tf.Tensor:
    return tf.constant(places, tf.uint64)
