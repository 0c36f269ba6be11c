"""Compact convolutional transformers (Hassani et al. 2021, arXiv 2104.05704).

Convolutions make the tokens, so that a Transformer learns from about ten thousand small images.
"""

import keras
from keras import ops

import zoo
from zoo.layers import attention, check_heads, check_image, positions_of
from zoo.spec import DataSpec, Recipe

_EPSILON = 1e-5  # of all layer norms, PyTorch's default
_FIRST = 64  # channels of every convolution but the last


def tokenize(image: keras.KerasTensor, *, width: int, num_convs: int) -> keras.KerasTensor:
    """3x3 convolutions without bias, a pool after each: (B, H, W, C) to (B, T, width)."""
    x = image
    for i in range(1, num_convs + 1):
        conv = keras.layers.Conv2D(
            width if i == num_convs else _FIRST,
            3,
            padding="same",
            activation="relu",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"tokenizer_conv{i}",
        )
        # Padded on all sides, as in the authors' pool; zeros are harmless after ReLU.
        x = keras.layers.ZeroPadding2D(1, name=f"tokenizer_pad{i}")(conv(x))
        x = keras.layers.MaxPooling2D(3, strides=2, name=f"tokenizer_pool{i}")(x)
    return keras.layers.Reshape((-1, width), name="tokens")(x)


def block(
    x: keras.KerasTensor, *, num_heads: int, mlp_dim: int, path_dropout: float, name: str
) -> keras.KerasTensor:
    """Pre-norm attention and MLP, where the MLP is added to its own normalised input.

    In an ordinary pre-norm block, with as many weights, it would be added to the input before the
    norm. This is the block of the authors (SHI-Labs/Compact-Transformers, utils/transformers.py).
    """

    def kept(y: keras.KerasTensor, part: int) -> keras.KerasTensor:
        if not path_dropout:
            return y
        noise_shape = (None, 1, 1)  # an image's whole branch or nothing (Huang et al. 2016)
        layer = keras.layers.Dropout(path_dropout, noise_shape, name=f"{name}_path_dropout{part}")
        return layer(y)

    y = keras.layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_attention_norm")(x)
    y = attention(
        y,
        None,
        num_heads=num_heads,
        dropout=0.0,
        name=f"{name}_attention",
        use_bias=False,
        initializer=normal(0.02),
    )
    x = x + kept(y, 1)
    x = keras.layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_dense_norm")(x)
    y = keras.layers.Dense(mlp_dim, "gelu", True, normal(0.02), name=f"{name}_dense1")(x)
    y = keras.layers.Dense(x.shape[-1], None, True, normal(0.02), name=f"{name}_dense2")(y)
    return x + kept(y, 2)


def sequence_pool(x: keras.KerasTensor) -> keras.KerasTensor:
    """The mean of the tokens with learned weights, in float32: (B, T, width) to (B, width)."""
    score = keras.layers.Dense(1, kernel_initializer=normal(0.02), name="sequence_pool")(x)
    weights = ops.softmax(ops.cast(score, "float32"), axis=1)  # (B, T, 1)
    return ops.sum(weights * ops.cast(x, "float32"), axis=1)


def normal(std: float) -> keras.initializers.Initializer:
    """The authors' initialiser of dense layers (std 0.02) and of positions (0.2)."""
    return keras.initializers.TruncatedNormal(stddev=std)


_RECIPE = Recipe(
    pipeline="cifar10",
    batch_size=128,
    epochs=60,
    optimizer="adamw",
    learning_rate=1e-3,
    schedule="one_cycle",
    weight_decay=0.03,
    label_smoothing=0.1,
)


@zoo.register(
    _RECIPE,
    name="cct_2_3x2",
    tiny={"width": 8, "num_layers": 2, "num_heads": 2, "mlp_dim": 12, "path_dropout": 0.1},
    head=("logits",),
    positions=("position_embedding",),
    grids=("position_embedding",),
    features="features",
    parameters=283_723,
)
@zoo.register(
    _RECIPE,
    name="cct_4_3x2",
    tiny={"width": 8, "num_layers": 2, "num_heads": 2, "mlp_dim": 12, "path_dropout": 0.1},
    head=("logits",),
    positions=("position_embedding",),
    grids=("position_embedding",),
    features="features",
    parameters=482_123,
    num_layers=4,
)
@zoo.register(
    _RECIPE,
    name="cct_7_3x2",
    tiny={"width": 8, "num_layers": 2, "num_heads": 2, "mlp_dim": 12, "path_dropout": 0.1},
    head=("logits",),
    positions=("position_embedding",),
    grids=("position_embedding",),
    features="features",
    parameters=3_853_259,
    width=256,
    num_layers=7,
    num_heads=4,
    mlp_dim=512,
)
def cct(
    spec: DataSpec,
    *,
    width: int = 128,
    num_layers: int = 2,
    num_heads: int = 2,
    mlp_dim: int = 128,
    num_convs: int = 2,
    path_dropout: float = 0.0,
) -> keras.Model:
    """A Transformer over tokens that convolutions make, without a class token.

    CCT-2/3x2 has 2 blocks and 2 convolutions of 3x3.

    Args:
        width: of the tokens and of every block; a multiple of `num_heads`.
        mlp_dim: units of the hidden layer of each block's MLP.
        num_convs: convolutions of the tokenizer; each halves the image.
        path_dropout: stochastic depth: fraction of images that skip the last block's branches in a
            training step, fewer in earlier blocks (Huang et al. 2016).

    Raises:
        ValueError: the data is not one image, the image is too small for the pools, or
            `num_heads` does not divide `width`.
    """
    check_image(spec, f"cct with {num_convs} convolutions", 2**num_convs)
    check_heads(width, num_heads)
    inputs = zoo.keras_inputs(spec)
    x = tokenize(inputs["image"], width=width, num_convs=num_convs)  # (B, 64, 128)
    position = keras.layers.Embedding(x.shape[1], width, normal(0.2), name="position_embedding")
    x = x + position(positions_of(ops.zeros_like(x[..., 0], dtype="int32")))
    for i in range(num_layers):
        rate = path_dropout * i / max(1, num_layers - 1)
        sizes = {"num_heads": num_heads, "mlp_dim": mlp_dim, "path_dropout": rate}
        x = block(x, **sizes, name=f"block{i + 1}")  # (B, 64, 128)
    x = keras.layers.LayerNormalization(epsilon=_EPSILON, name="encoded")(x)
    x = keras.layers.Identity(name="features")(sequence_pool(x))  # (B, 128)
    logits = keras.layers.Dense(
        spec.num_outputs, kernel_initializer=normal(0.02), dtype="float32", name="logits"
    )
    return keras.Model(inputs, logits(x), name="cct")  # (B, classes)
