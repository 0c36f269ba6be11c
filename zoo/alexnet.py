"""AlexNet (Krizhevsky, Sutskever and Hinton 2012), with its grouped convolutions."""

import keras

import zoo
from zoo.layers import check_image, local_response
from zoo.spec import DataSpec, Recipe

_LARGE = 64  # pixels from which `stem="auto"` means the paper's


def conv(
    x: keras.KerasTensor, width: int, size: int, groups: int, norm: str, name: str
) -> keras.KerasTensor:
    """A convolution that keeps the size, with ReLU; each group sees only its own channels."""
    layer = keras.layers.Conv2D(
        width,
        size,
        padding="same",
        groups=groups,
        use_bias=norm != "batch",
        kernel_initializer="he_normal",
        name=name,
    )
    return activate(layer(x), norm, name)


def activate(x: keras.KerasTensor, norm: str, name: str) -> keras.KerasTensor:
    """ReLU, with batch normalisation before it if `norm` is batch."""
    if norm == "batch":
        layer = keras.layers.BatchNormalization(momentum=0.9, epsilon=1.001e-5, name=f"{name}_norm")
        x = layer(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def stem_layers(x: keras.KerasTensor, width: int, large: bool, norm: str) -> keras.KerasTensor:
    """An 11x11 convolution of stride 4, or for small images a 5x5 one of stride 1."""
    size, stride = (11, 4) if large else (5, 1)
    # The paper's 224 pixels give 55 outputs only if padded by at least 3: 2 on each side, as in
    # torchvision.
    x = keras.layers.ZeroPadding2D(2, name="conv1_pad")(x)
    layer = keras.layers.Conv2D(
        width,
        size,
        strides=stride,
        use_bias=norm != "batch",
        kernel_initializer="he_normal",
        name="conv1",
    )
    x = layer(x)
    return activate(x, norm, "conv1")


def max_pool(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Overlapping max-pooling: (B, H, W, C) to (B, (H - 1) // 2, (W - 1) // 2, C)."""
    return keras.layers.MaxPooling2D(3, strides=2, name=name)(x)


_RECIPE = Recipe(
    pipeline="cifar10",
    batch_size=128,
    epochs=20,
    optimizer="adamw",
    learning_rate=5e-4,
    weight_decay=0.05,
    schedule="one_cycle",
)


@zoo.register(
    _RECIPE,
    name="alexnet",
    tiny={"widths": (4, 4, 6, 4, 4), "units": (8, 8), "dropout": 0.1},
    head=("logits",),
    features="features",
    parameters=28_569_994,
)
@zoo.register(
    _RECIPE,
    name="alexnet_small",
    tiny={"widths": (4, 4, 6, 4, 4), "units": (8,), "dropout": 0.1},
    head=("logits",),
    features="features",
    parameters=1_004_378,
    widths=(48, 96, 144, 144, 96),
    units=(512,),
    groups=1,
    norm="batch",
)
def alexnet(
    spec: DataSpec,
    *,
    widths: tuple[int, int, int, int, int] = (96, 256, 384, 384, 256),
    units: tuple[int, ...] = (4096, 4096),
    groups: int = 2,
    norm: str = "response",
    stem: str = "auto",
    dropout: float = 0.5,
) -> keras.Model:
    """AlexNet: five convolutions, the second, fourth and fifth in groups, and dense layers.

    Args:
        widths: channels of each convolution, over all groups.
        units: widths of the hidden dense layers.
        groups: 2 as on the paper's two GPUs, 1 for ordinary convolutions.
        norm: response (the paper's, after the first two convolutions), batch (after each) or none.
        stem: large (11x11 with stride 4), small (5x5) or auto: large from 64 pixels.
        dropout: fraction dropped before each hidden dense layer.

    Raises:
        ValueError: the data is not one image, the image is too small for the pools, or `norm` or
            `stem` is unknown.
    """
    if norm not in ("response", "batch", "none") or stem not in ("auto", "large", "small"):
        raise ValueError(
            f"norm {norm!r} is none of response, batch, none, or stem {stem!r} none of auto, "
            "large, small"
        )
    check_image(spec, "alexnet", 15)
    large = stem == "large" or (stem == "auto" and min(spec.inputs["image"].shape[:2]) >= _LARGE)
    if large:
        check_image(spec, "alexnet with a large stem", 63)
    inputs = zoo.keras_inputs(spec)
    x = stem_layers(inputs["image"], widths[0], large, norm)  # (B, 55, 55, 96)
    x = max_pool(local_response(x) if norm == "response" else x, "pool1")  # (B, 27, 27, 96)
    x = conv(x, widths[1], 5, groups, norm, "conv2")  # (B, 27, 27, 256)
    x = max_pool(local_response(x) if norm == "response" else x, "pool2")  # (B, 13, 13, 256)
    x = conv(x, widths[2], 3, 1, norm, "conv3")  # (B, 13, 13, 384)
    x = conv(x, widths[3], 3, groups, norm, "conv4")  # (B, 13, 13, 384)
    x = conv(x, widths[4], 3, groups, norm, "conv5")  # (B, 13, 13, 256)
    x = keras.layers.Flatten(name="flatten")(max_pool(x, "pool5"))  # (B, 6 * 6 * 256)
    for i, size in enumerate(units, start=1):
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"dropout{i}")(x)
        x = keras.layers.Dense(size, "relu", True, "he_normal", name=f"dense{i}")(x)  # (B, 4096)
    x = keras.layers.Identity(name="features")(x)
    logits = keras.layers.Dense(spec.num_outputs, dtype="float32", name="logits")(x)  # (B, classes)
    return keras.Model(inputs, logits, name="alexnet")
