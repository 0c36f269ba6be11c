"""Columns that leak the target: a single one predicts it far better than any other."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import KFold
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from pipelines.files import summary
from pipelines.files.columns import Column
from pipelines.files.shown import shown
from pipelines.files.table_file import NAME

_ROWS, _COLUMNS = 3000, 100  # most that are examined
_MIN_ROWS = 50
_SURE, _OTHERS = 0.95, 0.6  # least skill of the best column; most of the next, as a fraction of it
_LEAVES, _IN_LEAF = 32, 5


def warnings(columns: Sequence[Column], present: np.ndarray, target: np.ndarray) -> list[str]:
    """A line for each column that may leak the target; arguments as of `leaking_column`."""
    counting = [
        f"{shown(column.name, NAME)} counts the rows: if it is their number and no measure, leave "
        f"it out with --pipeline_options=ignore={shown(column.name, NAME)}"
        for column in columns
        if summary.counts(column)
    ]
    line = leaking_column(columns, present, target)
    return [*counting, line] if line else counting


def leaking_column(columns: Sequence[Column], present: np.ndarray, target: np.ndarray) -> str:
    """A line about the column that alone predicts the target; empty: there is none.

    Skill is that of a decision tree on one column, on held-out rows: r2; or, for classes, the
    fraction that it avoids of the errors of always guessing the most frequent class.

    Args:
        present: (N,) bool, rows that have a target.
        target: (M,) of those: int64 classes, or numbers.
    """
    # The order of free texts means nothing to a tree.
    columns = [column for column in columns if not column.free_text]
    if len(columns) < 2 or target.ndim > 1 or len(target) < _MIN_ROWS:
        return ""
    chosen = np.random.default_rng(0).permutation(len(target))[:_ROWS]
    rows = np.flatnonzero(present)[chosen]
    skills = {
        column.name: _skill(_codes(column, rows), target[chosen]) for column in columns[:_COLUMNS]
    }
    (best, skill), (_, second), *_ = sorted(skills.items(), key=lambda item: -item[1])
    if skill < _SURE or second > _OTHERS * skill:
        return ""
    best = shown(best, NAME)
    return (
        f"{best} alone predicts the target (skill {skill:.3f}, the next best column "
        f"{max(second, 0):.3f}): if it is known only afterwards, leave it out with "
        f"--pipeline_options=ignore={best}"
    )


def _codes(column: Column, rows: np.ndarray) -> np.ndarray:
    """The column's cells in `rows` as numbers: texts by their rank in frequency over all rows."""
    if column.kind != "text":
        values = column.values[rows]
        return np.where(np.isnan(values), -1e30, values)
    counts = Counter(column.values.tolist())
    frequent = sorted(counts, key=lambda text: (-counts[text], text))
    ranks = {text: float(rank) for rank, text in enumerate(frequent)}
    return np.array([ranks[text] for text in column.values[rows].tolist()])


def _skill(values: np.ndarray, target: np.ndarray) -> float:
    classes = target.dtype == np.int64
    tree = DecisionTreeClassifier if classes else DecisionTreeRegressor
    model = tree(max_leaf_nodes=_LEAVES, min_samples_leaf=_IN_LEAF, random_state=0)
    predictions, cells = np.empty(len(target)), values[:, None]
    # cross_val_predict takes twice the time for the same predictions.
    for seen, unseen in KFold(3, shuffle=True, random_state=0).split(cells):
        predictions[unseen] = model.fit(cells[seen], target[seen]).predict(cells[unseen])
    if classes:
        usual = np.bincount(target).max() / len(target)
        return float((np.mean(predictions == target) - usual) / max(1 - usual, 1e-9))
    spread = np.var(target.astype(np.float64))
    return (
        float(1 - np.mean((predictions - target.astype(np.float64)) ** 2) / spread)
        if spread
        else 0.0
    )
