"""Colour changes: batches (B, H, W, 1 or 3) of uint8 to the same, bit for bit as in Pillow.

Each function takes one number per image, (B,), and no image depends on another. Where Pillow
blends, it truncates decimals, so that an image loses half a grey level on average.
"""

import numpy as np
import tensorflow as tf

from pipelines.core.keys import Keys, integers
from pipelines.core.pipeline import DataError

_STEPS = 256  # distinct factors of `jitter`
_BRIGHTNESS, _CONTRAST, _SATURATION = range(3)  # draws of `keys`


def brightness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Between black (0) and the image (1), or beyond it; `factor` is float32."""
    return _blend(tf.zeros_like(image[:, :1, :1]), image, factor)


def contrast(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Between the rounded mean of the grey image (0) and the image (1), or beyond it."""
    shades = tf.cast(_grey(image), tf.int64)
    number = image.shape[1] * image.shape[2]
    total = tf.reduce_sum(shades, axis=[1, 2, 3], keepdims=True)
    return _blend((2 * total + number) // (2 * number), image, factor)


def saturation(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Between the grey image (0) and the image (1), or beyond it."""
    return _blend(_grey(image), image, factor)


def sharpness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Between the image smoothed by 1 1 1, 1 5 1, 1 1 1 (0) and itself (1); its edge stays."""
    _, height, width, _ = image.shape
    if min(height, width) < 3:
        return image
    shades = tf.cast(image, tf.float32)
    lines = shades[:, :-2] + shades[:, 1:-1] + shades[:, 2:]
    around = lines[:, :, :-2] + lines[:, :, 1:-1] + lines[:, :, 2:]
    inner = shades[:, 1:-1, 1:-1]
    # An odd number of 26ths is never within 1/26 of a whole number, so rounding does not matter.
    smooth = tf.floor((around + 4.0 * inner) * (1 / 13) + 0.5)
    inner = _blend(smooth, image[:, 1:-1, 1:-1], factor)
    inner = tf.concat([image[:, 1:-1, :1], inner, image[:, 1:-1, -1:]], axis=2)
    return tf.concat([image[:, :1], inner, image[:, -1:]], axis=1)


def posterize(image: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
    """The upper bits of each value; `kept` is uint8 with these bits set."""
    return tf.bitwise.bitwise_and(image, kept[:, None, None, None])


def solarize(image: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Inverts the values from `threshold` (uint8) on."""
    difference = tf.cast(threshold, tf.int16)[:, None, None, None] - 1 - tf.cast(image, tf.int16)
    # All bits where it is negative: `tf.where` of uint8 takes three times as long.
    inverted = tf.cast(tf.bitwise.right_shift(difference, 8), tf.uint8)
    return tf.bitwise.bitwise_xor(image, inverted)


def autocontrast(image: tf.Tensor) -> tf.Tensor:
    """Each channel stretched from black to white."""
    low, high = (
        tf.cast(reduce(image, axis=[1, 2], keepdims=True), tf.float64)
        for reduce in (tf.reduce_min, tf.reduce_max)
    )
    flat = high <= low
    size = tf.where(flat, tf.ones_like(low), 255.0 / tf.maximum(high - low, 1.0))
    start = tf.where(flat, tf.zeros_like(low), -low * size)
    stretched = tf.cast(image, tf.float64) * size + start
    return tf.cast(tf.clip_by_value(stretched, 0.0, 255.0), tf.uint8)


def equalize(image: tf.Tensor) -> tf.Tensor:
    """Each channel with about equally many pixels of each value, by Pillow's integer rule."""
    _, height, width, channels = image.shape
    shades = tf.reshape(tf.transpose(image, [0, 3, 1, 2]), [-1, height * width])  # (B * C, H * W)
    shades = tf.cast(shades, tf.int32)
    counts = tf.raw_ops.DenseBincount(
        input=shades, size=256, weights=tf.constant([], tf.int32), binary_output=False
    )  # (B * C, 256)
    # Pixels of the brightest value that occurs are not counted.
    brightest = tf.reduce_max(shades, axis=1, keepdims=True)
    step = (height * width - tf.gather(counts, brightest, batch_dims=1)) // 255
    below = tf.cumsum(counts, axis=1, exclusive=True)
    table = tf.minimum((below + step // 2) // tf.maximum(step, 1), 255)
    table = tf.where(step > 0, table, tf.range(256)[None])
    equalized = tf.gather(tf.cast(table, tf.uint8), shades, batch_dims=1)
    return tf.transpose(tf.reshape(equalized, [-1, channels, height, width]), [0, 2, 3, 1])


def jitter(strength: float):
    """An augmentation: brightness, contrast and saturation by factors within 1 +- `strength`.

    In this order, with independent uniform factors (torchvision's `ColorJitter` shuffles the order
    and also changes the hue, which is slow).
    """
    factors = np.linspace(1.0 - strength, 1.0 + strength, _STEPS).astype(np.float32)
    steps = {_BRIGHTNESS: brightness, _CONTRAST: contrast, _SATURATION: saturation}

    def augment(raw: dict, target: tf.Tensor, keys: Keys) -> tuple[dict, tf.Tensor]:
        check_is_colour("jitter", raw["image"])
        pixels, keys = raw["image"], keys.named("jitter")
        for draw, step in steps.items():
            pixels = step(pixels, tf.gather(factors, integers(keys, draw, _STEPS)))
        return {**raw, "image": pixels}, target

    return augment


def check_is_colour(name: str, image: tf.Tensor) -> None:
    """DataError unless the images have 8 bits and one or three channels."""
    if image.dtype != tf.uint8 or image.shape[-1] not in (1, 3):
        raise DataError(
            f"{name} takes images of 8 bits with 1 or 3 channels, received {image.dtype.name} with "
            f"{image.shape[-1]}"
        )


def _blend(reference: tf.Tensor, image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Pillow's `Image.blend`: truncated, not rounded, and clipped to 0 to 255."""
    reference = tf.cast(reference, tf.float32)
    change = factor[:, None, None, None] * (tf.cast(image, tf.float32) - reference)
    return tf.cast(tf.clip_by_value(reference + change, 0.0, 255.0), tf.uint8)


def _grey(image: tf.Tensor) -> tf.Tensor:
    """The luma of ITU-R 601 in Pillow's integer arithmetic: (B, H, W, 1) int32."""
    shades = tf.cast(image, tf.int32)
    if image.shape[-1] == 1:
        return shades
    red, green, blue = tf.split(shades, 3, axis=-1)
    return tf.bitwise.right_shift(19595 * red + 38470 * green + 7471 * blue + 2**15, 16)
