"""What predictions are worth beyond their metrics: intervals, calibration, mistakes. NumPy only."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

RESAMPLES = 1000
_CELLS = 2**21  # of the table of resamples and rows that is in memory at once
_AUC_BUCKETS = 199  # between the 200 thresholds of keras.metrics.AUC

Outputs = Mapping[str, np.ndarray]  # of a task, by name: (N, ...) each


class Statistics(NamedTuple):
    """A task's metrics as functions of means over rows: a resample then costs one product."""

    columns: np.ndarray  # (N, K) float64, quantities of one row each
    groups: np.ndarray  # (N,) int64, kind of each row, for metrics that need a histogram
    metrics: Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]
    # metrics(means (R, K), shares of the groups (R, G)) -> name -> (R,)


class Calibration(NamedTuple):
    """How often what was given a probability came true, by bins of the probability."""

    count: np.ndarray  # (bins,) rows in each
    confidence: np.ndarray  # (bins,) their mean probability; 0 where there are none
    share: np.ndarray  # (bins,) of them that came true
    error: float  # expected calibration error


def statistics(task: str, outputs: Outputs, target: np.ndarray) -> Statistics:
    """What the metrics of these predictions are made of.

    Args:
        task: a key of trainers.tasks.TASKS.
        outputs: as the task's signature names them.
        target: (N,), or (N, labels).
    """
    return _STATISTICS[task](np.asarray(outputs["logits"], np.float64), target)


def metrics(found: Statistics) -> dict[str, float]:
    """The metrics of all rows, equal to those of trainers.tasks; undefined ones are left out."""
    shares = np.bincount(found.groups) / len(found.groups)
    values = found.metrics(found.columns.mean(axis=0)[None], shares[None])
    return {name: float(value[0]) for name, value in values.items() if np.isfinite(value[0])}


def bootstrap(
    found: Statistics, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, np.ndarray]:
    """The metrics of resamples of the rows, drawn with replacement: name -> (resamples,).

    The same seed and number of rows draw the same resamples, so that two models on the same rows
    can be subtracted, resample by resample. Efron and Tibshirani 1993, chapter 13.
    """
    num_rows, num_columns = found.columns.shape
    random = np.random.default_rng(seed)
    means = np.empty((resamples, num_columns))
    shares = np.empty((resamples, int(found.groups.max()) + 1))
    together = max(1, _CELLS // num_rows)  # few large products: many small ones wait for threads
    for first in range(0, resamples, together):
        chunk = range(first, min(first + together, resamples))
        times = np.empty((len(chunk), num_rows))  # how often each row was drawn
        for place, i in enumerate(chunk):
            drawn = random.integers(0, num_rows, num_rows)
            times[place] = np.bincount(drawn, minlength=num_rows)
            shares[i] = np.bincount(found.groups[drawn], minlength=shares.shape[1])
        means[chunk.start : chunk.stop] = times @ found.columns
    return found.metrics(means / num_rows, shares / num_rows)


def interval(values: np.ndarray) -> tuple[float, float] | None:
    """The middle 95 % of bootstrapped values (percentile interval); None: no resample has one."""
    values = values[np.isfinite(values)]  # a resample may miss a class, and has no AUC then
    if not len(values):
        return None
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def calibration(probability: np.ndarray, came_true: np.ndarray, *, bins: int = 15) -> Calibration:
    """Reliability by bins ((m-1)/M, m/M] of the probability, and the expected calibration error.

    The error is the mean over rows of |share - confidence| of the row's bin. With the probability
    of the predicted class this is Guo et al. 2017, "On calibration of modern neural networks",
    equation 3 (fifteen bins as there); with that of the second of two classes, Naeini et al. 2015.

    Args:
        probability: (N,).
        came_true: (N,) bool.
    """
    index = np.clip(np.ceil(probability * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    confidence = _ratio(np.bincount(index, probability, minlength=bins), count)
    share = _ratio(np.bincount(index, came_true, minlength=bins), count)
    error = float((count * np.abs(share - confidence)).sum() / len(probability))
    return Calibration(count, confidence, share, error)


def worst(badness: np.ndarray, among: np.ndarray, number: int) -> np.ndarray:
    """Row numbers of the largest badness where `among` holds, the largest first."""
    rows = np.flatnonzero(among)
    return rows[np.argsort(-badness[rows], kind="stable")[:number]]


def _classification(logits: np.ndarray, target: np.ndarray) -> Statistics:
    rows = np.arange(len(logits))
    true = logits[rows, target]
    columns = {
        "loss": np.logaddexp.reduce(logits, axis=1) - true,
        "accuracy": logits.argmax(axis=1) == target,
    }
    if logits.shape[1] > 5:
        columns["top_5_accuracy"] = (logits > true[:, None]).sum(axis=1) < 5
    return _of_means(columns)


def _binary(logits: np.ndarray, target: np.ndarray) -> Statistics:
    logit, true = logits[:, 0], target > 0
    said = logit > 0
    columns = (_binary_loss(logit, true), said == true, said & true, said & ~true, ~said & true)
    probability = 1 / (1 + np.exp(-logit.astype(np.float32)))
    bucket = np.maximum(np.ceil(probability * _AUC_BUCKETS).astype(np.int64) - 1, 0)

    def of(means: np.ndarray, shares: np.ndarray) -> dict[str, np.ndarray]:
        loss, accuracy, hits, false_alarms, misses = means.T
        shares = np.pad(shares, [(0, 0), (0, 2 * _AUC_BUCKETS - shares.shape[1])])
        negative, positive = shares[:, ::2], shares[:, 1::2]  # (R, buckets)
        below = np.cumsum(negative, axis=1) - negative / 2  # ties count half
        area, pairs = (positive * below).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1)
        return {
            "loss": loss,
            "accuracy": accuracy,
            "precision": _ratio(hits, hits + false_alarms),
            "recall": _ratio(hits, hits + misses),
            "f1": _ratio(2 * hits, 2 * hits + false_alarms + misses),
            # Rounded: the sums of shares are off in their last bits, and nothing is above 1.
            "auc": np.where(pairs > 0, np.round(_ratio(area, pairs), 12), np.nan),
        }

    return Statistics(np.stack(columns, axis=1).astype(np.float64), 2 * bucket + true, of)


def _multi_label(logits: np.ndarray, target: np.ndarray) -> Statistics:
    true, said, labels = target > 0.5, logits > 0, logits.shape[1]
    means_of = (_binary_loss(logits, true).mean(axis=1), (said == true).mean(axis=1))
    columns = (
        *(column[:, None] for column in (*means_of, (said == true).all(axis=1))),
        *(said & true, said & ~true, ~said & true),
    )

    def of(means: np.ndarray, shares: np.ndarray) -> dict[str, np.ndarray]:
        del shares
        hits, false_alarms, misses = (means[:, 3 + i * labels :][:, :labels] for i in range(3))
        f1 = _ratio(2 * hits, 2 * hits + false_alarms + misses)  # (R, labels)
        names = ("loss", "accuracy", "exact_match")
        return dict(zip(names, means[:, :3].T, strict=True)) | {"f1": f1.mean(axis=1)}

    everything = np.concatenate(columns, axis=1).astype(np.float64)
    return Statistics(everything, np.zeros(len(logits), np.int64), of)


def _regression(logits: np.ndarray, target: np.ndarray) -> Statistics:
    error = logits[:, 0] - target
    centred = target - target.mean(dtype=np.float64)  # squares of large numbers lose digits
    columns = np.stack([error**2, np.abs(error), centred, centred**2], axis=1)

    def of(means: np.ndarray, shares: np.ndarray) -> dict[str, np.ndarray]:
        del shares
        squared, absolute, mean, square = means.T
        return {
            "loss": squared,
            "mean_absolute_error": absolute,
            "root_mean_squared_error": np.sqrt(squared),
            "r2": 1 - _ratio(squared, square - mean**2),
        }

    return Statistics(columns, np.zeros(len(logits), np.int64), of)


def _of_means(columns: Mapping[str, np.ndarray]) -> Statistics:
    """Metrics that are plain means of one column each."""

    def of(means: np.ndarray, shares: np.ndarray) -> dict[str, np.ndarray]:
        del shares
        return dict(zip(columns, means.T, strict=True))

    values = np.stack(list(columns.values()), axis=1).astype(np.float64)
    return Statistics(values, np.zeros(len(values), np.int64), of)


def _binary_loss(logits: np.ndarray, true: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, logits) - logits * true


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The quotient; 0 where there is nothing to divide by, as Keras's metrics have it."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


_STATISTICS = {
    "classification": _classification,
    "binary": _binary,
    "multi_label": _multi_label,
    "regression": _regression,
}
