"""Example images as rebuilt by a model that predicts hidden patches, as pictures."""

import math
import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from pipelines.core.keys import Keys
from pipelines.core.prepared import Prepared
from pipelines.steps import patches
from trainers.evaluation import records
from trainers.evaluation.evaluate import Evaluation
from trainers.serving.generate import as_pixels
from trainers.store import saved_model
from trainers.tasks.registry import Task

_INPUTS = {"image", "masked_positions"}  # of a model that predicts patches


def beside_examples(
    exported: pathlib.Path,
    prepared: Prepared,
    task: Task,
    kept: Mapping[str, np.ndarray],
    test: Evaluation,
) -> dict[str, np.ndarray]:
    """`rebuilt` (n, 3, H, W, C) uint8: the visible part of each example, the prediction, the image.

    The model predicts normalised patches; here each gets the mean and standard deviation of the
    hidden patch.

    Args:
        exported: the directory of the version to predict with.
        kept: from `records.examples`.

    Returns:
        An empty dictionary if no patches are hidden.
    """
    del test
    if not set(prepared.spec.inputs) >= _INPUTS:
        return {}
    stored = {name: tf.constant(value) for name, value in records.fields(kept).items()}
    keys = Keys(tf.constant(0, tf.int64), tf.constant(0, tf.int64), tf.constant(kept["row"]))
    x, target, weight = prepared.example(prepared.preprocess(stored), None, keys)
    model = saved_model.load(exported)  # owns the variables that its signature reads
    answers = model.signatures[task.measured](**x, target=target, weight=weight)
    return {"rebuilt": pictures(x["image"], x["masked_positions"], answers[task.scored])}


def pictures(image: tf.Tensor, hidden: tf.Tensor, guessed: tf.Tensor) -> np.ndarray:
    """(n, 3, H, W, C) uint8: hidden patches grey, predictions in their place, and the image itself.

    Args:
        image: (n, H, W, C) from -1 to 1.
        hidden: (n, M) indices of the hidden patches.
        guessed: (n, M, pixels) predictions of them, each of mean 0 and standard deviation 1.
    """
    shape = tuple(image.shape[1:])
    patch = math.isqrt(guessed.shape[-1] // shape[-1])
    every = patches.patches(image, patch)
    mean, std = (tf.gather(v, hidden, batch_dims=1) for v in patches.scale_of(every))
    rows = tf.range(len(hidden))[:, None] + tf.zeros_like(hidden)
    index = tf.stack([rows, hidden], axis=-1)  # (n, M, 2)
    made = [
        tf.tensor_scatter_nd_update(every, index, values)
        for values in (tf.zeros_like(guessed), guessed * std + mean)
    ]
    drawn = [*(patches.joined(pixels, patch, shape) for pixels in made), image]
    return as_pixels(tf.stack(drawn, axis=1)).numpy()
