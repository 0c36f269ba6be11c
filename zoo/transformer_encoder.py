"""The encoder of the Transformer (Vaswani et al. 2017), over the tokens of a text."""

import keras
from keras import ops

import zoo
from zoo.spec import DataSpec, Recipe


def attention(
    x: keras.KerasTensor, mask: keras.KerasTensor, *, heads: int, dropout: float, name: str
) -> keras.KerasTensor:
    """Self-attention (Vaswani et al. 2017, 3.2): (B, T, width), mask (B, T) of what may be seen."""
    width = x.shape[-1]
    size = width // heads
    joined = keras.layers.Dense(3 * width, name=f"{name}_query_key_value")(x)  # (B, T, 3 width)
    joined = keras.layers.Reshape((-1, 3, heads, size), name=f"{name}_split")(joined)
    joined = ops.transpose(joined, (2, 0, 3, 1, 4))  # (3, B, heads, T, size)
    query, key, value = ops.unstack(joined, 3)  # a slice each would be three passes on the way back
    scores = ops.matmul(query * size**-0.5, ops.transpose(key, (0, 1, 3, 2)))  # (B, heads, T, T)
    # Softmax in float32; a place that may not be seen gets a weight of exactly zero.
    hidden = ops.cast(ops.logical_not(mask), "float32")[:, None, None, :] * -1e9
    weights = ops.softmax(ops.cast(scores, "float32") + hidden)
    weights = ops.cast(weights, value.dtype)
    if dropout:
        weights = keras.layers.Dropout(dropout, name=f"{name}_dropout")(weights)
    mixed = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))  # (B, T, heads, size)
    mixed = keras.layers.Reshape((-1, width), name=f"{name}_join")(mixed)  # (B, T, width)
    return keras.layers.Dense(width, name=f"{name}_output")(mixed)


def block(
    x: keras.KerasTensor,
    mask: keras.KerasTensor,
    *,
    heads: int,
    hidden: int,
    dropout: float,
    name: str,
) -> keras.KerasTensor:
    """Attention and a two-layer network, each normalised first (Xiong et al. 2020) and added."""
    y = keras.layers.LayerNormalization(epsilon=1e-6, name=f"{name}_attention_norm")(x)
    y = attention(y, mask, heads=heads, dropout=dropout, name=f"{name}_attention")
    x = x + (keras.layers.Dropout(dropout, name=f"{name}_dropout1")(y) if dropout else y)
    y = keras.layers.LayerNormalization(epsilon=1e-6, name=f"{name}_dense_norm")(x)
    y = keras.layers.Dense(hidden, activation="relu", name=f"{name}_dense1")(y)  # (B, T, hidden)
    y = keras.layers.Dense(x.shape[-1], name=f"{name}_dense2")(y)  # (B, T, width)
    return x + (keras.layers.Dropout(dropout, name=f"{name}_dropout2")(y) if dropout else y)


def embedded(tokens: keras.KerasTensor, spec: DataSpec, width: int) -> keras.KerasTensor:
    """Token and position embeddings added: (B, T) to (B, T, width)."""
    # Positions are counted from the tokens: a layer on a constant would never be trained or saved.
    positions = ops.cumsum(ops.ones_like(tokens[:1, :]), axis=1) - 1  # (1, T)
    start = keras.initializers.RandomNormal(stddev=width**-0.5)
    x = keras.layers.Embedding(spec.vocab_size, width, start, name="token_embedding")(tokens)
    start = keras.initializers.RandomNormal(stddev=width**-0.5)
    place = keras.layers.Embedding(spec.max_length, width, start, name="position_embedding")
    return x + place(positions)


@zoo.register(
    Recipe(
        pipeline="imdb",
        batch_size=64,
        epochs=4,
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=1.0,
        schedule="one_cycle",
        clip_norm=1.0,
    ),
    name="transformer_encoder",
    tiny={
        "width": 16,
        "layers": 2,
        "heads": 2,
        "hidden": 24,
        "dropout": 0.1,
        "word_dropout": 0.1,
    },
)
def transformer_encoder(
    spec: DataSpec,
    *,
    width: int = 64,
    layers: int = 1,
    heads: int = 2,
    hidden: int = 128,
    dropout: float = 0.2,
    word_dropout: float = 0.3,
) -> keras.Model:
    """Pre-norm blocks over token and position embeddings, mean over the real tokens, one head.

    Args:
        width: of the embeddings and between the blocks; `heads` divides it.
        hidden: width inside the two-layer networks.
        word_dropout: share of words whose embedding is left out in training.

    Raises:
        ValueError: the data is no tokens, or `heads` does not divide `width`.
    """
    if len(spec.inputs) != 1 or not spec.vocab_size or not spec.max_length:
        raise ValueError(
            f"transformer_encoder takes one input of tokens, the data has {dict(spec.inputs)}"
        )
    if width % heads:
        raise ValueError(f"width {width} does not divide over {heads} heads")

    inputs = zoo.keras_inputs(spec)
    (tokens,) = inputs.values()  # (B, T), 0 after the end
    mask = ops.not_equal(tokens, 0)  # (B, T)
    x = embedded(tokens, spec, width)  # (B, T, width)
    if word_dropout:
        of_word = (None, None, 1)
        x = keras.layers.Dropout(word_dropout, noise_shape=of_word, name="word_dropout")(x)
    for i in range(1, layers + 1):
        x = block(x, mask, heads=heads, hidden=hidden, dropout=dropout, name=f"block{i}")
    x = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    real = ops.cast(mask, "float32")[..., None]  # (B, T, 1)
    total = ops.sum(ops.cast(x, "float32") * real, axis=1)  # (B, width)
    x = total / ops.maximum(ops.sum(real, axis=1), 1.0)
    if dropout:
        x = keras.layers.Dropout(dropout, dtype="float32", name="dropout")(x)
    logits = keras.layers.Dense(spec.num_outputs, dtype="float32", name="logits")(x)  # (B, outputs)
    return keras.Model(inputs, logits, name="transformer_encoder")
