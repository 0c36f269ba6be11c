"""A conditional GAN in one model, one loss and one fit.

A generator makes an image from a latent vector and a class; a critic with a projection of the class
(Miyato and Koyama 2018) compares it with a real one of the same class (relativistic pairs:
Jolicoeur-Martineau 2018; R3GAN, Huang et al. 2024, arXiv 2501.05441). Neither has normalisation.
"""

from collections.abc import Callable

import keras
from keras import ops

import zoo
from zoo.spec import DataSpec, Recipe

_SLOPE = 0.2  # of the leaky ReLU below zero
_LARGEST = 10.0  # largest exponent of the factor by which a gradient is scaled


def leaky(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Leaky ReLU."""
    return keras.layers.LeakyReLU(negative_slope=_SLOPE, name=name)(x)


def generator(
    latent: keras.KerasTensor,
    label: keras.KerasTensor,
    *,
    shape: tuple[int, int, int],
    classes: int,
    widths: tuple[int, ...],
) -> keras.KerasTensor:
    """Images in -1..1 from latents (B, n), labels (B,): (B, *shape), of layer `generated`."""
    height, width, channels = shape
    factor = 2 ** len(widths)
    rows, columns = -(-height // factor), -(-width // factor)
    embedding = keras.layers.Embedding(classes, latent.shape[-1], name="generator_embedding")
    x = ops.concatenate([latent, embedding(label)], axis=-1)
    x = keras.layers.Dense(rows * columns * widths[0], name="generator_dense")(x)
    x = leaky(keras.layers.Reshape((rows, columns, widths[0]), name="generator_reshape")(x), "g0")
    for i, units in enumerate(widths, start=1):
        x = keras.layers.UpSampling2D(2, name=f"generator_larger{i}")(x)
        x = keras.layers.Conv2D(units, 3, padding="same", name=f"generator_conv{i}")(x)
        x = leaky(x, f"g{i}")  # (B, 14 | 28, 14 | 28, units)
    crop = [(0, factor * rows - height), (0, factor * columns - width)]
    x = keras.layers.Cropping2D(crop, name="generator_crop")(x)
    last = keras.layers.Conv2D(
        channels, 3, padding="same", activation="tanh", dtype="float32", name="generated"
    )
    return last(x)


def make_critic(classes: int, widths: tuple[int, ...], units: int) -> Callable:
    """A function from images (B, H, W, C) and labels (B,) to one score each: (B,).

    Always in float32: the penalty is a difference of two almost equal scores.
    """
    convs = [
        keras.layers.Conv2D(
            width, 3, strides=2, padding="same", dtype="float32", name=f"critic_conv{i}"
        )
        for i, width in enumerate(widths, start=1)
    ]
    flat = keras.layers.Flatten(dtype="float32", name="critic_flatten")
    dense = keras.layers.Dense(units, dtype="float32", name="critic_dense")
    active = keras.layers.LeakyReLU(_SLOPE, dtype="float32", name="critic_leaky")
    embedding = keras.layers.Embedding(classes, units, dtype="float32", name="critic_embedding")
    # Only differences of scores count, so a bias would never learn.
    last = keras.layers.Dense(1, use_bias=False, dtype="float32", name="critic")

    def critic(image: keras.KerasTensor, label: keras.KerasTensor) -> keras.KerasTensor:
        x = image
        for layer in convs:
            x = active(layer(x))
        x = active(dense(flat(x)))  # (B, units)
        return last(x)[:, 0] + ops.sum(x * embedding(label), axis=-1)

    return critic


def reverse_gradient(x: keras.KerasTensor, factor: keras.KerasTensor) -> keras.KerasTensor:
    """The value of x, with its gradient reversed and multiplied by `factor` (B,)."""
    detached = ops.stop_gradient(x)
    return detached + ops.reshape(factor, (-1, 1, 1, 1)) * (detached - x)


@zoo.register(
    Recipe(
        pipeline="mnist",
        batch_size=128,
        epochs=10,
        optimizer="adam",
        optimizer_options={"beta_1": 0.0, "beta_2": 0.99},
        learning_rate=2e-4,
        ema=0.999,
    ),
    name="gan",
    tiny={"widths": (6, 4), "critic_widths": (4, 6), "units": 8},
    tasks=("adversarial",),
    parameters=946_625,
)
def gan(
    spec: DataSpec,
    *,
    widths: tuple[int, ...] = (64, 32),
    critic_widths: tuple[int, ...] = (64, 128, 128),
    units: int = 128,
    step: float = 0.05,
) -> keras.Model:
    """Generator and critic: 946 625 parameters on MNIST.

    The output is (B, 3). The first is D(x) - D(g), by how much the critic D scores a real image x
    above g, the generated one of its pair. The others are the squared slopes of D along random
    noise e at x and at g, as finite differences: (D(x + s e) - D(x))^2 / s^2, whose mean over e is
    the squared norm of the gradient.

    The loss is the critic's, softplus(D(g) - D(x)). Its derivative by D(g) is p, the sigmoid of
    D(g) - D(x). The generator needs that of softplus(D(x) - D(g)), which is p - 1, so the gradient
    that reaches it is multiplied by -(1 - p) / p = -exp(D(x) - D(g)). The slopes have no gradient
    in the generator.

    Args:
        widths: channels of the generator at each resolution; the resolution doubles each time.
        critic_widths: channels of the critic's convolutions, each of which halves the image.
        units: width of the critic's dense layer.
        step: s, in the unit of the images, which range from -1 to 1.

    Raises:
        ValueError: the data is not that of task adversarial.
    """
    if set(spec.inputs) != {"image", "label", "latent", "noise"}:
        raise ValueError(
            "gan takes the inputs image, label, latent and noise of task adversarial, the data has "
            f"{sorted(spec.inputs)}"
        )
    inputs = zoo.keras_inputs(spec)
    real, label, noise = inputs["image"], inputs["label"], step * inputs["noise"]
    classes = spec.inputs["label"].ids
    critic = make_critic(classes, critic_widths, units)
    shape = spec.inputs["image"].shape
    fake = generator(inputs["latent"], label, shape=shape, classes=classes, widths=widths)
    detached = ops.stop_gradient(fake)
    # One call for all four, so that each layer computes once.
    images = ops.concatenate([real, detached, real + noise, detached + noise], axis=0)
    scores = critic(images, ops.concatenate([label] * 4, axis=0))  # (4 B,)
    of_real, of_fake, near_real, near_fake = ops.split(scores, 4)
    difference = ops.stop_gradient(of_real - of_fake)
    factor = ops.exp(ops.clip(difference, -_LARGEST, _LARGEST))
    margin = of_real - critic(reverse_gradient(fake, factor), label)
    slopes = [ops.square((a - b) / step) for a, b in ((near_real, of_real), (near_fake, of_fake))]
    return keras.Model(inputs, ops.stack([margin, *slopes], axis=-1), name="gan")
