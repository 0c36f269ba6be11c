"""Sequences padded with zeros: each padded input of a batch is cut to the width that it needs."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

_MULTIPLE = 16  # widths are multiples of it


def widths_of(
    rows: np.ndarray, lengths: Mapping[str, np.ndarray] | None, most: Mapping[str, int]
) -> np.ndarray:
    """The width of each padded input in each step: (steps, P) int64.

    Args:
        rows: (steps, batch_size) row numbers; -1: no example.
        lengths: input -> (num_rows,); None: unknown, and every batch has the maximum width.
        most: input -> its maximum width.
    """
    if lengths is None:
        return np.tile(np.array(list(most.values()), np.int64), (len(rows), 1))
    index = np.maximum(rows, 0)
    needed = [np.asarray(lengths[name])[index].max(axis=1, initial=1) for name in most]
    columns = [
        np.minimum(rounded(n), limit) for n, limit in zip(needed, most.values(), strict=True)
    ]
    return np.array(columns, np.int64).reshape(len(most), len(rows)).T


def rounded(length: np.ndarray) -> np.ndarray:
    """Lengths rounded up to multiples of 16, with at most eight values per octave.

    A kernel is recompiled for each width (three rebuilds take two thirds of a second), so widths
    grow geometrically: cut to the maximum width, there are 21 for 400 and 40 for 2048.
    """
    octave = np.ceil(np.log2(np.maximum(length, 1))).astype(np.int64)
    step = np.maximum(_MULTIPLE, 2 ** np.maximum(octave - 4, 0))
    return -(-np.asarray(length, np.int64) // step) * step


def cut(
    inputs: Mapping[str, tf.Tensor], padded: Sequence[str], widths: tf.Tensor
) -> dict[str, tf.Tensor]:
    """The inputs with each padded one (B, T) cut to its width, in `widths` (P,)."""
    width = {name: widths[i] for i, name in enumerate(padded)}
    return {k: v[:, : width[k]] if k in width else v for k, v in inputs.items()}


def cut_to_need(inputs: Mapping[str, tf.Tensor], padded: Sequence[str]) -> dict[str, tf.Tensor]:
    """The inputs with each padded one cut to its longest row, but at least to 1."""
    widths = [_needed(inputs[name]) for name in padded]
    return cut(inputs, padded, tf.stack(widths)) if padded else dict(inputs)


def _needed(rows: tf.Tensor) -> tf.Tensor:
    """The length of the longest row of (B, T), without trailing zeros; at least 1."""
    real = tf.cast(tf.reduce_any(tf.not_equal(rows, 0), axis=0), tf.int64)  # (T,)
    last = tf.range(1, tf.size(real, tf.int64) + 1) * real
    return tf.reduce_max(tf.concat([tf.ones(1, tf.int64), last], axis=0))
