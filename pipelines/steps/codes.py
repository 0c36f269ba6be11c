"""Which columns of whole numbers are codes: the number of a school, not a number of pupils.

Taking every such column as a category too costs accuracy where the numbers are counts. A column is
taken as one if, out of fold, the target's mean for each value explains at least a hundredth of the
target's variance beyond a piecewise-linear function of the number.
"""

import numpy as np
from threadpoolctl import threadpool_limits  # comes with scikit-learn

from pipelines.core.pipeline import Rows
from pipelines.files.table_file import LARGEST

_MIN_VALUES, _MAX_VALUES = 3, 300  # distinct values of a column of codes
_ROWS_A_VALUE = 4  # at least, on average
_BINS = 32  # pieces of the function of the number; four folds of the rows allow no more
_FOLDS = 5
_PRIOR = 4.0  # rows of effect 0 by which the mean of each value is shrunk
_GAIN = 0.01  # smallest gain, as a fraction of the target's variance
_SIGMAS = 4.0  # standard errors that the gain must be above zero: many columns are tried
_CLASSES = 30  # of the target; rarer ones are ignored
_ROWS = 20_000  # evenly spaced rows are enough


def targets(train: Rows) -> np.ndarray:
    """The training target as numbers (N, m) of mean 0: standardised, or indicators of classes."""
    target = np.asarray(train.table[train.target]).reshape(train.num_rows, -1)
    if train.fields[train.target].ids or target.dtype.kind in "OSU":
        known, code, counts = np.unique(target, return_inverse=True, return_counts=True)
        frequent = np.argsort(-counts, kind="stable")[: min(_CLASSES, len(known))]
        target = code.reshape(-1, 1) == frequent
    target = np.nan_to_num(target.astype(np.float64), posinf=0.0, neginf=0.0)
    centred = target - target.mean(axis=0)
    std = np.sqrt((centred**2).mean())
    return np.clip(centred / std, -4, 4) if std else centred


def values(column: np.ndarray, quantiles: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The sorted values of a column if they are codes; none if they are numbers.

    Args:
        column: training cells (N,), NaN where they are missing.
        quantiles: evenly spaced quantiles of its cells.
        target: (N, m) from `targets`.
    """
    empty = np.zeros(0)
    present = np.abs(column) <= LARGEST
    cells, target = column[present].astype(np.float64), target[present]
    if not len(cells) or (cells != np.rint(cells)).any() or np.abs(cells).max() > 2**24:
        return empty
    known, code = np.unique(cells, return_inverse=True)
    if not _MIN_VALUES <= len(known) <= min(_MAX_VALUES, len(cells) // _ROWS_A_VALUE):
        return empty
    if len(cells) > _ROWS:
        chosen = np.linspace(0, len(cells) - 1, _ROWS).astype(np.int64)
        cells, code, target = cells[chosen], code[chosen], target[chosen]
    ranks = np.interp(cells, quantiles, np.linspace(0, 1, len(quantiles)))
    with threadpool_limits(1):  # with more threads, 33 columns take ten times as long
        gain = _gains(ranks, code, target)
    certain = _SIGMAS * gain.std() / np.sqrt(len(gain))
    enough = _GAIN * (target**2).sum(axis=1).mean()
    return known if gain.mean() > max(certain, enough) else empty


def _gains(ranks: np.ndarray, code: np.ndarray, target: np.ndarray) -> np.ndarray:
    """By how much a mean for each code lowers the squared error of each row, out of fold: (N,)."""
    pieces = np.clip(_BINS * ranks[:, None] - np.arange(_BINS), 0, 1)
    pieces = np.column_stack([np.ones(len(ranks)), pieces])  # (N, bins + 1)
    # Not every fifth row: the order of rows in files may be periodic.
    fold = np.random.default_rng(0).permutation(len(ranks)) % _FOLDS
    gains = np.empty(len(ranks))
    for held_out in range(_FOLDS):
        seen, unseen = fold != held_out, fold == held_out
        a = pieces[seen]
        weights = np.linalg.solve(a.T @ a + np.eye(_BINS + 1), a.T @ target[seen])
        residual = target - pieces @ weights
        sums = np.zeros((code.max() + 1, target.shape[1]))
        np.add.at(sums, code[seen], residual[seen])
        counts = np.bincount(code[seen], minlength=len(sums))
        mean = sums / (counts + _PRIOR)[:, None]
        remaining = residual[unseen] - mean[code[unseen]]
        gains[unseen] = (residual[unseen] ** 2).sum(axis=1) - (remaining**2).sum(axis=1)
    return gains
