"""Occlusion maps: how the model's answer changes with each part of an image hidden."""

import pathlib
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from pipelines.core.prepared import Prepared
from trainers.evaluation import records, statistics
from trainers.evaluation.evaluate import Evaluation
from trainers.store import saved_model
from trainers.tasks.registry import Task

CELLS = 7  # parts per side, odd so that one is in the middle
_MOST = 12  # mistakes, the most confident ones: each takes 50 predictions
_LARGEST = 512  # pixels per side; larger images get no maps


def beside_mistakes(
    exported: pathlib.Path,
    prepared: Prepared,
    task: Task,
    kept: Mapping[str, np.ndarray],
    test: Evaluation,
) -> dict[str, np.ndarray]:
    """`occluded` (n, 7, 7) float32 for the examples that a run keeps, NaN for right answers.

    Args:
        exported: the directory of the version to predict with.
        kept: from `records.examples`.
        test: answers to the test split.

    Returns:
        An empty dictionary unless each row is one image of one class, at most 512 pixels per side,
            and the outputs are logits.
    """
    fields, name = records.fields(kept), records.image_field(prepared)
    if (
        name not in fields
        or list(prepared.raw) != [name]
        or max(fields[name].shape[1:3]) > _LARGEST
    ):
        return {}
    if not records.answers_are_of_classes(prepared, task):
        return {}
    wrong = test.row[task.mistakes(prepared, test, _MOST).index]
    model = saved_model.load(exported)
    serve = model.signatures[task.measured]

    def ask(images: np.ndarray) -> np.ndarray:
        return serve(**{name: tf.constant(images)})["logits"].numpy()

    maps = np.full((len(kept["row"]), CELLS, CELLS), np.nan, np.float32)
    for i, row in enumerate(kept["row"]):
        if row in wrong:
            maps[i] = changes(ask, fields[name][i])
    return {"occluded": maps}


def changes(ask: Callable[[np.ndarray], np.ndarray], image: np.ndarray) -> np.ndarray:
    """How much less probable the answer is with a grey square over each part, (7, 7).

    A square is a quarter of each side long, so that neighbours overlap (Zeiler and Fergus 2013,
    arXiv 1311.2901, section 4.2).

    Args:
        ask: images to logits (B, classes), or (B, 1) of the second of two.
        image: (H, W, C).
    """
    probabilities = statistics.of_classes(ask(np.concatenate([image[None], hidden(image)])))
    answer = probabilities[0].argmax()
    change = probabilities[0, answer] - probabilities[1:, answer]
    return change.reshape(CELLS, CELLS).astype(np.float32)


def hidden(image: np.ndarray) -> np.ndarray:
    """A copy of the image for each part, with that part in the mean colour: (49, H, W, C)."""
    height, width, _ = image.shape
    grey = np.round(image.mean(axis=(0, 1))).astype(image.dtype)
    copies = np.repeat(image[None], CELLS**2, axis=0)
    for i, (row, column) in enumerate(np.ndindex(CELLS, CELLS)):
        copies[i, _part(row, height), _part(column, width)] = grey
    return copies


def _part(cell: int, side: int) -> slice:
    """A quarter of the side, centred at the cell's centre and cut at the edges."""
    middle, half = (cell + 0.5) * side / CELLS, max(side / 8, 0.5)
    return slice(max(0, round(middle - half)), round(middle + half))
