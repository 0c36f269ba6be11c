"""Finds values of a split that training never had: its categories may be spelt differently."""

import logging
from collections.abc import Collection

import numpy as np
import tensorflow as tf

from pipelines.core import specs
from pipelines.core.prepared import Prepared
from pipelines.core.rows import chunks, spaced
from pipelines.storage.progress import progress
from trainers.serving import unseen

_MANY = 0.03  # least fraction of a split's rows for a warning about a column
_FEWEST = 3  # least number of rows for a warning
_LOOKED_AT = 20_000  # evenly spaced rows of a split, which a run checks before its first step

_LOG = logging.getLogger(__name__)


def count(prepared: Prepared, split: str, index: np.ndarray | None = None) -> unseen.Counts:
    """The values of a split that training never had, by column; empty if the form cannot tell.

    Args:
        index: the rows to check; None: all.
    """
    counts: unseen.Counts = {}
    rows = prepared.rows[split]
    index = np.arange(rows.num_rows) if index is None else index
    texts = any(field.dtype == "string" for field in prepared.raw.values())
    if prepared.unseen is None or rows.are_inputs or not texts:
        return counts
    find = specs.preprocess_function(prepared.unseen.find, tuple(prepared.raw.items()))
    number = iter(index.tolist())
    for chunk in progress(chunks(rows, index), None, f"{split}: values that training had"):
        columns = {name: chunk[name] for name in prepared.raw}
        masks = find({k: tf.constant(columns[k], f.dtype) for k, f in prepared.raw.items()})
        faults = dict(zip(unseen.FAULTS, (mask.numpy() for mask in masks), strict=True))
        where = [f"row {next(number)}" for _ in faults["unknown"]]
        unseen.add(counts, faults, columns, where)
    return counts


def warn(prepared: Prepared, splits: Collection[str]) -> None:
    """Logs a warning for each column with unseen values in a few per cent of a split's rows.

    If there are many rows, it checks some of them.
    """
    for split in splits:
        index = spaced(prepared.rows[split].num_rows, _LOOKED_AT)
        counts = count(prepared, split, index)
        least = max(_FEWEST, _MANY * len(index))
        many = {key: one for key, one in counts.items() if one.number >= least}
        _log(prepared, split, many, len(index))


def warn_of_all(prepared: Prepared, split: str) -> None:
    """Logs a warning for each column in which a value of any row of the split is unseen."""
    _log(prepared, split, count(prepared, split), prepared.rows[split].num_rows)


def _log(prepared: Prepared, split: str, counts: unseen.Counts, rows: int) -> None:
    for line in unseen.lines(counts, rows, prepared.unseen.expected if counts else {}):
        _LOG.warning("%s: %s", split, line)
