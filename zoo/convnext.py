"""ConvNeXt (Liu et al. 2022, arXiv 2201.03545): a convolutional net designed like a Transformer."""

import keras

import zoo
from zoo.layers import check_image
from zoo.spec import DataSpec, Recipe

_EPSILON = 1e-6  # of all layer norms
_INITIAL_SCALE = 1e-6  # of a branch, so that each block begins as the identity


def norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Layer normalisation of each pixel's channels."""
    return keras.layers.LayerNormalization(epsilon=_EPSILON, name=name)(x)


def patches(x: keras.KerasTensor, width: int, size: int, name: str) -> keras.KerasTensor:
    """Embeds disjoint `size` x `size` patches: (B, H, W, C) to (B, H / size, W / size, width)."""
    normal = keras.initializers.TruncatedNormal(stddev=0.02)
    return keras.layers.Conv2D(width, size, size, kernel_initializer=normal, name=name)(x)


def block(x: keras.KerasTensor, path_dropout: float, name: str) -> keras.KerasTensor:
    """A 7x7 depthwise convolution and an MLP over channels, added to the input (figure 4)."""
    width, normal = x.shape[-1], keras.initializers.TruncatedNormal(stddev=0.02)
    filters = keras.layers.DepthwiseConv2D(
        7, padding="same", depthwise_initializer=normal, name=f"{name}_depthwise"
    )
    y = norm(filters(x), f"{name}_norm")
    y = keras.layers.Dense(4 * width, "gelu", kernel_initializer=normal, name=f"{name}_dense1")(y)
    y = keras.layers.Dense(width, kernel_initializer=normal, name=f"{name}_dense2")(y)
    initial = keras.initializers.Constant(_INITIAL_SCALE)
    scale = keras.layers.EinsumDense(  # one number for each channel
        "bhwc,c->bhwc", (None, None, width), kernel_initializer=initial, name=f"{name}_scale"
    )
    y = scale(y)  # (B, H, W, width)
    if path_dropout:  # the whole branch of an image or nothing (Huang et al. 2016)
        noise_shape = (None, 1, 1, 1)
        y = keras.layers.Dropout(path_dropout, noise_shape, name=f"{name}_path_dropout")(y)
    return x + y


_RECIPE = Recipe(
    pipeline="cifar10",
    batch_size=128,
    epochs=30,
    optimizer="adamw",
    learning_rate=1e-3,
    schedule="one_cycle",
    weight_decay=0.05,
    clip_norm=1.0,
    label_smoothing=0.1,
)


@zoo.register(
    _RECIPE,
    name="convnext_mini",
    tiny={"depths": (1, 1), "widths": (4, 6), "path_dropout": 0.1},
    head=("logits",),
    features="features",
    parameters=1_520_986,
    stem=2,
    depths=(2, 2, 4),
    widths=(48, 96, 192),
)
@zoo.register(
    _RECIPE,
    name="convnext_tiny",
    tiny={"depths": (1, 1), "widths": (4, 6), "path_dropout": 0.1},
    head=("logits",),
    features="features",
    parameters=27_827_818,
)
def convnext(
    spec: DataSpec,
    *,
    stem: int = 4,
    depths: tuple[int, ...] = (3, 3, 9, 3),
    widths: tuple[int, ...] = (96, 192, 384, 768),
    path_dropout: float = 0.0,
) -> keras.Model:
    """A ConvNeXt: stages of blocks, each but the first halving the image, then the mean.

    Args:
        stem: pixels per side of the patches that the image is cut into; 4 in the paper, 2 or 1
            where images are small.
        depths: blocks of each stage.
        widths: channels of each stage.
        path_dropout: stochastic depth: fraction of images that skip the last block's branch in a
            training step; it rises linearly from 0 at the first (0.1 in the paper's smallest).

    Raises:
        ValueError: the data is not one image, or the image is too small for the stages.
    """
    check_image(spec, "convnext", stem * 2 ** (len(widths) - 1))
    inputs = zoo.keras_inputs(spec)
    x = norm(patches(inputs["image"], widths[0], stem, "stem"), "stem_norm")  # (B, 8, 8, 96)
    number, last = 0, max(1, sum(depths) - 1)
    for i, (depth, width) in enumerate(zip(depths, widths, strict=True), start=1):
        if i > 1:
            x = patches(norm(x, f"stage{i}_norm"), width, 2, f"stage{i}_halve")
        for j in range(1, depth + 1):
            x = block(x, path_dropout * number / last, f"stage{i}_block{j}")
            number += 1
        # (B, 8 | 4 | 2 | 1, 8 | 4 | 2 | 1, width) for an image of 32 pixels
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)  # (B, widths[-1])
    x = norm(x, "features")
    logits = keras.layers.Dense(
        spec.num_outputs,
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02),
        dtype="float32",
        name="logits",
    )
    return keras.Model(inputs, logits(x), name="convnext")  # (B, classes)
