"""BERT (Devlin et al. 2019): a post-norm encoder, for masked tokens and then for texts."""

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

_EPSILON = 1e-12  # of all layer norms


def embed(
    tokens: keras.KerasTensor,
    segments: keras.KerasTensor,
    embedding: keras.layers.Embedding,
    *,
    length: int,
    dropout: float,
) -> keras.KerasTensor:
    """Sum of token, position and segment embeddings, normalised: (B, T) to (B, T, width)."""
    width, initializer = embedding.output_dim, normal()
    position = keras.layers.Embedding(length, width, initializer, name="position_embedding")
    segment = keras.layers.Embedding(2, width, initializer, name="segment_embedding")
    x = embedding(tokens) + position(positions_of(tokens)) + segment(segments)
    x = keras.layers.LayerNormalization(epsilon=_EPSILON, name="embedding_norm")(x)
    return keras.layers.Dropout(dropout, name="embedding_dropout")(x) if dropout else x


def block(
    x: keras.KerasTensor,
    mask: keras.KerasTensor,
    *,
    num_heads: int,
    mlp_dim: int,
    activation: str,
    dropout: float,
    name: str,
) -> keras.KerasTensor:
    """Post-norm attention and MLP, each added to its input (section 3; Vaswani 2017)."""
    y = attention(
        x,
        mask,
        num_heads=num_heads,
        dropout=dropout,
        name=f"{name}_attention",
        initializer=normal(),
    )
    y = x + (keras.layers.Dropout(dropout, name=f"{name}_dropout1")(y) if dropout else y)
    x = keras.layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_attention_norm")(y)
    y = hidden(x, mlp_dim, activation, name=f"{name}_dense1")  # (B, T, mlp_dim)
    y = keras.layers.Dense(x.shape[-1], kernel_initializer=normal(), name=f"{name}_dense2")(y)
    y = x + (keras.layers.Dropout(dropout, name=f"{name}_dropout2")(y) if dropout else y)
    return keras.layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_dense_norm")(y)


def hidden(x: keras.KerasTensor, units: int, activation: str, *, name: str) -> keras.KerasTensor:
    """A dense layer with gelu (as published), gelu_tanh (its approximation) or relu."""
    approximate = activation == "gelu_tanh"
    function = None if approximate else activation
    y = keras.layers.Dense(units, function, kernel_initializer=normal(), name=name)(x)
    return ops.gelu(y, approximate=True) if approximate else y


def normal() -> keras.initializers.Initializer:
    """The published initialiser of kernels and embeddings (google-research/bert, modeling.py)."""
    return keras.initializers.TruncatedNormal(stddev=0.02)


_RECIPE = Recipe(
    pipeline="imdb",
    batch_size=32,
    epochs=3,
    optimizer="adamw",
    optimizer_options={"epsilon": 1e-6},
    learning_rate=2e-4,
    weight_decay=0.01,
    schedule="one_cycle",
    clip_norm=1.0,
)


@zoo.register(
    _RECIPE,
    name="bert_tiny",
    tiny={"width": 16, "num_layers": 2, "num_heads": 2, "mlp_dim": 24, "dropout": 0.1},
    head=("pooler", "logits"),
    positions=("position_embedding",),
    features="encoded",
    parameters=2_512_897,
)
@zoo.register(
    _RECIPE,
    name="bert_mini",
    tiny={"width": 16, "num_layers": 1, "num_heads": 2, "mlp_dim": 24, "dropout": 0.1},
    head=("pooler", "logits"),
    positions=("position_embedding",),
    features="encoded",
    parameters=7_424_513,
    width=256,
    num_layers=4,
    num_heads=4,
    mlp_dim=1024,
)
@zoo.register(
    _RECIPE,
    name="bert_small",
    tiny={"width": 16, "num_layers": 1, "num_heads": 2, "mlp_dim": 24, "dropout": 0.1},
    head=("pooler", "logits"),
    positions=("position_embedding",),
    features="encoded",
    parameters=21_271_553,
    width=512,
    num_layers=4,
    num_heads=8,
    mlp_dim=2048,
)
@zoo.register(
    _RECIPE,
    name="bert_base",
    tiny={"width": 16, "num_layers": 1, "num_heads": 2, "mlp_dim": 24, "dropout": 0.1},
    head=("pooler", "logits"),
    positions=("position_embedding",),
    features="encoded",
    parameters=98_244_097,
    width=768,
    num_layers=12,
    num_heads=12,
    mlp_dim=3072,
)
def bert(
    spec: DataSpec,
    *,
    width: int = 128,
    num_layers: int = 2,
    num_heads: int = 2,
    mlp_dim: int = 512,
    activation: str = "gelu",
    dropout: float = 0.1,
) -> keras.Model:
    """BERT over tokens: logits of masked tokens, or of the text from its first token.

    Where the data has `masked_positions`, logits over the vocabulary are computed there only, with
    the matrix of the token embedding.

    Args:
        width: of the embeddings and of every block; a multiple of `num_heads`.
        mlp_dim: units of the hidden layer of each block's MLP.
        activation: gelu (by the error function), gelu_tanh (its approximation) or relu.

    Raises:
        ValueError: the data has no tokens, `num_heads` does not divide `width`, or `activation` is
            unknown.
    """
    field = field_of_tokens(spec, "bert")
    check_heads(width, num_heads)
    if activation not in ("gelu", "gelu_tanh", "relu"):
        raise ValueError(f"activation {activation!r} is none of gelu, gelu_tanh, relu")

    inputs = zoo.keras_inputs(spec)
    tokens = inputs["tokens"]  # (B, T), 0 is padding
    segments = inputs.get("segments", ops.zeros_like(tokens[:1, :]))  # (B, T) or (1, T)
    mask = ops.not_equal(tokens, 0)  # (B, T)
    embedding = keras.layers.ReversibleEmbedding(
        field.ids, width, embeddings_initializer=normal(), name="token_embedding"
    )
    x = embed(tokens, segments, embedding, length=field.length, dropout=dropout)
    sizes = {"num_heads": num_heads, "mlp_dim": mlp_dim, "activation": activation}
    for i in range(num_layers):
        x = block(x, mask, **sizes, dropout=dropout, name=f"block{i + 1}")  # (B, T, width)
    x = keras.layers.Identity(name="encoded")(x)
    if "masked_positions" in inputs:
        x = gather(x, inputs["masked_positions"])  # (B, M, width)
        x = hidden(x, width, activation, name="transform")  # (B, M, width)
        x = keras.layers.LayerNormalization(epsilon=_EPSILON, name="transform_norm")(x)
        return keras.Model(inputs, token_logits(x, embedding, name="token_bias"), name="bert")
    first = keras.layers.Dense(width, "tanh", kernel_initializer=normal(), name="pooler")
    x = first(x[:, 0])  # (B, width)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    logits = keras.layers.Dense(
        spec.num_outputs, kernel_initializer=normal(), dtype="float32", name="logits"
    )
    return keras.Model(inputs, logits(x), name="bert")  # (B, outputs)
