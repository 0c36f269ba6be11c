"""Linear models: logistic or linear regression on any data, the baseline of every other model."""

import math

import keras
from keras import ops

import zoo
from zoo.spec import DataSpec, Recipe


def bag_of_words(
    tokens: keras.KerasTensor, vocab_size: int, num_outputs: int, name: str
) -> keras.KerasTensor:
    """One weight per token and output, summed over the text: (B, T) ids to (B, outputs)."""
    weights = keras.layers.Embedding(
        vocab_size, num_outputs, embeddings_initializer="zeros", name=f"words_{name}"
    )
    mask = ops.cast(ops.not_equal(tokens, 0), "float32")  # (B, T); 0 is padding
    total = ops.sum(ops.cast(weights(tokens), "float32") * mask[..., None], axis=1)  # (B, outputs)
    # Divided by the square root of the length, so that a text's counts have a norm of about 1.
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
    parameters=31,
)
def linear(spec: DataSpec) -> keras.Model:
    """One weight per output for every number or token, and a bias: logistic or linear regression.

    Raises:
        ValueError: an input is neither numbers of a fixed size nor tokens.
    """
    inputs, scores, flat = zoo.keras_inputs(spec), [], []
    for name, field in spec.inputs.items():
        if field.length and field.ids:
            scores.append(bag_of_words(inputs[name], field.ids, spec.num_outputs, name))
        elif None not in field.shape and field.dtype.startswith("float"):
            size = math.prod(field.shape)
            flat.append(keras.layers.Reshape((size,), name=f"flatten_{name}")(inputs[name]))
        else:
            raise ValueError(
                f"linear takes numbers of a fixed size and tokens; {name!r} is {field}"
            )
    # Without numeric inputs the bias is the weight of a constant input.
    x = ops.concatenate(flat, axis=-1) if flat else ops.ones_like(scores[0][:, :1])  # (B, features)
    # Starts at zero: a convex loss needs no random start, and a number or token that never occurs
    # in training keeps the weight zero.
    dense = keras.layers.Dense(
        spec.num_outputs,
        use_bias=bool(flat),
        kernel_initializer="zeros",
        dtype="float32",
        name="logits",
    )
    logits = sum(scores, start=dense(x))  # (B, outputs)
    return keras.Model(inputs, logits, name="linear")
