"""Which rows each training step takes. NumPy only.

A plan computes the rows of any range of steps without computing the others, so an epoch of 10^8
rows begins in milliseconds.
"""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from pipelines.core.keys import bits_numpy

_ORDER, _BUCKETS, _ROUND = -1, -2, -4  # draws of `bits` that no augmentation uses
_BUCKET_BATCHES = 50  # batches in a group that is sorted by length
# Up to this many rows are ordered by sorting their hashes. A Feistel network of few rounds mixes
# such small blocks badly: over the 24 orders of 4 rows, 6 rounds leave a chi-square of hundreds.
_SORTED = 2**16
_ROUNDS = 6


class Plan(NamedTuple):
    """The order of one split's rows."""

    num_rows: int
    batch_size: int
    steps: int  # of one pass
    rows: Callable[[int, int, int], np.ndarray]  # (epoch, first, end) -> (end - first, batch_size)
    endless: bool  # whether another epoch follows each epoch


def training_plan(
    num_rows: int, *, batch_size: int, seed: int, lengths: np.ndarray | None = None
) -> Plan:
    """A new permutation of all rows in each epoch, without the rows that do not fill a batch.

    Args:
        lengths: (num_rows,); if not None, rows of similar length share a batch: groups of 50
            batches of the permutation are sorted by length, and their batches are shuffled.

    Raises:
        ValueError: there are fewer rows than one batch needs.
    """
    steps = num_rows // batch_size
    if steps == 0:
        raise ValueError(f"{num_rows} training examples do not fill one batch of {batch_size}")

    def rows(epoch: int, first: int, end: int) -> np.ndarray:
        if lengths is None:
            index = np.arange(first * batch_size, end * batch_size)
            return permutation(num_rows, index, seed=seed, epoch=epoch).reshape(-1, batch_size)
        return _bucketed(num_rows, batch_size, seed, epoch, np.arange(first, end), lengths)

    return Plan(num_rows, batch_size, steps, rows, endless=True)


def evaluation_plan(num_rows: int, *, batch_size: int) -> Plan:
    """All rows in stored order; the last batch is padded with -1, which has weight 0."""

    def rows(epoch: int, first: int, end: int) -> np.ndarray:
        del epoch
        index = np.arange(first * batch_size, end * batch_size)
        return np.where(index < num_rows, index, -1).reshape(-1, batch_size)

    return Plan(num_rows, batch_size, -(-num_rows // batch_size), rows, endless=False)


def batches(plan: Plan, epoch: int = 0) -> Iterator[np.ndarray]:
    """The row numbers of each step of one epoch, without the -1 of the last."""
    for step in range(plan.steps):
        [index] = plan.rows(epoch, step, step + 1)
        yield index[index >= 0]


def order_version(num_rows: int) -> int:
    """The version of the ordering algorithm for this many rows; a resumed run needs the same."""
    return 1 if num_rows <= _SORTED else 2


def permutation(
    num_rows: int, index: np.ndarray, *, seed: int, epoch: int, draw: int = _ORDER
) -> np.ndarray:
    """The elements at positions `index` of a permutation of `num_rows` rows.

    The cost depends on `index`, not on `num_rows`: large permutations are a Feistel network over
    the smallest even number of bits that holds every row (Luby and Rackoff 1988), applied again
    while its result is not a valid row ("cycle walking", Black and Rogaway 2002, section 3).
    """
    if num_rows <= _SORTED:
        return _sorted(num_rows, seed, epoch, draw)[index]
    half = (int(num_rows - 1).bit_length() + 1) // 2
    keys = [int(bits_numpy(seed, epoch, _ROUND - i, np.array([draw]))[0]) for i in range(_ROUNDS)]
    result = _feistel(index.astype(np.uint64), half, keys)
    while len(outside := np.flatnonzero(result >= np.uint64(num_rows))):
        result[outside] = _feistel(result[outside], half, keys)
    return result.astype(np.int64)


@functools.lru_cache(maxsize=4)  # reused by the other steps of an epoch
def _sorted(num_rows: int, seed: int, epoch: int, draw: int) -> np.ndarray:
    return np.argsort(bits_numpy(seed, epoch, draw, np.arange(num_rows)), kind="stable")


def _feistel(value: np.ndarray, half: int, keys: list[int]) -> np.ndarray:
    """A bijection of the integers of 2 * half bits."""
    mask = np.uint64(2**half - 1)
    left, right = value >> np.uint64(half), value & mask
    for key in keys:
        mixed = bits_numpy(key & (2**63 - 1), 0, 0, right.astype(np.int64))
        left, right = right, left ^ (mixed & mask)
    return (left << np.uint64(half)) | right


def _bucketed(
    num_rows: int,
    batch_size: int,
    seed: int,
    epoch: int,
    steps: np.ndarray,
    lengths: np.ndarray,
) -> np.ndarray:
    """The rows of some steps: batches from groups sorted by length, in random order."""
    num_steps = num_rows // batch_size
    batch = _shuffled(num_steps, steps, seed, epoch, small=num_rows <= _SORTED)
    rows = np.empty((len(steps), batch_size), np.int64)
    for group in np.unique(batch // _BUCKET_BATCHES):
        first = group * _BUCKET_BATCHES
        end = min(first + _BUCKET_BATCHES, num_steps)
        index = np.arange(first * batch_size, end * batch_size)
        members = permutation(num_rows, index, seed=seed, epoch=epoch)
        members = members[np.argsort(np.asarray(lengths)[members], kind="stable")]
        in_group = batch // _BUCKET_BATCHES == group
        rows[in_group] = members.reshape(-1, batch_size)[batch[in_group] - first]
    return rows


def _shuffled(
    num_steps: int, steps: np.ndarray, seed: int, epoch: int, *, small: bool
) -> np.ndarray:
    """The batch of each step, drawn from the epoch if `small`, otherwise from the step's group.

    With draws from groups, a few steps need only their own groups sorted.
    """
    if small:
        return permutation(num_steps, steps, seed=seed, epoch=epoch, draw=_BUCKETS)
    first = steps - steps % _BUCKET_BATCHES
    batch = np.empty_like(steps)
    for start in np.unique(first):
        size = min(_BUCKET_BATCHES, num_steps - start)
        order = np.argsort(
            bits_numpy(seed, epoch, _BUCKETS, np.arange(start, start + size)), kind="stable"
        )
        in_group = first == start
        batch[in_group] = start + order[steps[in_group] - start]
    return batch
