"""The encoder of the Transformer (Vaswani et al. 2017), over the tokens of a text."""

import keras
from keras import ops

import zoo
from zoo.spec import DataSpec, Field, Recipe


def attention(
    x: keras.KerasTensor, mask: keras.KerasTensor, *, num_heads: int, dropout: float, name: str
) -> keras.KerasTensor:
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2): (B, T, width) to the same.

    Args:
        mask: (B, T) bool, False at padding, which gets no attention.
    """
    width = x.shape[-1]
    head_dim = width // num_heads
    qkv = keras.layers.Dense(3 * width, name=f"{name}_query_key_value")(x)  # (B, T, 3 * width)
    qkv = keras.layers.Reshape((-1, 3, num_heads, head_dim), name=f"{name}_split")(qkv)
    qkv = ops.transpose(qkv, (2, 0, 3, 1, 4))  # (3, B, num_heads, T, head_dim)
    # Unstacked, not sliced: the backward pass of three slices reads the whole tensor three times.
    query, key, value = ops.unstack(qkv, 3)
    query = query * head_dim**-0.5
    scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))  # (B, num_heads, T, T)
    # Softmax in float32; a masked position gets a weight of exactly zero.
    mask_bias = ops.cast(ops.logical_not(mask), "float32")[:, None, None, :] * -1e9
    weights = ops.softmax(ops.cast(scores, "float32") + mask_bias)
    weights = ops.cast(weights, value.dtype)
    if dropout:
        weights = keras.layers.Dropout(dropout, name=f"{name}_dropout")(weights)
    y = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))  # (B, T, num_heads, head_dim)
    y = keras.layers.Reshape((-1, width), name=f"{name}_join")(y)  # (B, T, width)
    return keras.layers.Dense(width, name=f"{name}_output")(y)


def encoder_block(
    x: keras.KerasTensor,
    mask: keras.KerasTensor,
    *,
    num_heads: int,
    mlp_dim: int,
    dropout: float,
    name: str,
) -> keras.KerasTensor:
    """Attention and MLP, each normalised before and added to its input (Xiong et al. 2020)."""
    y = keras.layers.LayerNormalization(epsilon=1e-6, name=f"{name}_attention_norm")(x)
    y = attention(y, mask, num_heads=num_heads, dropout=dropout, name=f"{name}_attention")
    x = x + (keras.layers.Dropout(dropout, name=f"{name}_dropout1")(y) if dropout else y)
    y = keras.layers.LayerNormalization(epsilon=1e-6, name=f"{name}_dense_norm")(x)
    y = keras.layers.Dense(mlp_dim, activation="relu", name=f"{name}_dense1")(y)  # (B, T, mlp_dim)
    y = keras.layers.Dense(x.shape[-1], name=f"{name}_dense2")(y)  # (B, T, width)
    return x + (keras.layers.Dropout(dropout, name=f"{name}_dropout2")(y) if dropout else y)


def embed(tokens: keras.KerasTensor, field: Field, width: int) -> keras.KerasTensor:
    """Sum of token and position embeddings: (B, T) to (B, T, width)."""
    # Positions are computed from the tokens: a layer on a constant is neither trained nor saved.
    positions = ops.cumsum(ops.ones_like(tokens[:1, :]), axis=1) - 1  # (1, T)
    normal = keras.initializers.RandomNormal(stddev=width**-0.5)
    x = keras.layers.Embedding(field.ids, width, normal, name="token_embedding")(tokens)
    normal = keras.initializers.RandomNormal(stddev=width**-0.5)
    position = keras.layers.Embedding(field.length, width, normal, name="position_embedding")
    return x + position(positions)


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
) -> keras.Model:
    """A pre-norm Transformer encoder over tokens, averaged over the text, with a linear head.

    Args:
        width: of the embeddings and of every block; a multiple of `num_heads`.
        mlp_dim: units of the hidden layer of each block's MLP.
        word_dropout: fraction of tokens whose embedding is zero in a training step.

    Raises:
        ValueError: the data is not one field of tokens, or `num_heads` does not divide `width`.
    """
    if [bool(field.ids and field.length) for field in spec.inputs.values()] != [True]:
        raise ValueError(
            f"transformer_encoder takes one input of tokens, the data has {dict(spec.inputs)}"
        )
    if width % num_heads:
        raise ValueError(f"width {width} does not divide over {num_heads} heads")

    inputs = zoo.keras_inputs(spec)
    [tokens], [field] = inputs.values(), spec.inputs.values()  # (B, T), 0 is padding
    mask = ops.not_equal(tokens, 0)  # (B, T)
    x = embed(tokens, field, width)  # (B, T, width)
    if word_dropout:
        whole = (None, None, 1)  # all numbers of an embedding or none
        x = keras.layers.Dropout(word_dropout, noise_shape=whole, name="word_dropout")(x)
    sizes = {"num_heads": num_heads, "mlp_dim": mlp_dim, "dropout": dropout}
    for i in range(num_layers):
        x = encoder_block(x, mask, **sizes, name=f"block{i + 1}")  # (B, T, width)
    x = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    # The mean over real tokens, in float32.
    real = ops.cast(mask, "float32")[..., None]  # (B, T, 1)
    total = ops.sum(ops.cast(x, "float32") * real, axis=1)  # (B, width)
    x = total / ops.maximum(ops.sum(real, axis=1), 1.0)  # (B, width)
    if dropout:
        x = keras.layers.Dropout(dropout, dtype="float32", name="dropout")(x)
    logits = keras.layers.Dense(spec.num_outputs, dtype="float32", name="logits")(x)  # (B, outputs)
    return keras.Model(inputs, logits, name="transformer_encoder")
