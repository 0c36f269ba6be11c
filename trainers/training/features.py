"""What represents a row within a network: the output of the layer that the network names."""

import keras
from keras import ops


def of(model: keras.Model, entry) -> keras.KerasTensor:
    """The network's features of each row: (B, width) in float32.

    Those of positions or of places of an image are averaged.

    Args:
        entry: of the network in the zoo.

    Raises:
        ValueError: it names no such layer.
    """
    if not entry.features:
        raise ValueError("it names no layer of features, over which this task puts its own")
    found = ops.cast(model.get_layer(entry.features).output, "float32")
    between = tuple(range(1, len(found.shape) - 1))
    return ops.mean(found, axis=between) if between else found
