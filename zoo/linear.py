"""Logistic or linear regression on any data: the baseline that the other models have to beat."""

import math

import keras
from keras import ops

import zoo
from zoo.spec import DataSpec, Recipe


def bag_of_words(tokens: keras.KerasTensor, spec: DataSpec, name: str) -> keras.KerasTensor:
    """One weight a word and output, summed over a text: (B, T) token ids to (B, outputs)."""
    weights = keras.layers.Embedding(spec.vocab_size, spec.num_outputs, name=f"words_{name}")
    mask = ops.cast(ops.not_equal(tokens, 0), "float32")  # (B, T); 0 is padding
    total = ops.sum(ops.cast(weights(tokens), "float32") * mask[..., None], axis=1)  # (B, outputs)
    # Divided by the root of the length: the counts of a text are a vector of length about one.
    return total / ops.sqrt(ops.maximum(ops.sum(mask, axis=1, keepdims=True), 1.0))


@zoo.register(
    Recipe(
        pipeline="breast_cancer",
        batch_size=32,
        epochs=60,
        optimizer="adamw",
        learning_rate=1e-2,
        schedule="cosine",
        l2=1e-3,
        precision="float32",
    ),
    name="linear",
    tiny={},
)
def linear(spec: DataSpec) -> keras.Model:
    """One weight for each number or word and output: logistic regression, or linear for numbers.

    Raises:
        ValueError: an input is neither numbers of a fixed size nor tokens.
    """
    inputs, scores, flat = zoo.keras_inputs(spec), [], []
    for name, field in spec.inputs.items():
        if field.dtype.startswith("int") and len(field.shape) == 1 and spec.vocab_size:
            scores.append(bag_of_words(inputs[name], spec, name))
        elif None not in field.shape and field.dtype.startswith("float"):
            size = math.prod(field.shape)
            flat.append(keras.layers.Reshape((size,), name=f"flatten_{name}")(inputs[name]))
        else:
            raise ValueError(
                f"linear takes numbers of a fixed size and tokens; {name!r} is {field}"
            )
    # Without numbers there is still a bias: the weight of a constant.
    x = ops.concatenate(flat) if flat else ops.ones_like(scores[0][:, :1])  # (B, features)
    dense = keras.layers.Dense(
        spec.num_outputs, use_bias=bool(flat), dtype="float32", name="logits"
    )
    logits = sum(scores, start=dense(x))  # (B, outputs)
    return keras.Model(inputs, logits, name="linear")
