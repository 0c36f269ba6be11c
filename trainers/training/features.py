"""The features of a row: the output of the layer that a network's zoo entry names."""

import keras
from keras import ops


def of(model: keras.Model, entry) -> keras.KerasTensor:
    """The network's features of each row: (B, width) in float32.

    Features per position of a sequence or an image are averaged.

    Args:
        entry: the network's entry in the zoo.

    Raises:
        ValueError: the entry names no such layer.
    """
    if not entry.features:
        raise ValueError("it names no layer of features, over which this task puts its own")
    features = ops.cast(model.get_layer(entry.features).output, "float32")
    axes = tuple(range(1, len(features.shape) - 1))
    return ops.mean(features, axis=axes) if axes else features
