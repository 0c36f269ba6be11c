"""A small U-Net that turns noise into images of a class, by rectified flow (Liu et al. 2022).

Its input is a point on the straight line from an image (time 0) to noise (time 1), its output the
velocity there. Based on the denoising network of Ho et al. 2020 (arXiv 2006.11239, appendix B),
with attention at the lowest resolution only.
"""

import math

import keras
from keras import ops

import zoo
from zoo.layers import attention, check_heads
from zoo.spec import DataSpec, Recipe

_SLOWEST, _FASTEST = 1.0, 1000.0  # angular frequencies of the embedding of a time from 0 to 1


def conv(x: keras.KerasTensor, width: int, name: str) -> keras.KerasTensor:
    """A 3x3 convolution that keeps the size."""
    return keras.layers.Conv2D(width, 3, padding="same", name=name)(x)


def norm_silu(x: keras.KerasTensor, groups: int, name: str) -> keras.KerasTensor:
    """Group normalisation (Wu and He 2018), the same in training and inference, and SiLU."""
    groups = math.gcd(groups, x.shape[-1])
    x = keras.layers.GroupNormalization(groups, epsilon=1e-5, name=f"{name}_norm")(x)
    return keras.layers.Activation("silu", name=f"{name}_silu")(x)


def residual(
    x: keras.KerasTensor, condition: keras.KerasTensor, width: int, groups: int, name: str
) -> keras.KerasTensor:
    """Two convolutions added to their input; time and class are added between them.

    (B, H, W, C) and (B, units) to (B, H, W, width).
    """
    y = conv(norm_silu(x, groups, f"{name}_1"), width, f"{name}_conv1")
    shift = keras.layers.Dense(width, name=f"{name}_condition")(condition)
    y = y + ops.reshape(shift, (-1, 1, 1, width))
    y = conv(norm_silu(y, groups, f"{name}_2"), width, f"{name}_conv2")
    if x.shape[-1] != width:
        x = keras.layers.Conv2D(width, 1, name=f"{name}_skip")(x)
    return x + y


def attend(x: keras.KerasTensor, num_heads: int, groups: int, name: str) -> keras.KerasTensor:
    """Self-attention of all cells, so that distant strokes agree: (B, H, W, C) to the same."""
    _, height, width, channels = x.shape
    groups = math.gcd(groups, channels)
    y = keras.layers.GroupNormalization(groups, epsilon=1e-5, name=f"{name}_norm")(x)
    y = ops.reshape(y, (-1, height * width, channels))  # (B, H W, C)
    y = attention(y, None, num_heads=num_heads, dropout=0.0, name=name)
    return x + ops.reshape(y, (-1, height, width, channels))  # (B, H, W, C)


def embed_time(time: keras.KerasTensor, width: int) -> keras.KerasTensor:
    """Sines and cosines of the time, in float32: (B,) to (B, width)."""
    half = width // 2
    rate = math.log(_FASTEST / _SLOWEST) / max(1, half - 1)
    frequencies = _SLOWEST * ops.exp(rate * ops.arange(half, dtype="float32"))
    angles = time[:, None] * frequencies  # (B, half)
    return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)


def embed(
    time: keras.KerasTensor, label: keras.KerasTensor, classes: int, width: int
) -> keras.KerasTensor:
    """One embedding of time and class: (B,) and (B,) to (B, width)."""
    of_time = keras.layers.Dense(width, name="time_dense")(embed_time(time, width))
    of_class = keras.layers.Embedding(classes, width, name="label_embedding")(label)
    return keras.layers.Activation("silu", name="condition_silu")(of_time + of_class)


def velocity(x: keras.KerasTensor, channels: int, patch: int) -> keras.KerasTensor:
    """Pixels from cells, in float32: (B, H, W, C) to (B, patch H, patch W, channels).

    Zero at first, which is the best prediction of an untrained network.
    """
    return keras.layers.Conv2DTranspose(
        channels,
        patch + 2,
        strides=patch,
        padding="same",
        kernel_initializer="zeros",
        dtype="float32",
        name="velocity",
    )(x)


def check(spec: DataSpec) -> None:
    """ValueError unless the data is noised images with their times and classes."""
    if set(spec.inputs) != {"image", "time", "label"}:
        raise ValueError(
            f"diffusion takes the inputs image, time and label of task rectified_flow, the data "
            f"has {sorted(spec.inputs)}"
        )


@zoo.register(
    Recipe(
        pipeline="mnist",
        batch_size=64,
        epochs=9,
        optimizer="adam",
        learning_rate=1e-3,
        schedule="cosine",
        ema=0.999,
    ),
    name="diffusion",
    tiny={"widths": (4, 6), "condition": 8, "groups": 2, "num_heads": 2},
    tasks=("rectified_flow",),
    parameters=554_753,
)
def diffusion(
    spec: DataSpec,
    *,
    patch: int = 2,
    widths: tuple[int, ...] = (64, 128),
    depth: int = 1,
    num_heads: int = 4,
    condition: int = 64,
    groups: int = 8,
) -> keras.Model:
    """A U-Net that predicts the velocity from an image of a class to noise.

    Args:
        patch: pixels per side of a cell of the first resolution. 2 makes a quarter of the cells
            that 1 makes, so that a CPU computes more channels in the same time.
        widths: channels at each resolution; each resolution is half the one before. Images whose
            size does not divide that often are padded.
        depth: residual blocks at each resolution, on the way down and again on the way up.
        num_heads: of the attention at the lowest resolution; 0 leaves it out, for images with so
            many cells there that the square of their number does not fit into memory.
        condition: width of the vector of time and class that the blocks get; even.
        groups: of the group normalisation; fewer where they do not divide the channels.

    Raises:
        ValueError: the data is not that of task rectified_flow, or is too small.
    """
    check(spec)
    height, width, channels = spec.inputs["image"].shape
    factor = patch * 2 ** (len(widths) - 1)
    if min(height, width) < factor:
        raise ValueError(
            f"{len(widths)} widths over patches of {patch} take images of {factor}x{factor} or more"
        )
    if num_heads:
        check_heads(widths[-1], num_heads)
    inputs = zoo.keras_inputs(spec)
    classes = spec.inputs["label"].ids
    context = embed(inputs["time"], inputs["label"], classes, condition)  # (B, condition)
    padding = [(0, -size % factor) for size in (height, width)]
    x = keras.layers.ZeroPadding2D(padding, name="pad")(inputs["image"])
    first = keras.layers.Conv2D(widths[0], patch + 2, patch, padding="same", name="conv_in")
    x = first(x)  # (B, 14, 14, 64)
    skips = []
    for i, units in enumerate(widths, start=1):
        for j in range(depth):
            x = residual(x, context, units, groups, f"down{i}_{j + 1}")
        # (B, 14 | 7, 14 | 7, units)
        if i < len(widths):
            skips.append(x)
            x = keras.layers.AveragePooling2D(2, name=f"down{i}_pool")(x)
    if num_heads and x.shape[1] * x.shape[2] > 1:
        x = attend(x, num_heads, groups, "attention")  # (B, 7, 7, 128)
    for i, units in reversed(list(enumerate(widths[:-1], start=1))):
        x = keras.layers.UpSampling2D(2, name=f"up{i}_larger")(x)
        x = ops.concatenate([x, skips.pop()], axis=-1)
        for j in range(depth):
            x = residual(x, context, units, groups, f"up{i}_{j + 1}")  # (B, 14, 14, units)
    x = norm_silu(x, groups, "out")
    x = velocity(x, channels, patch)
    x = keras.layers.Cropping2D(padding, dtype="float32", name="crop")(x)  # (B, 28, 28, 1)
    return keras.Model(inputs, x, name="diffusion")
