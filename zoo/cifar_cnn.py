"""The small convolutional network of TensorFlow's CIFAR-10 tutorial."""

import keras

import zoo
from zoo.spec import DataSpec, Recipe


@zoo.register(
    Recipe(
        pipeline="cifar10",
        batch_size=128,
        epochs=80,
        optimizer="adamw",
        learning_rate=3e-3,
        weight_decay=0.02,
        schedule="one_cycle",
    ),
    name="cifar_cnn",
    tiny={"filters": (4, 6, 8), "units": 8, "dropout": 0.1},
    head=("logits",),
    features="dense",
    parameters=122_570,
)
def cifar_cnn(
    spec: DataSpec,
    *,
    filters: tuple[int, int, int] = (32, 64, 64),
    units: int = 64,
    dropout: float = 0.0,
) -> keras.Model:
    """Three 3x3 convolutions, two max-pools and two dense layers: 122 570 parameters on CIFAR-10.

    Args:
        filters: channels of each convolution.
        units: width of the hidden dense layer, which `dropout` follows.

    Raises:
        ValueError: the data is not one image, or the image is too small for two pools.
    """
    if list(spec.inputs) != ["image"]:
        raise ValueError(f"cifar_cnn takes one input 'image', the data has {sorted(spec.inputs)}")
    height, width, channels = spec.inputs["image"].shape
    if min(height or 0, width or 0) < 18:
        raise ValueError(
            f"cifar_cnn takes images of 18x18 or more, received {height}x{width}x{channels}"
        )

    inputs = zoo.keras_inputs(spec)
    x = inputs["image"]  # (B, 32, 32, 3)
    x = keras.layers.Conv2D(filters[0], 3, activation="relu", name="conv1")(x)  # (B, 30, 30, 32)
    x = keras.layers.MaxPooling2D(2, name="pool1")(x)  # (B, 15, 15, 32)
    x = keras.layers.Conv2D(filters[1], 3, activation="relu", name="conv2")(x)  # (B, 13, 13, 64)
    x = keras.layers.MaxPooling2D(2, name="pool2")(x)  # (B, 6, 6, 64)
    x = keras.layers.Conv2D(filters[2], 3, activation="relu", name="conv3")(x)  # (B, 4, 4, 64)
    x = keras.layers.Flatten(name="flatten")(x)  # (B, 1024)
    x = keras.layers.Dense(units, activation="relu", name="dense")(x)  # (B, 64)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    logits = keras.layers.Dense(spec.num_outputs, dtype="float32", name="logits")(x)  # (B, classes)
    return keras.Model(inputs, logits, name="cifar_cnn")
