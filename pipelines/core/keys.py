"""Random numbers for the data: a counter-based hash of (seed, epoch, example, draw).

A number depends on nothing else, so it is the same for every batch size, worker and number of
threads, and in a resumed run. The hash is the finaliser of splitmix64 (Steele, Lea, Flood: Fast
Splittable Pseudorandom Number Generators, 2014), applied once per coordinate.
"""

import hashlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf

_GAMMA = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB


class Keys(NamedTuple):
    """The coordinates of every random number of a batch; they broadcast against each other."""

    seed: tf.Tensor  # () int64
    epoch: tf.Tensor  # () or (B,) int64; 0 in evaluation
    index: tf.Tensor  # (B,) int64: the example's row in its split

    def named(self, name: str) -> "Keys":
        """Keys of an independent stream: steps with different names share no random numbers.

        Names nest: `named("a").named("b")` and `named("b").named("a")` differ.
        """
        digest = hashlib.sha256(name.encode()).digest()[:8]
        folded = tf.constant(int.from_bytes(digest, "little"), tf.uint64)
        # Mixed after each addition: a plain sum would not depend on the order of the names.
        seed = _mix(tf.cast(self.seed, tf.uint64) + folded)
        return self._replace(seed=tf.cast(seed, tf.int64))

    def per_position(self) -> "Keys":
        """Keys for one number per position: a `draw` of shape (1, T) gives numbers (B, T)."""
        epoch = self.epoch if self.epoch.shape.rank == 0 else self.epoch[:, None]
        return self._replace(epoch=epoch, index=self.index[:, None])


def bits(keys: Keys, draw: int | tf.Tensor) -> tf.Tensor:
    """64 random bits per example: (B,) uint64.

    Args:
        draw: index of the draw within an example; a tensor broadcasts, so `keys.per_position()`
            and `tf.range(T)[None]` give (B, T).
    """
    state = tf.zeros([], tf.uint64)
    for coordinate in (keys.seed, keys.epoch, tf.cast(draw, tf.int64), keys.index):
        state = _mix(state + tf.cast(coordinate, tf.uint64) + tf.constant(_GAMMA, tf.uint64))
    return state


def uniform(keys: Keys, draw: int | tf.Tensor) -> tf.Tensor:
    """A float32 in [0, 1) per example, from 24 random bits; shaped like `bits`."""
    return tf.cast(tf.bitwise.right_shift(bits(keys, draw), _u64(40)), tf.float32) / 2.0**24


def integers(keys: Keys, draw: int | tf.Tensor, limit: int | tf.Tensor) -> tf.Tensor:
    """An int32 in [0, limit) per example; `limit`, () or (B,), is much smaller than 2**32."""
    high = tf.bitwise.right_shift(bits(keys, draw), _u64(32))
    return tf.cast(tf.bitwise.right_shift(high * tf.cast(limit, tf.uint64), _u64(32)), tf.int32)


def bits_numpy(seed: int, epoch: int, draw: int, index: np.ndarray) -> np.ndarray:
    """The same as `bits`, in NumPy, for plans and splits."""
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
        state = tf.bitwise.bitwise_xor(state, tf.bitwise.right_shift(state, _u64(shift)))
        state = state * tf.constant(factor, tf.uint64)
    return tf.bitwise.bitwise_xor(state, tf.bitwise.right_shift(state, _u64(31)))


def _u64(number: int) -> tf.Tensor:
    return tf.constant(number, tf.uint64)
