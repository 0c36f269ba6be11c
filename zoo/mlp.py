"""The multi-layer perceptron, over numbers of any shape."""

import math

import keras

import zoo
from zoo.spec import DataSpec, Recipe


@zoo.register(
    Recipe(
        pipeline="breast_cancer",
        batch_size=32,
        epochs=100,
        optimizer="adamw",
        learning_rate=1e-3,
        schedule="cosine",
        l2=0.02,
        precision="float32",
    ),
    name="mlp_binary",
    tiny={"hidden": (16, 8), "dropout": 0.1},
    tasks=("binary",),
    head=("logits",),
    parameters=6_209,
)
@zoo.register(
    Recipe(
        pipeline="shapes",
        batch_size=128,
        epochs=20,
        optimizer="adamw",
        learning_rate=1e-3,
        schedule="cosine",
        weight_decay=0.05,
    ),
    name="mlp_classifier",
    tiny={"hidden": (16, 8), "dropout": 0.1},
    tasks=("classification",),
    head=("logits",),
    parameters=201_482,
)
@zoo.register(
    Recipe(
        pipeline="breast_cancer",
        batch_size=0,
        epochs=0,
        optimizer="adamw",
        learning_rate=2e-3,
        schedule="cosine",
        weight_decay=0.05,
        early_stopping=15,
        precision="float32",
    ),
    name="mlp",
    tiny={"hidden": (16, 8), "dropout": 0.1},
    head=("logits",),
    parameters=12_289,
    hidden=(128, 64),
    dropout=0.1,
)
def mlp(spec: DataSpec, *, hidden: tuple[int, ...] = (64, 64), dropout: float = 0.0) -> keras.Model:
    """Dense layers with ReLU over all inputs, flattened and concatenated.

    Args:
        hidden: units of each hidden layer.
        dropout: fraction dropped after each hidden layer.

    Raises:
        ValueError: an input is not numbers of a fixed size.
    """
    for name, field in spec.inputs.items():
        if None in field.shape or not field.dtype.startswith(("float", "bfloat")):
            raise ValueError(f"mlp takes numbers of a fixed size; input {name!r} is {field}")

    inputs = zoo.keras_inputs(spec)
    flat = [
        keras.layers.Reshape((math.prod(spec.inputs[name].shape),), name=f"flatten_{name}")(tensor)
        for name, tensor in inputs.items()
    ]  # (B, size of the input) each
    x = flat[0] if len(flat) == 1 else keras.layers.Concatenate(name="join")(flat)  # (B, features)
    for i, units in enumerate(hidden, start=1):
        x = keras.layers.Dense(units, activation="relu", name=f"dense{i}")(x)  # (B, units)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"dropout{i}")(x)
    logits = keras.layers.Dense(spec.num_outputs, dtype="float32", name="logits")(x)  # (B, outputs)
    return keras.Model(inputs, logits, name="mlp")
