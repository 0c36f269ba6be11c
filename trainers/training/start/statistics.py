"""Initial weights from the training rows, by the model's own `adapt`."""

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

import zoo
from pipelines.core.prepared import Prepared
from pipelines.core.stream import stream
from trainers.config.settings import Settings
from trainers.store.run_folder import Run

NAME = "statistics"


def weights(model: keras.Model, run: Run) -> Mapping[str, np.ndarray]:
    """What `adapt(model, batches)` returns for the training rows, by variable path."""
    return zoo.get(run.settings.model).adapt(model, batches(run.settings, run.prepared))


def batches(settings: Settings, prepared: Prepared) -> Iterator[tuple[Any, Any]]:
    """(inputs, y) of the training rows in stored order, without augmentation, each row once."""
    batch_size, seed = settings.recipe.batch_size, settings.recipe.seed
    left = prepared.rows["train"].num_rows
    for x, y, _ in stream(prepared, "train", batch_size=batch_size, training=False, seed=seed):
        rows = min(batch_size, left)
        left -= rows
        x, y = keras.tree.map_structure(lambda t, rows=rows: t[:rows].numpy(), (x, y))
        yield x, y
