"""Masked patches of images as targets (He et al. 2021, "MAE", arXiv 2111.06377)."""

import math
from collections.abc import Callable, Mapping

import tensorflow as tf

from pipelines.core.keys import Keys, uniform
from pipelines.core.pipeline import DataError, Example, Part, Tensors
from zoo.spec import Field

_EPSILON = 1e-6  # added to variances; images are from -1 to 1
_MANY_PATCHES = 144  # patches of an image, 12 x 12


def masked_patches(patch: int, mask_rate: float) -> Callable[[Mapping[str, Field], Part], Example]:
    """A pipeline's `make_example`: some patches are hidden, and the targets are their pixels.

    Which patches are hidden depends only on the row and the epoch.

    x gains `visible_positions` (B, V) and `masked_positions` (B, M) int32, patches numbered line by
    line. y is (B, M, patch^2 C), each masked patch with mean 0 and variance 1, in float32.

    Args:
        patch: pixels per side of a patch.
        mask_rate: fraction of patches that are hidden; 0: 0.75 of 144 patches or more, as
            published, and 0.55 of fewer, each of which holds more information.
    """

    def make_example(fields: Mapping[str, Field], part: Part) -> Example:
        del part
        height, width, _ = fields["image"].shape
        if height % patch or width % patch:
            raise DataError(
                f"patches of {patch}x{patch} pixels do not fill images of {height}x{width}: choose "
                f"--task_options=patch={math.gcd(height, width)} or a divisor of it"
            )
        number = height // patch * (width // patch)
        masked = round((mask_rate or rate_for(number)) * number)
        if not 0 < masked < number:
            raise DataError(
                f"mask_rate={mask_rate} hides {masked} of {number} patches: some have to be hidden "
                "and some to be seen"
            )

        def example(inputs: Tensors, target, keys: Keys) -> tuple:
            del target
            hidden, visible = draw_positions(keys, number, masked)
            pixels = normalised(patches(inputs["image"], patch))
            y = tf.gather(pixels, hidden, batch_dims=1)  # (B, M, patch^2 C)
            x = {**inputs, "visible_positions": visible, "masked_positions": hidden}
            return x, y, tf.ones_like(hidden, tf.float32)

        return example

    return make_example


def rate_for(number: int) -> float:
    """The fraction of `number` patches that is hidden by default."""
    return 0.75 if number >= _MANY_PATCHES else 0.55


def draw_positions(keys: Keys, number: int, masked: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Hidden and visible ones of each row's `number` patches: (B, M) and (B, V) int32.

    Each patch has a draw; the hidden ones have the lowest.
    """
    draw = uniform(keys.named("mask").per_position(), tf.range(number)[None])  # (B, N)
    order = tf.argsort(draw, axis=1, stable=True)
    return order[:, :masked], order[:, masked:]


def patches(image: tf.Tensor, patch: int) -> tf.Tensor:
    """The pixels of each patch, line by line: (B, H, W, C) to (B, H W / patch^2, patch^2 C)."""
    _, height, width, channels = image.shape
    rows, columns = height // patch, width // patch
    x = tf.reshape(image, [-1, rows, patch, columns, patch, channels])
    x = tf.transpose(x, [0, 1, 3, 2, 4, 5])  # (B, rows, columns, patch, patch, C)
    return tf.reshape(x, [-1, rows * columns, patch * patch * channels])


def joined(pixels: tf.Tensor, patch: int, shape: tuple[int, int, int]) -> tf.Tensor:
    """Images (B, *shape) from the pixels of their patches: the inverse of `patches`."""
    height, width, channels = shape
    rows, columns = height // patch, width // patch
    x = tf.reshape(pixels, [-1, rows, columns, patch, patch, channels])
    return tf.reshape(tf.transpose(x, [0, 1, 3, 2, 4, 5]), [-1, height, width, channels])


def normalised(pixels: tf.Tensor) -> tf.Tensor:
    """Each patch (B, N, pixels) with mean 0 and variance 1."""
    mean, variance = tf.nn.moments(pixels, axes=[-1], keepdims=True)
    return (pixels - mean) * tf.math.rsqrt(variance + _EPSILON)


def scale_of(pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and standard deviation that normalise each patch (B, N, pixels): (B, N, 1) each."""
    mean, variance = tf.nn.moments(pixels, axes=[-1], keepdims=True)
    return mean, tf.sqrt(variance + _EPSILON)
