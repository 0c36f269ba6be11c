"""Geometric transformations: affine maps, which are composed so that an image is sampled once.

A map is six numbers (a, b, c, d, e, f): what is at (x, y) of the new image was at (a x + b y + c,
d x + e y + f). Coordinates are those of Pillow's `Image.transform`: pixel 0 extends from 0 to 1.
"""

import math

import numpy as np
import tensorflow as tf

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def shear_x(size: float) -> tuple[float, ...]:
    """Lines moved in proportion to their distance from the upper edge."""
    return 1.0, size, 0.0, 0.0, 1.0, 0.0


def shear_y(size: float) -> tuple[float, ...]:
    """Columns moved in proportion to their distance from the left edge."""
    return 1.0, 0.0, 0.0, size, 1.0, 0.0


def translate_x(pixels: float) -> tuple[float, ...]:
    """Moved to the right by whole pixels."""
    return 1.0, 0.0, -float(int(pixels)), 0.0, 1.0, 0.0


def translate_y(pixels: float) -> tuple[float, ...]:
    """Moved down by whole pixels."""
    return 1.0, 0.0, 0.0, 0.0, 1.0, -float(int(pixels))


def rotate(degrees: float, height: int, width: int) -> tuple[float, ...]:
    """Turned about the middle, counter-clockwise."""
    angle = -math.radians(degrees)
    # Rounded as in Pillow, so that quarters of a turn are exact.
    cos, sin = round(math.cos(angle), 15), round(math.sin(angle), 15)
    x, y = width / 2, height / 2
    return cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y


def fixed(numbers: tuple[float, ...]) -> np.ndarray:
    """A map rounded to multiples of 1/65536, in which Pillow computes: (6,) float32.

    With a shear of 0.2, some lines of pixels lie exactly on the edge between two source lines. With
    these numbers, which float32 adds up without rounding in images of up to 64 pixels, they fall as
    in Pillow. The 2^-17 that is added decides where a sum is zero, which TensorFlow rounds down to
    -1.
    """
    a, b, c, d, e, f = numbers

    def whole(value: float) -> float:
        return math.floor(value * 65536 + 0.5) / 65536

    def row(x: float, y: float, start: float) -> tuple[float, float, float]:
        start = whole(start + (x + y) / 2)  # at the middle of the first pixel
        x, y = whole(x), whole(y)
        return x, y, start - (x + y) / 2 + 2**-17

    return np.float32([*row(a, b, c), *row(d, e, f)])


def composed(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """The map of both, (B, 6) each: `first` is applied to the image before `second`."""
    a, b, c, d, e, f = tf.unstack(first, axis=1)
    p, q, r, s, t, u = tf.unstack(second, axis=1)
    rows = (a * p + b * s, a * q + b * t, a * r + b * u + c)
    rows += (d * p + e * s, d * q + e * t, d * r + e * u + f)
    return tf.stack(rows, axis=1)


def warp(image: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
    """Each image under its map, nearest pixel, black outside: (B, H, W, C) and (B, 6)."""
    return _sampled(image, maps, "NEAREST", "CONSTANT")


def zoom(image: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """A part of each image at the size of the whole, bilinear.

    Args:
        image: (B, H, W, C) of an integer type.
        boxes: (B, 4) int32: top, left, height and width of the part.
    """
    height, width = image.shape[1:3]
    top, left, high, wide = tf.unstack(tf.cast(boxes, tf.float32), axis=1)
    zero = tf.zeros_like(top)
    maps = (wide * (1.0 / width), zero, left, zero, high * (1.0 / height), top)
    # An integer type would be truncated: half a grey level on average.
    zoomed = _sampled(tf.cast(image, tf.float32), tf.stack(maps, axis=1), "BILINEAR", "NEAREST")
    return tf.cast(tf.round(zoomed), image.dtype)


def _sampled(image: tf.Tensor, maps: tf.Tensor, interpolation: str, fill: str) -> tf.Tensor:
    a, b, c, d, e, f = tf.unstack(maps, axis=1)
    zero = tf.zeros_like(a)
    # TensorFlow's coordinates are those of pixel centres.
    first = (a, b, c + (a + b) * 0.5 - 0.5)
    second = (d, e, f + (d + e) * 0.5 - 0.5)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image,
        transforms=tf.stack([*first, *second, zero, zero], axis=1),  # (B, 8)
        output_shape=np.array(image.shape[1:3], np.int32),
        fill_value=0.0,
        interpolation=interpolation,
        fill_mode=fill,
    )
