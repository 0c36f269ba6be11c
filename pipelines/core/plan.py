"""Which rows make which step: the one place of order. NumPy only."""

import numpy as np

from pipelines.core.keys import bits_numpy

_ORDER, _BUCKETS = -1, -2  # draws of `bits` that no augmentation uses
_BUCKET_BATCHES = 50  # batches in a group that is sorted by length


def plan(
    num_rows: int, *, batch_size: int, seed: int, epoch: int, lengths: np.ndarray | None = None
) -> np.ndarray:
    """The rows of each training step of one epoch: the head of a permutation of all rows.

    The tail that does not fill a batch is left out; which rows those are changes every epoch.
    With `lengths` (one per row) rows of similar length share a batch: within groups of 50 batches
    of the permutation rows are sorted by length, and the batches are then dealt in random order.

    Returns:
        (num_rows // batch_size, batch_size) int64.

    Raises:
        ValueError: there are fewer rows than one batch needs.
    """
    steps = num_rows // batch_size
    if steps == 0:
        raise ValueError(f"{num_rows} training examples do not fill one batch of {batch_size}")
    order = np.argsort(bits_numpy(seed, epoch, _ORDER, np.arange(num_rows)), kind="stable")
    order = order[: steps * batch_size].reshape(steps, batch_size)
    if lengths is None:
        return order
    for first in range(0, steps, _BUCKET_BATCHES):
        group = order[first : first + _BUCKET_BATCHES].reshape(-1)
        group = group[np.argsort(np.asarray(lengths)[group], kind="stable")]
        order[first : first + _BUCKET_BATCHES] = group.reshape(-1, batch_size)
    return order[np.argsort(bits_numpy(seed, epoch, _BUCKETS, np.arange(steps)), kind="stable")]


def evaluation_plan(num_rows: int, *, batch_size: int) -> np.ndarray:
    """All rows in stored order; the last batch is filled up with -1, which counts for nothing.

    Returns:
        (ceil(num_rows / batch_size), batch_size) int64.
    """
    steps = -(-num_rows // batch_size)
    rows = np.full(steps * batch_size, -1, np.int64)
    rows[:num_rows] = np.arange(num_rows)
    return rows.reshape(steps, batch_size)
