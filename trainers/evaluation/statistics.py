"""Statistics of predictions besides their metrics: intervals, calibration, mistakes.

NumPy and SciPy only.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import scipy.special

RESAMPLES = 1000
_CELLS = 2**21  # entries of the (resamples, rows) table in memory at once


class Statistics(NamedTuple):
    """A task's metrics as functions of means over rows: a resample costs one matrix product."""

    columns: np.ndarray  # (N, K) float64, quantities of one row each
    groups: np.ndarray  # (N,) int64, kind of each row, for metrics that need a histogram
    metrics: Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]
    # metrics(means (R, K), fractions of the groups (R, G)) -> name -> (R,)


class Calibration(NamedTuple):
    """How often predictions came true, by bins of their probability."""

    count: np.ndarray  # (bins,) rows in each
    confidence: np.ndarray  # (bins,) their mean probability; 0 where there are none
    fraction: np.ndarray  # (bins,) of them that came true
    error: float  # expected calibration error


def metrics(statistics: Statistics) -> dict[str, float]:
    """The metrics of all rows, equal to those of the task; undefined ones are left out."""
    fractions = np.bincount(statistics.groups) / len(statistics.groups)
    values = statistics.metrics(statistics.columns.mean(axis=0)[None], fractions[None])
    return {name: float(value[0]) for name, value in values.items() if np.isfinite(value[0])}


def bootstrap(
    statistics: Statistics, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, np.ndarray]:
    """The metrics of resamples of the rows, drawn with replacement: name -> (resamples,).

    The same seed and number of rows draw the same resamples, so that the metrics of two models on
    the same rows can be subtracted, resample by resample. Efron and Tibshirani 1993, chapter 13.
    """
    num_rows, num_columns = statistics.columns.shape
    random = np.random.default_rng(seed)
    means = np.empty((resamples, num_columns))
    fractions = np.empty((resamples, int(statistics.groups.max()) + 1))
    together = max(1, _CELLS // num_rows)  # many small products would wait for threads
    for first in range(0, resamples, together):
        chunk = range(first, min(first + together, resamples))
        times = np.empty((len(chunk), num_rows))  # how often each row was drawn
        for position, i in enumerate(chunk):
            drawn = random.integers(0, num_rows, num_rows)
            times[position] = np.bincount(drawn, minlength=num_rows)
            fractions[i] = np.bincount(statistics.groups[drawn], minlength=fractions.shape[1])
        means[chunk.start : chunk.stop] = times @ statistics.columns
    return statistics.metrics(means / num_rows, fractions / num_rows)


def interval(values: np.ndarray) -> tuple[float, float] | None:
    """The middle 95 % of bootstrapped values (percentile interval); None: no resample has one."""
    values = values[np.isfinite(values)]  # a resample without one class has no AUC
    if not len(values):
        return None
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def calibration(probability: np.ndarray, came_true: np.ndarray, *, bins: int = 15) -> Calibration:
    """Reliability by bins ((m-1)/M, m/M] of the probability, and the expected calibration error.

    The error is the mean over rows of |fraction - confidence| of the row's bin. With the
    probability of the predicted class this is Guo et al. 2017, "On calibration of modern neural
    networks", equation 3 (fifteen bins as there); with that of the second of two classes, Naeini
    et al. 2015.

    Args:
        probability: (N,).
        came_true: (N,) bool.
    """
    index = np.clip(np.ceil(probability * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    confidence = ratio(np.bincount(index, probability, minlength=bins), count)
    fraction = ratio(np.bincount(index, came_true, minlength=bins), count)
    error = float((count * np.abs(fraction - confidence)).sum() / len(probability))
    return Calibration(count, confidence, fraction, error)


def worst(badness: np.ndarray, among: np.ndarray, number: int) -> np.ndarray:
    """Positions of the largest badness where `among` holds, the largest first."""
    rows = np.flatnonzero(among)
    return rows[np.argsort(-badness[rows], kind="stable")[:number]]


def of_means(columns: Mapping[str, np.ndarray]) -> Statistics:
    """Metrics that are plain means of one column (N,) each."""

    def of(means: np.ndarray, fractions: np.ndarray) -> dict[str, np.ndarray]:
        del fractions
        return dict(zip(columns, means.T, strict=True))

    values = np.stack(list(columns.values()), axis=1).astype(np.float64)
    return Statistics(values, np.zeros(len(values), np.int64), of)


def of_ratios(columns: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Statistics:
    """Metrics that are sums of one column (N,) over sums of another, such as of their weights."""

    def of(means: np.ndarray, fractions: np.ndarray) -> dict[str, np.ndarray]:
        del fractions
        parts = zip(means[:, ::2].T, means[:, 1::2].T, strict=True)
        return {name: ratio(*pair) for name, pair in zip(columns, parts, strict=True)}

    values = np.stack([part for pair in columns.values() for part in pair], axis=1)
    return Statistics(values.astype(np.float64), np.zeros(len(values), np.int64), of)


def class_counts(target: np.ndarray, num_classes: int) -> np.ndarray:
    """Rows of each class plus one, so that none is impossible (Laplace): (num_classes,)."""
    return np.bincount(target, minlength=num_classes) + 1


def cross_entropy(logits: np.ndarray, true: np.ndarray) -> np.ndarray:
    """The loss of independent labels, one value each: log(1 + exp(logits)) - logits * true."""
    return np.logaddexp(0, logits) - logits * true


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits, in their own dtype."""
    return np.exp(-np.logaddexp(0, -logits))


def of_classes(logits: np.ndarray) -> np.ndarray:
    """Probabilities (B, classes) of logits of the same shape, or (B, 1) of the second of two."""
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    return scipy.special.softmax(logits, axis=1)


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The quotient; 0 where `whole` is not positive, as in Keras's metrics."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
