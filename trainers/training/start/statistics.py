"""Initial weights from the training rows, by the model's own `adapt`."""

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

import zoo
from pipelines.core.prepared import Prepared
from pipelines.core.stream import stream
from trainers.store.run_folder import Run

NAME = "statistics"


def weights(model: keras.Model, run: Run) -> Mapping[str, np.ndarray]:
    """What `adapt(model, batches)` returns for the training rows, by variable path."""
    recipe = run.settings.recipe
    rows = batches(run.prepared, batch_size=recipe.batch_size, seed=recipe.seed)
    return zoo.get(run.settings.model).adapt(model, rows)


def batches(prepared: Prepared, *, batch_size: int, seed: int) -> Iterator[tuple[Any, Any]]:
    """(inputs, y) of the training rows in stored order, without augmentation, each row once."""
    left = prepared.rows["train"].num_rows
    for x, y, _ in stream(prepared, "train", batch_size=batch_size, training=False, seed=seed):
        rows = min(batch_size, left)
        left -= rows
        x, y = keras.tree.map_structure(lambda t, rows=rows: t[:rows].numpy(), (x, y))
        yield x, y
