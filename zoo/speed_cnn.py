"""A convolutional network for 32x32 photographs that is accurate after few minutes of training.

In the line of ResNet-9 (Page 2018) and airbench (Jordan 2024, arXiv 2404.00498): the first layer is
set to whiten the patches of the data and is not trained, pools come early, activations are
normalised, the logits are small.
"""

import keras
import numpy as np

import zoo
from zoo.spec import DataSpec, Recipe


def convolution(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    """3x3, same size, without the bias that a normalisation would take away again."""
    return keras.layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name)(x)


def normalised(x: keras.KerasTensor, activation: str, name: str) -> keras.KerasTensor:
    """Batch normalisation without a scale of its own, then the activation."""
    x = keras.layers.BatchNormalization(
        momentum=0.6, epsilon=1e-4, scale=False, name=f"{name}_norm"
    )(x)
    return keras.layers.Activation(activation, name=f"{name}_{activation}")(x)


def adapt(model: keras.Model, first_inputs: dict) -> None:
    """Whitens: the first filters become the principal patches of the images, scaled to variance 1.

    Each is there twice, once with its sign turned (Page 2018; Jordan 2024, section 3.2). The first
    filters of every 3x3 convolution start by passing their input on (section 3.3).
    """
    whiten = model.get_layer("whiten")
    images = np.asarray(first_inputs["image"], np.float64)  # (B, H, W, C)
    size, _, channels, filters = whiten.kernel.shape
    patches = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
    patches = patches.transpose(0, 1, 2, 4, 5, 3).reshape(-1, size * size * channels)
    mean = patches.mean(axis=0)
    variance, directions = np.linalg.eigh(np.cov(patches, rowvar=False))  # ascending, by columns
    kept = np.argsort(variance)[::-1][: filters // 2]
    # Directions of almost no variance would be blown up to noise.
    scaled = directions[:, kept] / np.sqrt(variance[kept] + 2e-3 * variance.mean() + 1e-12)
    kernel = np.concatenate([scaled, -scaled], axis=1)  # (size size C, filters)
    whiten.kernel.assign(kernel.reshape(whiten.kernel.shape))
    whiten.bias.assign(-mean @ kernel)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D) and layer is not whiten:
            kernel = np.array(layer.kernel)  # (3, 3, in, out)
            same = min(kernel.shape[2:])
            kernel[:, :, :, :same] = 0.0
            kernel[1, 1, range(same), range(same)] = 1.0
            layer.kernel.assign(kernel)


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
)
def speed_cnn(
    spec: DataSpec,
    *,
    widths: tuple[int, ...] = (64, 128, 256),
    filters: int = 16,
    activation: str = "gelu",
) -> keras.Model:
    """A whitening convolution, then groups of two convolutions with a pool after the first.

    Args:
        widths: channels of each group; each group halves the image.
        filters: of the whitening convolution, two for each principal patch; eight a channel of the
            image at most. Of a photograph's twelve patches, the last four hold a three-thousandth
            of the variance (CIFAR-10 that went through JPEG).
        activation: any of Keras's.

    Raises:
        ValueError: the data is not one image, or it is too small for so many pools.
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
    filters = min(filters, 2 * 2 * 2 * channels)  # there are no more principal patches than that
    x = keras.layers.Conv2D(filters, 2, name="whiten")(inputs["image"])  # (B, 31, 31, 16)
    x = keras.layers.Activation(activation, name=f"whiten_{activation}")(x)
    for i, width in enumerate(widths, 1):
        x = convolution(x, width, f"group{i}_conv1")
        x = keras.layers.MaxPooling2D(2, name=f"group{i}_pool")(x)  # (B, 15 | 7 | 3, .., width)
        x = normalised(x, activation, f"group{i}_1")
        x = convolution(x, width, f"group{i}_conv2")
        x = normalised(x, activation, f"group{i}_2")
    x = keras.layers.GlobalMaxPooling2D(name="pool")(x)  # (B, widths[-1])
    logits = keras.layers.Dense(spec.num_outputs, use_bias=False, dtype="float32", name="logits")(
        x
    )  # (B, classes)
    logits = keras.layers.Rescaling(1 / 9, dtype="float32", name="small")(logits)
    return keras.Model(inputs, logits, name="speed_cnn")
