"""The encoder of the Transformer (Vaswani et al. 2017), over the tokens of a text."""

import keras
from keras import ops

import zoo
from zoo.layers import (
    attention,
    check_heads,
    field_of_tokens,
    gather,
    positions_of,
    token_logits,
)
from zoo.spec import DataSpec, Recipe


def encoder_block(
    x: keras.KerasTensor,
    mask: keras.KerasTensor,
    *,
    num_heads: int,
    mlp_dim: int,
    dropout: float,
    rotary: bool,
    rms_norm: bool,
    gated: bool,
    name: str,
) -> keras.KerasTensor:
    """Pre-norm attention and MLP, each added to its input (Xiong et al. 2020)."""
    y = normalise(x, rms_norm, name=f"{name}_attention_norm")
    y = attention(
        y, mask, num_heads=num_heads, dropout=dropout, rotary=rotary, name=f"{name}_attention"
    )
    x = x + (keras.layers.Dropout(dropout, name=f"{name}_dropout1")(y) if dropout else y)
    y = normalise(x, rms_norm, name=f"{name}_dense_norm")
    z = keras.layers.Dense(mlp_dim, activation="relu", name=f"{name}_dense1")(y)  # (B, T, mlp_dim)
    if gated:
        z = z * keras.layers.Dense(mlp_dim, name=f"{name}_gate")(y)
    y = keras.layers.Dense(x.shape[-1], name=f"{name}_dense2")(z)  # (B, T, width)
    return x + (keras.layers.Dropout(dropout, name=f"{name}_dropout2")(y) if dropout else y)


def normalise(x: keras.KerasTensor, rms_norm: bool, *, name: str) -> keras.KerasTensor:
    """Layer norm, or RMS norm, which has no mean and no bias (Zhang and Sennrich 2019)."""
    kind = keras.layers.RMSNormalization if rms_norm else keras.layers.LayerNormalization
    return kind(epsilon=1e-6, name=name)(x)


def average(x: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """The mean over real tokens, in float32: (B, T, width) and (B, T) to (B, width)."""
    real = ops.cast(mask, "float32")[..., None]  # (B, T, 1)
    total = ops.sum(ops.cast(x, "float32") * real, axis=1)  # (B, width)
    return total / ops.maximum(ops.sum(real, axis=1), 1.0)


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
        "num_layers": 2,
        "num_heads": 2,
        "mlp_dim": 24,
        "dropout": 0.1,
        "word_dropout": 0.1,
    },
    head=("logits",),
    positions=("position_embedding",),
    features="norm",
    parameters=1_083_265,
)
def transformer_encoder(
    spec: DataSpec,
    *,
    width: int = 64,
    num_layers: int = 1,
    num_heads: int = 2,
    mlp_dim: int = 128,
    dropout: float = 0.2,
    word_dropout: float = 0.3,
    rotary: bool = False,
    rms_norm: bool = False,
    gated: bool = False,
) -> keras.Model:
    """A pre-norm Transformer encoder over tokens, averaged over the text, with a linear head.

    Where the data has `masked_positions`, its outputs are logits of the tokens there, computed with
    the transposed matrix of the token embedding.

    Args:
        width: of the embeddings and of every block; a multiple of `num_heads`.
        mlp_dim: units of the hidden layer of each block's MLP.
        word_dropout: fraction of tokens whose embedding is zero in a training step.
        rotary: rotary position embedding (Su et al. 2021) instead of a learned one.
        rms_norm: RMS norm instead of layer norm.
        gated: the MLP's hidden units are multiplied by gates (Shazeer 2020, ReGLU).

    Raises:
        ValueError: the data has no tokens, or `num_heads` does not divide `width` (into even parts
            if rotary).
    """
    field = field_of_tokens(spec, "transformer_encoder")
    check_heads(width, num_heads, rotary=rotary)

    inputs = zoo.keras_inputs(spec)
    tokens = inputs["tokens"]  # (B, T), 0 is padding
    mask = ops.not_equal(tokens, 0)  # (B, T)
    normal = keras.initializers.RandomNormal(stddev=width**-0.5)
    embedding = keras.layers.ReversibleEmbedding(
        field.ids, width, embeddings_initializer=normal, name="token_embedding"
    )
    x = embedding(tokens)  # (B, T, width)
    if not rotary:
        normal = keras.initializers.RandomNormal(stddev=width**-0.5)
        position = keras.layers.Embedding(field.length, width, normal, name="position_embedding")
        x = x + position(positions_of(tokens))
    if word_dropout:
        noise_shape = (None, None, 1)  # drops whole embeddings
        x = keras.layers.Dropout(word_dropout, noise_shape=noise_shape, name="word_dropout")(x)
    sizes = {"num_heads": num_heads, "mlp_dim": mlp_dim, "dropout": dropout}
    kind = {"rotary": rotary, "rms_norm": rms_norm, "gated": gated}
    for i in range(num_layers):
        x = encoder_block(x, mask, **sizes, **kind, name=f"block{i + 1}")  # (B, T, width)
    x = normalise(x, rms_norm, name="norm")
    if "masked_positions" in inputs:
        x = gather(x, inputs["masked_positions"])  # (B, M, width)
        logits = token_logits(x, embedding, name="token_bias")  # (B, M, ids)
        return keras.Model(inputs, logits, name="transformer_encoder")
    x = average(x, mask)  # (B, width)
    if dropout:
        x = keras.layers.Dropout(dropout, dtype="float32", name="dropout")(x)
    logits = keras.layers.Dense(spec.num_outputs, dtype="float32", name="logits")(x)  # (B, outputs)
    return keras.Model(inputs, logits, name="transformer_encoder")
