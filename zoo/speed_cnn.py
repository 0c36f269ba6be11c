"""A convolutional network for small photographs that is accurate after minutes of training.

Based on ResNet-9 (Page 2018) and airbench (Jordan 2024, arXiv 2404.00498): the first layer whitens
patches of the data and is not trained, pooling comes early, every convolution is followed by batch
normalisation, and the logits are scaled down.
"""

from collections.abc import Iterable, Mapping

import keras
import numpy as np

import zoo
from zoo.spec import DataSpec, Recipe


def conv(x: keras.KerasTensor, width: int, name: str) -> keras.KerasTensor:
    """A 3x3 convolution that keeps the size; no bias: batch normalisation would cancel it."""
    return keras.layers.Conv2D(width, 3, padding="same", use_bias=False, name=name)(x)


def norm_activation(x: keras.KerasTensor, activation: str, name: str) -> keras.KerasTensor:
    """Batch normalisation without a learned scale, then the activation."""
    norm = keras.layers.BatchNormalization(
        momentum=0.6, epsilon=1e-4, scale=False, name=f"{name}_norm"
    )
    return keras.layers.Activation(activation, name=f"{name}_{activation}")(norm(x))


def conv_group(x: keras.KerasTensor, width: int, activation: str, name: str) -> keras.KerasTensor:
    """Two convolutions with a pool after the first: (B, H, W, C) to (B, H / 2, W / 2, width)."""
    x = conv(x, width, f"{name}_conv1")
    x = keras.layers.MaxPooling2D(2, name=f"{name}_pool")(x)
    x = norm_activation(x, activation, f"{name}_1")
    x = conv(x, width, f"{name}_conv2")
    return norm_activation(x, activation, f"{name}_2")


def adapt(
    model: keras.Model, batches: Iterable[tuple[Mapping[str, np.ndarray], np.ndarray]]
) -> dict[str, np.ndarray]:
    """Initial weights of the whitening layer, from the principal components of image patches.

    Each component is scaled to variance 1 and used twice, with both signs (Page 2018; Jordan 2024,
    section 3.2). The first filters of every 3x3 convolution start as the identity (section 3.3).

    Args:
        model: its weights are read, not changed.
        batches: (inputs, y) of training rows; only the first batch is read.

    Returns:
        Initial values by variable path.
    """
    whiten = model.get_layer("whiten")
    inputs, _ = next(iter(batches))
    images = np.asarray(inputs["image"], np.float64)  # (B, H, W, C)
    size, _, channels, filters = whiten.kernel.shape
    patches = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
    patches = patches.transpose(0, 1, 2, 4, 5, 3).reshape(-1, size * size * channels)
    mean = patches.mean(axis=0)
    variance, directions = np.linalg.eigh(np.cov(patches, rowvar=False))  # ascending, by columns
    kept = np.argsort(variance)[::-1][: filters // 2]
    # The constant keeps directions of almost no variance from being amplified to noise.
    scaled = directions[:, kept] / np.sqrt(variance[kept] + 2e-3 * variance.mean() + 1e-12)
    kernel = np.concatenate([scaled, -scaled], axis=1)  # (size size C, filters)
    values = {
        whiten.kernel.path: kernel.reshape(whiten.kernel.shape),
        whiten.bias.path: -mean @ kernel,
    }
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D) and layer is not whiten:
            kernel = np.array(layer.kernel)  # (3, 3, in, out)
            diagonal = min(kernel.shape[2:])
            kernel[:, :, :, :diagonal] = 0.0
            kernel[1, 1, range(diagonal), range(diagonal)] = 1.0
            values[layer.kernel.path] = kernel
    return values


@zoo.register(
    Recipe(
        pipeline="cifar10",
        batch_size=500,
        epochs=11,
        optimizer="muon_sgd",
        learning_rate=0.12,
        momentum=0.85,
        weight_decay=0.003,
        schedule="linear",
        label_smoothing=0.2,
        lr_scale=(("whiten", 0.0), ("beta", 200.0), ("logits", 3.0)),
    ),
    name="speed_cnn",
    tiny={"widths": (6, 8, 8), "filters": 6},
    adapt=adapt,
    head=("logits",),
    features="pool",
    parameters=1_157_456,
)
def speed_cnn(
    spec: DataSpec,
    *,
    widths: tuple[int, ...] = (64, 128, 256),
    filters: int = 16,
    activation: str = "gelu",
) -> keras.Model:
    """A fixed whitening convolution, groups of two convolutions, and one dense layer without bias.

    Args:
        widths: channels of each group; each group halves the image.
        filters: of the whitening convolution; even, at most 8 x channels.
        activation: name of a Keras activation.

    Raises:
        ValueError: the data is not one image, or the image is too small for the pools.
    """
    if list(spec.inputs) != ["image"]:
        raise ValueError(f"speed_cnn takes one input 'image', the data has {sorted(spec.inputs)}")
    height, width, channels = spec.inputs["image"].shape
    smallest = 2 ** len(widths) + 1
    if min(height or 0, width or 0) < smallest:
        raise ValueError(
            f"speed_cnn with {len(widths)} groups takes images of {smallest}x{smallest} or more, "
            f"received {height}x{width}x{channels}"
        )

    inputs = zoo.keras_inputs(spec)
    filters = min(filters, 2 * 2 * 2 * channels)  # two signs of each 2x2 patch's components
    x = keras.layers.Conv2D(filters, 2, name="whiten")(inputs["image"])  # (B, 31, 31, 16)
    x = keras.layers.Activation(activation, name=f"whiten_{activation}")(x)
    for i, width in enumerate(widths, start=1):
        x = conv_group(x, width, activation, f"group{i}")  # (B, 15 | 7 | 3, 15 | 7 | 3, width)
    x = keras.layers.GlobalMaxPooling2D(name="pool")(x)  # (B, widths[-1])
    dense = keras.layers.Dense(spec.num_outputs, use_bias=False, dtype="float32", name="logits")
    logits = keras.layers.Rescaling(1 / 9, dtype="float32", name="small")(dense(x))  # (B, classes)
    return keras.Model(inputs, logits, name="speed_cnn")
