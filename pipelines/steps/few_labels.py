"""Few labels: only a given number of training images keep their labels, equally many per class."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from pipelines.core.keys import bits_numpy
from pipelines.core.pipeline import DataError, Pipeline, Rows
from pipelines.core.rows import chunks, subset
from pipelines.core.splits import digests

NONE = -1  # label of a row whose label is hidden
_DRAW = 1  # of `bits`, over contents

_log = logging.getLogger(__name__)


def few_labels(pipeline: Pipeline, number: int) -> Pipeline:
    """The pipeline with `number` labelled training images; 0: all of them.

    A task that needs labels trains on these only. One that needs none trains on all images, of
    which the others have the label -1. Validation and test are unchanged.

    Args:
        number: of labels, equally many per class. Which images keep them depends only on their
            content: the order of the rows, or additional rows, change none of the draws.
    """
    if not number:
        return pipeline
    names = pipeline.schema.class_names if pipeline.schema else ()
    cut_before = pipeline.cut or dict

    def labelled(rows: Mapping[str, Rows]) -> dict[str, Rows]:
        rows = dict(cut_before(rows))
        index = _drawn(rows["train"], number, names)
        identity = f"{rows['train'].identity}/labels={number}"
        return {**rows, "train": subset(rows["train"], index, identity)}

    def unlabelled(rows: Mapping[str, Rows]) -> dict[str, Rows]:
        rows = dict(cut_before(rows))
        if rows["train"].target is None:
            raise DataError(f"labels={number}: the images of {pipeline.source} have no labels")
        index = _drawn(rows["train"], number, names)
        return {**rows, "train": hidden(rows["train"], index)}

    without = pipeline.unlabelled() if pipeline.unlabelled else pipeline
    without = dataclasses.replace(without, cut=unlabelled)
    return dataclasses.replace(pipeline, cut=labelled, unlabelled=lambda: without)


def draw(
    labels: np.ndarray, digest: np.ndarray, number: int, names: Sequence[str] = ()
) -> np.ndarray:
    """Rows that keep their labels, ascending: (number,).

    Args:
        labels: (N,) classes.
        digest: (N,) int64 of the rows' contents, from `splits.digests`.
        names: of the classes, for messages.

    Raises:
        DataError: `number` is not divisible by the number of classes, or a class has too few rows.
    """
    classes, counts = np.unique(labels, return_counts=True)
    each, rest = divmod(number, len(classes))
    if rest:
        nearest = [n * len(classes) for n in (each, each + 1) if n]
        raise DataError(
            f"labels={number} does not divide over {len(classes)} classes: choose "
            f"labels={' or '.join(map(str, nearest))}"
        )
    if counts.min() < each:
        rarest = int(classes[counts.argmin()])
        name = repr(names[rarest]) if names else f"number {rarest}"
        raise DataError(
            f"labels={number} is {each} of each of {len(classes)} classes, but class {name} has "
            f"{counts.min()} training images: at most labels={counts.min() * len(classes)}"
        )
    order = np.argsort(bits_numpy(0, 0, _DRAW, digest), kind="stable")
    kept = [order[labels[order] == label][:each] for label in classes]
    return np.sort(np.concatenate(kept))


def hidden(rows: Rows, kept: np.ndarray) -> Rows:
    """The same rows, where all but those at `kept` have the label -1."""
    name, mask = rows.target, np.zeros(rows.num_rows, bool)
    mask[kept] = True
    if rows.table is not None:
        table = {**rows.table, name: np.where(mask, rows.table[name], NONE)}
        return rows._replace(table=table)
    if rows.read is not None:

        def read(index: np.ndarray) -> dict[str, np.ndarray]:
            columns = dict(rows.read(index))
            return {**columns, name: np.where(mask[index], columns[name], NONE)}

        return rows._replace(read=read)

    def take(index: tf.Tensor) -> dict[str, tf.Tensor]:
        columns = dict(rows.take(index))
        none = tf.constant(NONE, columns[name].dtype)
        return {**columns, name: tf.where(tf.gather(mask, index), columns[name], none)}

    return rows._replace(take=take)


def _drawn(rows: Rows, number: int, names: Sequence[str]) -> np.ndarray:
    labels, digest = [], []
    for chunk in chunks(rows):
        labels.append(chunk[rows.target])
        digest.append(digests(image.tobytes() for image in chunk["image"]))
    index = draw(np.concatenate(labels), np.concatenate(digest), number, names)
    _log.info("labels=%d of %d training images are used", number, rows.num_rows)
    return index
