"""GoogLeNet (Szegedy et al. 2014, arXiv 1409.4842): modules of convolutions of several sizes.

The two auxiliary classifiers are left out: the paper found them to be worth half a percent.
"""

import keras
from keras import ops

import zoo
from zoo.layers import check_image, local_response
from zoo.spec import DataSpec, Recipe

_LARGE = 64  # pixels from which `stem="auto"` means the paper's
# Widths in table 1 of the paper: 1x1; 1x1 before 3x3, 3x3; 1x1 before 5x5, 5x5; 1x1 after a pool.
# A pool precedes each group.
_MODULES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


def conv(
    x: keras.KerasTensor, width: int, size: int, norm: str, name: str, stride: int = 1
) -> keras.KerasTensor:
    """A convolution, batch normalisation if `norm` is batch, and ReLU."""
    x = keras.layers.Conv2D(
        width,
        size,
        strides=stride,
        padding="same",
        use_bias=norm != "batch",
        kernel_initializer="he_normal",
        name=name,
    )(x)
    if norm == "batch":
        layer = keras.layers.BatchNormalization(momentum=0.9, epsilon=1.001e-5, name=f"{name}_norm")
        x = layer(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def pool(x: keras.KerasTensor, name: str, stride: int = 2) -> keras.KerasTensor:
    """3x3 max-pooling: (B, H, W, C) to (B, H / stride, W / stride, C), rounded up."""
    return keras.layers.MaxPooling2D(3, strides=stride, padding="same", name=name)(x)


def module(
    x: keras.KerasTensor, widths: tuple[int, ...], norm: str, name: str
) -> keras.KerasTensor:
    """Four parallel branches (figure 2b): (B, H, W, C) to (B, H, W, sum of their last widths)."""
    one, before3, three, before5, five, pooled = widths
    y1 = conv(x, one, 1, norm, f"{name}_conv1")
    y3 = conv(conv(x, before3, 1, norm, f"{name}_reduce3"), three, 3, norm, f"{name}_conv3")
    y5 = conv(conv(x, before5, 1, norm, f"{name}_reduce5"), five, 5, norm, f"{name}_conv5")
    yp = conv(pool(x, f"{name}_pool", stride=1), pooled, 1, norm, f"{name}_project")
    return ops.concatenate([y1, y3, y5, yp], axis=-1)


def stem_layers(x: keras.KerasTensor, scale: float, large: bool, norm: str) -> keras.KerasTensor:
    """Three convolutions and a pool: a quarter of the side, half of it for small images."""
    respond = local_response if norm == "response" else (lambda x: x)
    size, stride = (7, 2) if large else (3, 1)
    x = conv(x, scaled(64, scale), size, norm, "stem_conv1", stride)  # (B, 112, 112, 64)
    x = respond(pool(x, "stem_pool1"))  # (B, 56, 56, 64)
    x = conv(x, scaled(64, scale), 1, norm, "stem_conv2")
    return respond(conv(x, scaled(192, scale), 3, norm, "stem_conv3"))  # (B, 56, 56, 192)


def scaled(width: int, scale: float) -> int:
    """The width times the scale, rounded, at least 2."""
    return max(2, round(width * scale))


_RECIPE = Recipe(
    pipeline="cifar10",
    batch_size=128,
    epochs=20,
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=0.05,
    schedule="one_cycle",
)


@zoo.register(
    _RECIPE,
    name="googlenet",
    tiny={"scale": 0.05, "depths": (1,), "stem": "large", "dropout": 0.1},
    head=("logits",),
    features="features",
    parameters=5_976_122,
)
@zoo.register(
    _RECIPE,
    name="googlenet_small",
    tiny={"scale": 0.05, "depths": (1,), "dropout": 0.1},
    head=("logits",),
    features="features",
    parameters=1_509_770,
    scale=0.5,
    norm="batch",
    dropout=0.2,
)
def googlenet(
    spec: DataSpec,
    *,
    depths: tuple[int, ...] = (2, 5, 2),
    scale: float = 1.0,
    norm: str = "response",
    stem: str = "auto",
    dropout: float = 0.4,
) -> keras.Model:
    """GoogLeNet: nine modules of 1x1, 3x3 and 5x5 convolutions and a pool in parallel.

    Args:
        depths: modules in each group, at most 2, 5 and 2; a pool precedes each group.
        scale: factor on all widths.
        norm: response (the paper's, twice in the stem), batch (after each convolution) or none.
        stem: large (7x7 with stride 2), small (3x3, and no pool after the stem) or auto: large
            from 64 pixels.
        dropout: fraction dropped before the logits.

    Raises:
        ValueError: the data is not one image, the image is too small for the pools, there are more
            modules than published, or `norm` or `stem` is unknown.
    """
    if norm not in ("response", "batch", "none") or stem not in ("auto", "large", "small"):
        raise ValueError(
            f"norm {norm!r} is none of response, batch, none, or stem {stem!r} none of auto, "
            "large, small"
        )
    limits = tuple(map(len, _MODULES))
    if len(depths) > len(limits) or any(map(int.__gt__, depths, limits)):
        raise ValueError(f"depths {depths} are more than the {limits} modules of GoogLeNet")
    check_image(spec, "googlenet", 2 ** len(depths))
    large = stem == "large" or (stem == "auto" and min(spec.inputs["image"].shape[:2]) >= _LARGE)
    if large:
        check_image(spec, "googlenet with a large stem", 2 ** (len(depths) + 2))
    inputs = zoo.keras_inputs(spec)
    x = stem_layers(inputs["image"], scale, large, norm)  # (B, 56, 56, 192)
    for i, (depth, modules) in enumerate(zip(depths, _MODULES, strict=False), start=3):
        if large or i > 3:
            x = pool(x, f"pool{i}")  # (B, 28 | 14 | 7, 28 | 14 | 7, .)
        for letter, widths in zip("abcde"[:depth], modules, strict=False):
            widths = tuple(scaled(width, scale) for width in widths)
            x = module(x, widths, norm, f"module{i}{letter}")
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)  # (B, 1024)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    logits = keras.layers.Dense(spec.num_outputs, dtype="float32", name="logits")(x)  # (B, classes)
    return keras.Model(inputs, logits, name="googlenet")
