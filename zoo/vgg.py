"""VGG (Simonyan and Zisserman 2014, arXiv 1409.1556): 3x3 convolutions in groups, and pools."""

import keras

import zoo
from zoo.layers import check_image, published_pixels
from zoo.spec import DataSpec, Recipe


def conv_group(
    x: keras.KerasTensor, width: int, depth: int, batch_norm: bool, name: str
) -> keras.KerasTensor:
    """`depth` convolutions, then a pool: (B, H, W, C) to (B, H / 2, W / 2, width)."""
    for i in range(1, depth + 1):
        conv = keras.layers.Conv2D(
            width,
            3,
            padding="same",
            use_bias=not batch_norm,
            kernel_initializer="he_normal",
            name=f"{name}_conv{i}",
        )
        x = conv(x)
        if batch_norm:
            norm = keras.layers.BatchNormalization(
                momentum=0.9, epsilon=1.001e-5, name=f"{name}_norm{i}"
            )
            x = norm(x)
        x = keras.layers.ReLU(name=f"{name}_relu{i}")(x)
    return keras.layers.MaxPooling2D(2, name=f"{name}_pool")(x)


@zoo.register(
    Recipe(
        pipeline="cifar10",
        batch_size=128,
        epochs=20,
        optimizer="adamw",
        learning_rate=2e-4,
        weight_decay=0.05,
        schedule="one_cycle",
    ),
    name="vgg16",
    tiny={"widths": (4, 6), "depths": (1, 2), "units": (8, 8), "dropout": 0.1},
    head=("logits",),
    features="features",
    parameters=33_638_218,
)
@zoo.register(
    Recipe(
        pipeline="cifar10",
        batch_size=128,
        epochs=20,
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.9,
        weight_decay=0.005,
        schedule="one_cycle",
    ),
    name="vgg_small",
    tiny={"widths": (4, 6), "depths": (1, 2), "dropout": 0.1},
    head=("logits",),
    features="features",
    parameters=1_131_242,
    widths=(32, 64, 128, 256),
    depths=(1, 1, 2, 2),
    units=(),
    batch_norm=True,
    dropout=0.0,
)
def vgg(
    spec: DataSpec,
    *,
    widths: tuple[int, ...] = (64, 128, 256, 512, 512),
    depths: tuple[int, ...] = (2, 2, 3, 3, 3),
    units: tuple[int, ...] = (4096, 4096),
    batch_norm: bool = False,
    dropout: float = 0.5,
    pixels: str = "plain",
) -> keras.Model:
    """Groups of 3x3 convolutions, each with a pool, then dense layers or the mean over pixels.

    Args:
        widths: channels of each group; each group halves the image.
        depths: convolutions of each group.
        units: widths of the hidden dense layers, which take every pixel; empty: the head takes the
            mean over pixels, and the number of weights does not depend on the image size.
        batch_norm: batch normalisation after every convolution, which then has no bias.
        dropout: fraction dropped after each hidden dense layer.
        pixels: plain (from -1 to 1) or caffe, as the weights of keras.applications expect.

    Raises:
        ValueError: the data is not one image, the image is too small for the pools, or `pixels` is
            unknown.
    """
    check_image(spec, f"vgg with {len(widths)} groups", 2 ** len(widths))
    inputs = zoo.keras_inputs(spec)
    x = published_pixels(inputs["image"], pixels)  # (B, 224, 224, 3)
    for i, (width, depth) in enumerate(zip(widths, depths, strict=True), start=1):
        x = conv_group(
            x, width, depth, batch_norm, f"group{i}"
        )  # (B, 112 | 56 | ... | 7, ., width)
    if not units:
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)  # (B, widths[-1])
    else:
        x = keras.layers.Flatten(name="flatten")(x)  # (B, 7 * 7 * widths[-1])
    for i, size in enumerate(units, start=1):
        x = keras.layers.Dense(size, "relu", True, "he_normal", name=f"dense{i}")(x)  # (B, size)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"dropout{i}")(x)
    x = keras.layers.Identity(name="features")(x)
    logits = keras.layers.Dense(spec.num_outputs, dtype="float32", name="logits")(x)  # (B, classes)
    return keras.Model(inputs, logits, name="vgg")
