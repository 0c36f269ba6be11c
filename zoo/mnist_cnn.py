"""Two small convolutional networks for 28x28 digits."""

import keras

import zoo
from zoo.layers import check_image
from zoo.spec import DataSpec, Recipe


@zoo.register(
    Recipe(
        pipeline="mnist",
        batch_size=128,
        epochs=12,
        optimizer="adamw",
        learning_rate=3e-3,
        weight_decay=0.02,
        schedule="one_cycle",
    ),
    name="mnist_cnn",
    tiny={"filters": (4, 6, 8), "units": 8, "dropout": 0.1},
    head=("logits",),
    features="dense",
    parameters=93_322,
)
def mnist_cnn(
    spec: DataSpec,
    *,
    filters: tuple[int, int, int] = (32, 64, 64),
    units: int = 64,
    dropout: float = 0.0,
) -> keras.Model:
    """Three 3x3 convolutions, two max-pools and two dense layers: 93 322 parameters on MNIST.

    Args:
        filters: channels of each convolution.
        units: width of the hidden dense layer, which `dropout` follows.

    Raises:
        ValueError: the data is not one image, or the image is too small for two pools.
    """
    check_image(spec, "mnist_cnn", 18)
    inputs = zoo.keras_inputs(spec)
    x = inputs["image"]  # (B, 28, 28, 1)
    x = keras.layers.Conv2D(filters[0], 3, activation="relu", name="conv1")(x)  # (B, 26, 26, 32)
    x = keras.layers.MaxPooling2D(2, name="pool1")(x)  # (B, 13, 13, 32)
    x = keras.layers.Conv2D(filters[1], 3, activation="relu", name="conv2")(x)  # (B, 11, 11, 64)
    x = keras.layers.MaxPooling2D(2, name="pool2")(x)  # (B, 5, 5, 64)
    x = keras.layers.Conv2D(filters[2], 3, activation="relu", name="conv3")(x)  # (B, 3, 3, 64)
    x = keras.layers.Flatten(name="flatten")(x)  # (B, 576)
    x = keras.layers.Dense(units, activation="relu", name="dense")(x)  # (B, 64)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    logits = keras.layers.Dense(spec.num_outputs, dtype="float32", name="logits")(x)  # (B, classes)
    return keras.Model(inputs, logits, name="mnist_cnn")


@zoo.register(
    Recipe(
        pipeline="mnist",
        batch_size=128,
        epochs=10,
        optimizer="adamw",
        learning_rate=2e-3,
        weight_decay=0.02,
        schedule="one_cycle",
    ),
    name="mnist_cnn_5x5",
    tiny={"filters": (4, 6), "units": 8, "dropout": 0.1},
    head=("logits",),
    features="dense",
    parameters=1_111_946,
)
def mnist_cnn_5x5(
    spec: DataSpec,
    *,
    filters: tuple[int, int] = (32, 64),
    units: int = 1024,
    dropout: float = 0.4,
) -> keras.Model:
    """Two 5x5 convolutions, each with a max-pool, and a wide dense layer.

    1 111 946 parameters on MNIST.

    Args:
        filters: channels of each convolution.
        units: width of the hidden dense layer, which `dropout` follows.

    Raises:
        ValueError: the data is not one image, or the image is too small for two pools.
    """
    check_image(spec, "mnist_cnn_5x5", 16)
    inputs = zoo.keras_inputs(spec)
    x = inputs["image"]  # (B, 28, 28, 1)
    x = keras.layers.Conv2D(filters[0], 5, activation="relu", name="conv1")(x)  # (B, 24, 24, 32)
    x = keras.layers.MaxPooling2D(2, name="pool1")(x)  # (B, 12, 12, 32)
    x = keras.layers.Conv2D(filters[1], 5, activation="relu", name="conv2")(x)  # (B, 8, 8, 64)
    x = keras.layers.MaxPooling2D(2, name="pool2")(x)  # (B, 4, 4, 64)
    x = keras.layers.Flatten(name="flatten")(x)  # (B, 1024)
    x = keras.layers.Dense(units, activation="relu", name="dense")(x)  # (B, 1024)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    logits = keras.layers.Dense(spec.num_outputs, dtype="float32", name="logits")(x)  # (B, classes)
    return keras.Model(inputs, logits, name="mnist_cnn_5x5")
