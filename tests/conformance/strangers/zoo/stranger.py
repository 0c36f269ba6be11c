"""Models of somebody else: a small network, one of separate columns, and an autoencoder."""

import keras

import zoo
from zoo.spec import DataSpec, Recipe


@zoo.register(Recipe(pipeline="strange_squares", epochs=1), name="stranger_net", tiny={"width": 64})
def stranger_net(spec: DataSpec, *, width: int = 16) -> keras.Model:
    """One hidden layer, by somebody else."""
    inputs = zoo.keras_inputs(spec)
    x = keras.layers.Dense(width, activation="relu", name="hidden")(inputs["position"])
    logits = keras.layers.Dense(spec.num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="stranger_net")


@zoo.register(
    Recipe(pipeline="breast_cancer", batch_size=32, epochs=2, learning_rate=1e-2),
    name="stranger_columns",
    tiny={},
    inputs="columns",
)
def stranger_columns(spec: DataSpec) -> keras.Model:
    """A weight for every number and for its rank, by somebody else.

    Raises:
        ValueError: the data has no numbers.
    """
    if "ranks" not in spec.inputs:
        raise ValueError(f"stranger_columns takes numbers and ranks, received {list(spec.inputs)}")
    inputs = zoo.keras_inputs(spec)
    x = keras.layers.Concatenate(name="join")([inputs["numbers"], inputs["ranks"]])
    logits = keras.layers.Dense(spec.num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="stranger_columns")


@zoo.register(
    Recipe(
        pipeline="breast_cancer", batch_size=32, epochs=6, learning_rate=1e-2, precision="float32"
    ),
    name="stranger_autoencoder",
    tiny={"width": 4},
    tasks=("denoise",),
)
def stranger_autoencoder(spec: DataSpec, *, width: int = 20) -> keras.Model:
    """A vector through a narrow layer and back, by somebody else."""
    inputs = zoo.keras_inputs(spec)
    x = keras.layers.Dense(width, name="narrow")(inputs["features"])
    restored = keras.layers.Dense(spec.num_outputs, dtype="float32", name="restored")(x)
    return keras.Model(inputs, restored, name="stranger_autoencoder")
