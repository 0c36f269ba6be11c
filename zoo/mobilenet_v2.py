"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381), as in torchvision.

Strided convolutions pad one row and column of zeros on every side, unlike TensorFlow's, and the
image is scaled by the mean and standard deviation of ImageNet, so that the weights trained by
torchvision fit. They come in a package: trainers/training/start/packaged.py.
"""

import keras

import zoo
from zoo.layers import enlarged_image
from zoo.spec import DataSpec, Recipe

# For each of the seven stages: by what factor each block expands its input, channels, and strides
# of the first block (table 2).
_STAGES = ((1, 16, 1), (6, 24, 2), (6, 32, 2), (6, 64, 2), (6, 96, 1), (6, 160, 2), (6, 320, 1))
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of pixels from 0 to 1


def norm(x: keras.KerasTensor, name: str, *, active: bool = True) -> keras.KerasTensor:
    """Batch normalisation, then ReLU6 unless the layer is linear."""
    # torchvision's epsilon is 1e-5, which the fused kernels of GPUs refuse.
    x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1.001e-5, name=f"{name}_norm")(x)
    return keras.layers.ReLU(max_value=6.0, name=f"{name}_relu")(x) if active else x


def padded(x: keras.KerasTensor, strides: int, name: str) -> tuple[keras.KerasTensor, str]:
    """The input of a 3x3 convolution, padded if it is strided, and its argument `padding`."""
    if strides == 1:
        return x, "same"  # one row and column on every side
    return keras.layers.ZeroPadding2D(1, name=f"{name}_pad")(x), "valid"


def block(
    x: keras.KerasTensor, width: int, *, strides: int, expansion: int, name: str
) -> keras.KerasTensor:
    """An inverted residual: expand, convolve each channel, project to `width` (figure 3).

    (B, H, W, C) to (B, H / strides, W / strides, width).
    """
    y = x
    if expansion > 1:
        expand = keras.layers.Conv2D(
            expansion * x.shape[-1], 1, use_bias=False, name=f"{name}_expand_conv"
        )
        y = norm(expand(y), f"{name}_expand")
    y, padding = padded(y, strides, name)
    depthwise = keras.layers.DepthwiseConv2D(
        3, strides=strides, padding=padding, use_bias=False, name=f"{name}_depthwise_conv"
    )
    y = norm(depthwise(y), f"{name}_depthwise")
    project = keras.layers.Conv2D(width, 1, use_bias=False, name=f"{name}_project_conv")
    y = norm(project(y), f"{name}_project", active=False)
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
            ("stem|block([1-9]|1[0-4])_", 0.0),
            ("block", 0.5),
            ("top", 0.7),
        ),
        precision="float32",  # depthwise convolutions gain nothing from bfloat16 on a CPU
    ),
    name="mobilenet_v2",
    tiny={
        "width": 0.125,
        "depths": (1, 2, 1, 1, 1, 1, 1),
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
    parameters=2_270_794,
)
def mobilenet_v2(
    spec: DataSpec,
    *,
    width: float = 1.0,
    depths: tuple[int, ...] = (1, 2, 3, 4, 3, 3, 1),
    top: int = 1280,
    resolution: int = 160,
    dropout: float = 0.2,
) -> keras.Model:
    """MobileNetV2: seventeen inverted residuals, for photographs.

    Args:
        width: factor on the channels of all layers but the top, rounded to multiples of 8.
        depths: blocks of each stage.
        top: channels of the last convolution, whose mean over the image is the feature vector.
        resolution: pixels of the shorter side to which smaller images are enlarged.

    Raises:
        ValueError: the data is not one image, or there are not seven stages.
    """
    if len(depths) != len(_STAGES):
        raise ValueError(f"mobilenet_v2 has 7 stages, received {depths}")

    def channels(published: int) -> int:
        return max(8, round(width * published / 8) * 8)

    inputs = zoo.keras_inputs(spec)
    x = enlarged_image(spec, inputs, resolution, "mobilenet_v2")  # (B, 160, 160, 3), -1..1
    scale = [0.5 / std for std in _STD]
    offset = [(0.5 - mean) / std for mean, std in zip(_MEAN, _STD, strict=True)]
    x = keras.layers.Rescaling(scale, offset=offset, name="rescale")(x)
    x, padding = padded(x, 2, "stem")
    first = keras.layers.Conv2D(
        channels(32), 3, strides=2, padding=padding, use_bias=False, name="stem_conv"
    )
    x = norm(first(x), "stem")  # (B, 80, 80, 32)
    number = 0
    for (expansion, published, strides), depth in zip(_STAGES, depths, strict=True):
        for i in range(depth):
            number, down = number + 1, strides if i == 0 else 1
            options = {"strides": down, "expansion": expansion, "name": f"block{number}"}
            x = block(x, channels(published), **options)
    x = keras.layers.Conv2D(top, 1, use_bias=False, name="top_conv")(x)
    x = norm(x, "top")  # (B, 5, 5, 1280)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)  # (B, 1280)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    logits = keras.layers.Dense(spec.num_outputs, dtype="float32", name="logits")(x)  # (B, classes)
    return keras.Model(inputs, logits, name="mobilenet_v2")
