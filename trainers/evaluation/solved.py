"""The linear baseline of a table, solved for its optimum, which takes one second instead of ten."""

from collections.abc import Mapping

import keras
import numpy as np

from pipelines.core.prepared import Prepared
from trainers.config.settings import Settings
from trainers.training.compile import build
from trainers.training.start import linear_head, statistics

_FEATURES, _CELLS = 300, 10_000_000  # limits on the training rows: a few seconds
_BATCH = 1000  # rows that are read together


def weights(settings: Settings, prepared: Prepared) -> Mapping[str, np.ndarray] | None:
    """The weights of the zoo's linear model at their optimum, by path.

    None: it has to be trained, since it has more than a linear layer (texts), reads many numbers
    (images), or reads rows from disk.

    Args:
        settings: of the baseline's run.
    """
    if prepared.rows["train"].table is None:
        return None
    model = build(settings, prepared, "float32")
    layer = model.get_layer("logits")
    width, number = layer.kernel.shape[0], prepared.rows["train"].num_rows
    plain = {v.path for v in model.weights} == {"logits/kernel", "logits/bias"}
    if not plain or width > _FEATURES or width * number > _CELLS:
        return None
    seed, batch_size = settings.recipe.seed, min(_BATCH, number)
    columns = keras.Model(model.input, layer.input)
    seen = [
        (keras.ops.convert_to_numpy(columns(x, training=False)), y)
        for x, y in statistics.batches(prepared, batch_size=batch_size, seed=seed)
    ]
    x, y = (np.concatenate(parts) for parts in zip(*seen, strict=True))
    head = linear_head.fitted_to_columns(x, y, layer.units, linear_head.unit_of(model))
    return {layer.kernel.path: head.kernel, layer.bias.path: head.bias}
