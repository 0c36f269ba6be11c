"""A Vision Transformer that learns from images alone (He et al. 2021, "MAE", arXiv 2111.06377)."""

import math

import keras
import numpy as np
from keras import ops

import zoo
from zoo.layers import check_heads, gather
from zoo.spec import DataSpec, Recipe
from zoo.vit import block, encode

_EPSILON = 1e-6  # of the decoder's norm
_INPUTS = ("image", "visible_positions", "masked_positions")


@keras.saving.register_keras_serializable("zoo")
class Waves(keras.initializers.Initializer):
    """Sine-cosine position embeddings of patches: (rows columns, width), the width divisible by 4.

    The first half of the components encodes the column, the second the row. Each half has the
    frequencies 10000^(-4 i / width), first sines, then cosines (He et al. 2021, appendix A).

    Args:
        columns: patches per row of the image.
    """

    def __init__(self, columns: int):
        self.columns = columns

    def __call__(self, shape, dtype=None):
        number, width = shape
        frequencies = 10_000.0 ** (-np.arange(width // 4) / (width // 4))
        row, column = np.divmod(np.arange(number), self.columns)
        angles = [index[:, None] * frequencies for index in (column, row)]
        waves = np.concatenate([f(a) for a in angles for f in (np.sin, np.cos)], axis=1)
        return ops.convert_to_tensor(waves, dtype)

    def get_config(self):
        return {"columns": self.columns}


def positions(grid: tuple[int, int], width: int, name: str) -> keras.layers.Embedding:
    """The fixed table of `Waves`; the encoder's has vit's path, so that vit starts from it."""
    if width % 4:
        raise ValueError(f"positions of patches take a width that 4 divides, received {width}")
    count, waves = math.prod(grid), Waves(grid[1])
    return keras.layers.Embedding(count, width, waves, trainable=False, name=name)


def decode(
    seen: keras.KerasTensor,
    visible: keras.KerasTensor,
    masked: keras.KerasTensor,
    *,
    grid: tuple[int, int],
    width: int,
    num_layers: int,
    num_heads: int,
) -> keras.KerasTensor:
    """Vectors of masked patches from those of visible ones: (B, V, encoder) to (B, M, width).

    Args:
        visible: (B, V) indices of patches, as are `masked`, (B, M).
        grid: rows and columns of patches in the image.
    """
    position = positions(grid, width, "decoder_position")
    x = keras.layers.Dense(width, name="decoder_embedding")(seen) + position(visible)
    token = keras.layers.Embedding(1, width, "random_normal", name="mask_token")
    mask_tokens = token(ops.zeros_like(masked)) + position(masked)  # (B, M, width)
    # The order of the patches does not matter: each has its position embedding.
    x = ops.concatenate([mask_tokens, x], axis=1)  # (B, M + V, width)
    sizes = {"num_heads": num_heads, "mlp_dim": 4 * width, "path_dropout": 0.0}
    for i in range(num_layers):
        x = block(x, **sizes, name=f"decoder_block{i + 1}")
    x = x[:, : masked.shape[1]]
    return keras.layers.LayerNormalization(epsilon=_EPSILON, name="decoder_norm")(x)


@zoo.register(
    Recipe(
        pipeline="cifar10",
        batch_size=256,
        epochs=60,
        optimizer="adamw",
        optimizer_options={"beta_2": 0.95},
        learning_rate=1e-3,
        schedule="one_cycle",
        weight_decay=0.05,
        clip_norm=1.0,
    ),
    name="mae",
    tiny={
        "width": 8,
        "num_layers": 2,
        "num_heads": 2,
        "mlp_dim": 12,
        "decoder_width": 8,
        "decoder_layers": 1,
        "decoder_heads": 2,
    },
    tasks=("masked_image",),
    features="encoded",
    parameters=1_056_752,
)
def mae(
    spec: DataSpec,
    *,
    width: int = 128,
    num_layers: int = 6,
    num_heads: int = 4,
    mlp_dim: int = 256,
    decoder_width: int = 96,
    decoder_layers: int = 2,
    decoder_heads: int = 4,
) -> keras.Model:
    """A masked autoencoder: a ViT over visible patches, and a small decoder for the masked ones.

    The encoder's variables have the paths of `vit` with pool=mean, and by default the sizes of
    vit_mini4: `--model=vit_mini4 --init_from=RUN` fine-tunes it.

    Args:
        width: of the encoder's embeddings and blocks; a multiple of `num_heads` and of 4.
        mlp_dim: units of the hidden layer of each block's MLP.
        decoder_width: width of the decoder's blocks; their MLP is four times as wide.

    Raises:
        ValueError: the data has no masked patches, or a number of heads does not divide its width.
    """
    if sorted(spec.inputs) != sorted(_INPUTS):
        raise ValueError(
            f"mae takes the inputs {', '.join(_INPUTS)} of --task=masked_image, the data has "
            f"{sorted(spec.inputs)}"
        )
    check_heads(width, num_heads)
    check_heads(decoder_width, decoder_heads)
    height, side, channels = spec.inputs["image"].shape
    patch = math.isqrt(spec.num_outputs // channels)
    grid = (height // patch, side // patch)

    inputs = zoo.keras_inputs(spec)
    # Any number of them: to compute features, all patches are visible.
    visible = keras.Input((None,), dtype="int32", name="visible_positions")
    inputs["visible_positions"] = visible
    masked = inputs["masked_positions"]  # (B, M)
    patch_embedding = keras.layers.Conv2D(
        width, patch, strides=patch, kernel_initializer="lecun_normal", name="patch_embedding"
    )
    x = patch_embedding(inputs["image"])
    x = keras.layers.Reshape((-1, width), name="patches")(x)  # (B, N, width)
    x = gather(x, visible) + positions(grid, width, "position_embedding")(visible)
    sizes = {"num_layers": num_layers, "num_heads": num_heads, "mlp_dim": mlp_dim}
    x = encode(x, **sizes, path_dropout=0.0)  # (B, V, width)
    sizes = {"width": decoder_width, "num_layers": decoder_layers, "num_heads": decoder_heads}
    x = decode(x, visible, masked, grid=grid, **sizes)  # (B, M, decoder_width)
    pixels = keras.layers.Dense(spec.num_outputs, dtype="float32", name="pixels")
    return keras.Model(inputs, pixels(x), name="mae")  # (B, M, patch^2 C)
