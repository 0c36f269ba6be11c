"""Residual networks (He et al. 2015, arXiv 1512.03385) for CIFAR-10 and for ImageNet.

Padding is equal on both sides, as in the authors' Caffe code and in PyTorch: Keras's "same" pads a
convolution of stride 2 only at the end, which shifts its input by a pixel.
"""

import keras
from keras import ops

import zoo
from zoo.layers import check_image, published_pixels
from zoo.spec import DataSpec, Recipe

_LARGE = 64  # pixels from which `stem="auto"` means that of ImageNet


def conv(x: keras.KerasTensor, width: int, size: int, stride: int, name: str) -> keras.KerasTensor:
    """(B, H, W, C) to (B, H / stride, W / stride, width), rounded up; no bias, a norm follows."""
    padding = "same"
    if stride > 1 and size > 1:
        x, padding = keras.layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x), "valid"
    return keras.layers.Conv2D(
        width,
        size,
        strides=stride,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)


def norm(x: keras.KerasTensor, name: str, gamma: str = "ones") -> keras.KerasTensor:
    """Batch normalisation; epsilon is slightly above the published 1e-5, as cuDNN requires."""
    return keras.layers.BatchNormalization(
        momentum=0.9, epsilon=1.001e-5, gamma_initializer=gamma, name=name
    )(x)


def stem_layers(x: keras.KerasTensor, width: int, large: bool) -> keras.KerasTensor:
    """A 7x7 convolution and a pool, each of stride 2; for small images a 3x3 one of stride 1."""
    x = conv(x, width, *((7, 2) if large else (3, 1)), name="stem_conv")
    x = keras.layers.ReLU(name="stem_relu")(norm(x, "stem_norm"))
    if large:
        x = keras.layers.ZeroPadding2D(1, name="stem_pool_pad")(x)  # nothing after ReLU is below 0
        x = keras.layers.MaxPooling2D(3, strides=2, name="stem_pool")(x)
    return x


def zeros_shortcut(x: keras.KerasTensor, width: int, stride: int) -> keras.KerasTensor:
    """Option A of the paper: every other pixel, padded with channels of zeros; no weights."""
    x = x[:, ::stride, ::stride]
    return ops.pad(x, [[0, 0], [0, 0], [0, 0], [0, width - x.shape[-1]]])


def block(
    x: keras.KerasTensor,
    width: int,
    stride: int,
    *,
    bottleneck: bool,
    stride_in: int,
    shortcut: str,
    zero_gamma: bool,
    name: str,
) -> keras.KerasTensor:
    """Two 3x3 convolutions, or 1x1, 3x3 and 1x1 with four times the width, added to the input."""
    layers = [(width, 3), (width, 3)]
    if bottleneck:
        layers = [(width, 1), (width, 3), (4 * width, 1)]
    strided = 2 if bottleneck and stride_in == 3 else 1
    y, last = x, len(layers)
    for i, (filters, size) in enumerate(layers, start=1):
        y = conv(y, filters, size, stride if i == strided else 1, f"{name}_conv{i}")
        y = norm(y, f"{name}_norm{i}", "zeros" if zero_gamma and i == last else "ones")
        if i < last:
            y = keras.layers.ReLU(name=f"{name}_relu{i}")(y)
    if (stride, x.shape[-1]) != (1, filters):
        if shortcut == "zeros":
            x = zeros_shortcut(x, filters, stride)
        else:
            x = conv(x, filters, 1, stride, f"{name}_shortcut_conv")
            x = norm(x, f"{name}_shortcut_norm")
    return keras.layers.ReLU(name=f"{name}_relu{last}")(x + y)


def check_sizes(spec: DataSpec, stem: str, shortcut: str, stride_in: int, halvings: int) -> bool:
    """Whether the stem is the large one. ValueError: an unknown choice, or too small an image."""
    for name, value, choices in (
        ("stem", stem, ("auto", "large", "small")),
        ("shortcut", shortcut, ("zeros", "projection")),
        ("stride_in", stride_in, (1, 3)),
    ):
        if value not in choices:
            raise ValueError(f"{name} {value!r} is none of {', '.join(map(str, choices))}")
    check_image(spec, "resnet", 2**halvings)
    large = stem == "large" or (stem == "auto" and min(spec.inputs["image"].shape[:2]) >= _LARGE)
    if large:
        check_image(spec, "resnet with a large stem", 2 ** (halvings + 2))
    return large


_CIFAR = Recipe(
    pipeline="cifar10",
    batch_size=128,
    epochs=40,
    optimizer="sgd",
    learning_rate=0.2,
    momentum=0.9,
    weight_decay=0.005,
    schedule="one_cycle",
)
_IMAGENET = Recipe(
    pipeline="cifar10",
    batch_size=128,
    epochs=20,
    optimizer="sgd",
    learning_rate=0.1,
    momentum=0.9,
    weight_decay=0.005,
    schedule="one_cycle",
    label_smoothing=0.1,
)


@zoo.register(
    _CIFAR,
    name="resnet20",
    tiny={"depths": (1, 1), "widths": (6, 8)},
    head=("logits",),
    features="features",
    parameters=271_098,
)
@zoo.register(
    _CIFAR,
    name="resnet56",
    tiny={"depths": (1, 1), "widths": (6, 8)},
    head=("logits",),
    features="features",
    parameters=857_082,
    depths=(9, 9, 9),
)
@zoo.register(
    _IMAGENET,
    name="resnet18",
    tiny={"depths": (1, 1), "widths": (4, 6), "stem": "large"},
    head=("logits",),
    features="features",
    parameters=11_183_562,
    depths=(2, 2, 2, 2),
    widths=(64, 128, 256, 512),
    stem="auto",
    shortcut="projection",
    zero_gamma=True,
)
@zoo.register(
    _IMAGENET,
    name="resnet50",
    tiny={"depths": (1, 1), "widths": (4, 6), "stem": "large"},
    head=("logits",),
    features="features",
    parameters=23_573_962,
    depths=(3, 4, 6, 3),
    widths=(64, 128, 256, 512),
    bottleneck=True,
    stem="auto",
    shortcut="projection",
    zero_gamma=True,
)
def resnet(
    spec: DataSpec,
    *,
    depths: tuple[int, ...] = (3, 3, 3),
    widths: tuple[int, ...] = (16, 32, 64),
    bottleneck: bool = False,
    stem: str = "small",
    shortcut: str = "zeros",
    stride_in: int = 3,
    zero_gamma: bool = False,
    pixels: str = "plain",
) -> keras.Model:
    """A residual network: stages of blocks, each but the first halving the image, then the mean.

    Args:
        depths: blocks of each stage.
        widths: channels of each stage; bottlenecks output four times as many.
        bottleneck: blocks have 1x1, 3x3 and 1x1 convolutions instead of two 3x3 ones.
        stem: large (7x7 and a pool, a quarter of the side), small (3x3) or auto: large from 64
            pixels.
        shortcut: where shapes differ: zeros (option A) or projection (option B, 1x1 with a norm).
        stride_in: the convolution of a bottleneck that has the stride: 1 (the first 1x1, as in the
            paper and in Keras) or 3 (the 3x3, as in torchvision, half a point better).
        zero_gamma: blocks begin as the identity (Goyal et al. 2017, section 5.1).
        pixels: plain (from -1 to 1) or caffe, as the weights of keras.applications expect.

    Raises:
        ValueError: the data is not one image, the image is too small for the strides, or `stem`,
            `shortcut` or `stride_in` is unknown.
    """
    large = check_sizes(spec, stem, shortcut, stride_in, len(widths) - 1)
    inputs = zoo.keras_inputs(spec)
    x = published_pixels(inputs["image"], pixels)
    x = stem_layers(x, widths[0], large)  # (B, 32, 32, 16); a quarter of the side if large
    options = {
        "bottleneck": bottleneck,
        "stride_in": stride_in,
        "shortcut": shortcut,
        "zero_gamma": zero_gamma,
    }
    for i, (depth, width) in enumerate(zip(depths, widths, strict=True), start=1):
        for j in range(1, depth + 1):
            stride = 2 if i > 1 and j == 1 else 1
            x = block(x, width, stride, **options, name=f"stage{i}_block{j}")
        # (B, 32 | 16 | 8, 32 | 16 | 8, width), 4 * width if bottleneck
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)  # (B, widths[-1])
    logits = keras.layers.Dense(spec.num_outputs, dtype="float32", name="logits")(x)  # (B, classes)
    return keras.Model(inputs, logits, name="resnet")
