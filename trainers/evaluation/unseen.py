"""Which values of a split training never had: a test file may spell its categories otherwise."""

import logging
from collections.abc import Collection

import tensorflow as tf

from pipelines.core import specs
from pipelines.core.prepared import Prepared
from pipelines.core.rows import chunks
from pipelines.storage.progress import progress
from trainers.serving import unseen

_MANY = 0.03  # fraction of the rows of a split from which on a column is warned of
_FEWEST = 3  # rows

_LOG = logging.getLogger(__name__)


def count(prepared: Prepared, split: str) -> unseen.Counts:
    """The values of a split that training never had, by column; empty where the form has none."""
    counts: unseen.Counts = {}
    rows = prepared.rows[split]
    texts = any(field.dtype == "string" for field in prepared.raw.values())
    if prepared.unseen is None or rows.are_inputs or not texts:
        return counts
    find = specs.preprocess_function(prepared.unseen.find, tuple(prepared.raw.items()))
    first = 0
    for chunk in progress(chunks(rows), None, f"{split}: values that training had"):
        columns = {name: chunk[name] for name in prepared.raw}
        found = find({k: tf.constant(columns[k], f.dtype) for k, f in prepared.raw.items()})
        faults = dict(zip(unseen.FAULTS, (value.numpy() for value in found), strict=True))
        where = [f"row {first + i}" for i in range(len(faults["unknown"]))]
        unseen.add(counts, faults, columns, where)
        first += len(where)
    return counts


def warn(prepared: Prepared, splits: Collection[str], least: float = _MANY) -> None:
    """Logs a warning for each column of these splits of which `least` or more rows are unseen."""
    for split in splits:
        rows = prepared.rows[split].num_rows
        many = {
            key: found
            for key, found in count(prepared, split).items()
            if not least or found.number >= max(_FEWEST, least * rows)
        }
        for line in unseen.lines(many, rows, prepared.unseen.expected if many else {}):
            _LOG.warning("%s: %s", split, line)
