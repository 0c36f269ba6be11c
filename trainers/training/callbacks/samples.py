"""Images that a generator makes while it is trained, as one picture: a row for each class."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

import zoo
from trainers.evaluation import generated
from trainers.store.run_folder import Run
from trainers.tasks import registry as tasks

_SIDE = 56  # pixels: smaller images are enlarged to this at most, by a whole factor


def sampler(run: Run, model: keras.Model) -> Callable[[], np.ndarray] | None:
    """A function that draws the picture with the model's current weights and fixed seeds.

    None: the task makes no images.
    """
    task, settings, prepared = tasks.get(run.prepared.task), run.settings, run.prepared
    if not task.generates:
        return None
    entry = zoo.get(settings.model)
    hparams = {**entry.hparams, **settings.hparams}
    [function] = [
        one.function
        for name, one in task.signatures(entry, hparams, model, prepared).items()
        if name == "generate"
    ]
    traced = tf.function(function, autograph=False, reduce_retracing=True)

    def draw() -> np.ndarray:
        return picture(generated.shown(traced, len(prepared.class_names))["image"])

    return draw


def picture(images: np.ndarray) -> np.ndarray:
    """Images (rows, columns, H, W, C) as one grid, (height, width, C) uint8."""
    rows, columns, height, width, channels = images.shape
    factor = max(1, _SIDE // max(height, width))
    large = images.repeat(factor, axis=2).repeat(factor, axis=3)
    beside = large.transpose(0, 2, 1, 3, 4)  # (rows, H, columns, W, C)
    return beside.reshape(rows * height * factor, columns * width * factor, channels)
