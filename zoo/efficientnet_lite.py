"""EfficientNet-Lite (Tan and Le 2019, arXiv 1905.11946; Liu 2020): an EfficientNet for phones.

Without squeeze-and-excitation and with ReLU6 in place of swish, which makes it fast and easy to
quantise; stem and head have the same width in all sizes. Weights that were trained on ImageNet come
in a package: trainers/training/start/packaged.py.
"""

import keras

import zoo
from zoo.layers import enlarged_image
from zoo.spec import DataSpec, Recipe

# For each of the seven stages: size of the depthwise kernel, strides of the first block, and by
# what factor each block expands its input (Tan and Le 2019, table 1).
_STAGES = ((3, 1, 1), (3, 2, 6), (5, 2, 6), (3, 2, 6), (5, 1, 6), (5, 2, 6), (3, 1, 6))


def norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Batch normalisation."""
    # The published momentum of 0.99 is for 200 000 steps, and too slow for fewer than 2 000.
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name=f"{name}_norm")(x)


def relu6(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """ReLU capped at 6."""
    return keras.layers.ReLU(max_value=6.0, name=f"{name}_relu")(x)


def conv(x: keras.KerasTensor, width: int, size: int, name: str, strides: int = 1):
    """A convolution without bias, which the batch normalisation after it would cancel."""
    layer = keras.layers.Conv2D(
        width, size, strides=strides, padding="same", use_bias=False, name=f"{name}_conv"
    )
    return norm(layer(x), name)


def block(
    x: keras.KerasTensor, width: int, *, size: int, strides: int, expansion: int, name: str
) -> keras.KerasTensor:
    """An inverted residual (Sandler et al. 2018): expand, convolve each channel, project.

    (B, H, W, C) to (B, H / strides, W / strides, width).
    """
    y = x
    if expansion > 1:
        y = relu6(conv(y, expansion * x.shape[-1], 1, f"{name}_expand"), f"{name}_expand")
    depthwise = keras.layers.DepthwiseConv2D(
        size, strides=strides, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )
    y = relu6(norm(depthwise(y), f"{name}_depthwise"), f"{name}_depthwise")
    y = conv(y, width, 1, f"{name}_project")  # no activation
    return keras.layers.Add(name=f"{name}_add")([x, y]) if x.shape == y.shape else y


@zoo.register(
    Recipe(
        pipeline="cifar10",
        batch_size=0,
        epochs=6,
        optimizer="adamw",
        learning_rate=1e-4,
        weight_decay=0.01,
        schedule="one_cycle",
        label_smoothing=0.1,
        lr_scale=(
            ("norm", 0.0),
            ("stem|block([1-9]|1[0-3])_", 0.0),
            ("block", 0.5),
            ("top", 0.7),
        ),
        precision="float32",  # depthwise convolutions gain nothing from bfloat16 on a CPU
    ),
    name="efficientnet_lite0",
    tiny={
        "widths": (4, 4, 4, 6, 6, 6, 8),
        "depths": (1, 2, 1, 1, 1, 1, 1),
        "stem": 4,
        "top": 8,
        "resolution": 33,
        "dropout": 0.1,
    },
    head=("logits",),
    features="pool",
    start=("packaged", "probe"),
    data_options={
        "image_folder": {"image_size": 160, "padding": 16},
        "image_table": {"image_size": 160, "padding": 16},
    },
    parameters=3_425_834,
)
@zoo.register(
    Recipe(
        pipeline="cifar10",
        batch_size=0,
        epochs=6,
        optimizer="adamw",
        learning_rate=1e-4,
        weight_decay=0.01,
        schedule="one_cycle",
        label_smoothing=0.1,
        lr_scale=(
            ("norm", 0.0),
            ("stem|block([1-9]|1[0-8])_", 0.0),
            ("block", 0.5),
            ("top", 0.7),
        ),
        precision="float32",  # depthwise convolutions gain nothing from bfloat16 on a CPU
    ),
    name="efficientnet_lite2",
    tiny={
        "widths": (4, 4, 4, 6, 6, 6, 8),
        "depths": (1, 2, 1, 1, 1, 1, 1),
        "stem": 4,
        "top": 8,
        "resolution": 33,
        "dropout": 0.1,
    },
    head=("logits",),
    features="pool",
    start=("packaged", "probe"),
    data_options={
        "image_folder": {"image_size": 164, "padding": 16},
        "image_table": {"image_size": 164, "padding": 16},
    },
    parameters=4_881_978,
    widths=(16, 24, 48, 88, 120, 208, 352),
    depths=(1, 3, 3, 4, 4, 5, 1),
    # Published for 260 pixels, which the strided layers finally halve to odd sizes: TensorFlow pads
    # odd sizes equally on both sides, even ones more below and on the right. 164 behaves like 260.
    resolution=164,
    dropout=0.3,
)
def efficientnet_lite(
    spec: DataSpec,
    *,
    widths: tuple[int, ...] = (16, 24, 40, 80, 112, 192, 320),
    depths: tuple[int, ...] = (1, 2, 2, 3, 3, 4, 1),
    stem: int = 32,
    top: int = 1280,
    resolution: int = 160,
    dropout: float = 0.2,
) -> keras.Model:
    """EfficientNet-Lite: seven stages of inverted residuals, for photographs.

    Args:
        widths: channels of each stage.
        depths: blocks of each stage.
        stem: channels of the first convolution.
        top: channels of the last convolution, whose mean over the image is the feature vector.
        resolution: pixels of the shorter side to which smaller images are enlarged.

    Raises:
        ValueError: the data is not one image, or there are not seven stages.
    """
    if not len(widths) == len(depths) == len(_STAGES):
        raise ValueError(f"efficientnet_lite has 7 stages, received {widths} and {depths}")
    inputs = zoo.keras_inputs(spec)
    x = enlarged_image(spec, inputs, resolution, "efficientnet_lite")  # (B, 160, 160, 3), -1..1
    # The published weights take (pixel - 127) / 128.
    x = keras.layers.Rescaling(127.5 / 128, offset=0.5 / 128, name="rescale")(x)
    x = relu6(conv(x, stem, 3, "stem", strides=2), "stem")  # (B, 80, 80, 32)
    number = 0
    for (size, strides, expansion), width, depth in zip(_STAGES, widths, depths, strict=True):
        for i in range(depth):
            number, down = number + 1, strides if i == 0 else 1
            options = {"size": size, "strides": down, "expansion": expansion}
            x = block(x, width, **options, name=f"block{number}")
    x = relu6(conv(x, top, 1, "top"), "top")  # (B, 5, 5, 1280)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)  # (B, 1280)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    logits = keras.layers.Dense(spec.num_outputs, dtype="float32", name="logits")(x)  # (B, classes)
    return keras.Model(inputs, logits, name="efficientnet_lite")
