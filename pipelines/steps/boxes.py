"""Augmentations by a box of random area and shape, which is kept of an image or erased from it."""

import numpy as np
import tensorflow as tf

from pipelines.core.keys import Keys, bits_numpy, integers
from pipelines.core.pipeline import DataError
from pipelines.steps import geometry

_SIDES, _TOP, _LEFT, _WHETHER = range(4)  # draws of `keys`
_BOXES = 1024  # distinct heights and widths
_CHANCES = 2**16  # steps of a probability
_TRIES = 64 * _BOXES
_GREY = 128  # value of an erased box; `image.scale` turns it into 0.004


def sides(
    height: int, width: int, *, area: tuple[float, float], ratio: tuple[float, float]
) -> np.ndarray:
    """Heights and widths of boxes that fit into an image: (1024, 2) int32.

    As torchvision draws them: the fraction of the image's area is uniform within `area`, width over
    height is log-uniform within `ratio`; sides are rounded, and boxes that do not fit drawn again.

    Raises:
        DataError: no such box fits.
    """
    first, second = (
        (bits_numpy(0, 0, draw, np.arange(_TRIES)) >> np.uint64(11)) * 2.0**-53 for draw in (0, 1)
    )
    size = height * width * (area[0] + (area[1] - area[0]) * first)
    shape = np.exp(np.log(ratio[0]) + (np.log(ratio[1]) - np.log(ratio[0])) * second)
    boxes = np.round(np.stack([np.sqrt(size / shape), np.sqrt(size * shape)], axis=1))
    boxes = boxes[(boxes >= 1).all(axis=1) & (boxes <= [height, width]).all(axis=1)]
    if len(boxes) < _BOXES:
        raise DataError(
            f"no box of {area[0]:g} to {area[1]:g} of the area fits into images of {height}x{width}"
        )
    return boxes[:_BOXES].astype(np.int32)


def resized_crop(smallest: float):
    """An augmentation: a box of `smallest` to 1 of the area, 3/4 to 4/3 as wide as high, enlarged.

    The zoom is bilinear (Szegedy et al. 2014, arXiv 1409.4842, section 6).
    """

    def augment(raw: dict, target: tf.Tensor, keys: Keys) -> tuple[dict, tf.Tensor]:
        height, width = raw["image"].shape[1:3]
        table = sides(height, width, area=(smallest, 1.0), ratio=(3 / 4, 4 / 3))
        boxes = _placed(table, height, width, keys.named("resized_crop"))
        return {**raw, "image": geometry.zoom(raw["image"], boxes)}, target

    return augment


def erase(probability: float):
    """An augmentation: a grey box of 0.02 to 0.33 of the area, 0.3 to 3.3 as wide as high.

    Zhong et al. 2017, arXiv 1708.04896, with the ranges of torchvision and timm.

    Args:
        probability: that an image gets one.
    """

    def augment(raw: dict, target: tf.Tensor, keys: Keys) -> tuple[dict, tf.Tensor]:
        pixels, keys = raw["image"], keys.named("erase")
        if pixels.dtype != tf.uint8:
            raise DataError(f"erase takes images of 8 bits, received {pixels.dtype.name}")
        height, width = pixels.shape[1:3]
        table = sides(height, width, area=(0.02, 0.33), ratio=(0.3, 3.3))
        boxes = _placed(table, height, width, keys)
        erased = integers(keys, _WHETHER, _CHANCES) < round(probability * _CHANCES)
        boxes *= tf.cast(erased, tf.int32)[:, None]  # else the box is empty
        keep = tf.cast(inside(boxes, pixels), tf.uint8) - 1  # all bits of a pixel, or none
        grey = tf.bitwise.bitwise_and(tf.bitwise.invert(keep), _GREY)
        filled = tf.bitwise.bitwise_or(tf.bitwise.bitwise_and(pixels, keep), grey)
        return {**raw, "image": filled}, target

    return augment


def inside(boxes: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
    """Whether each value is in the box of its image: bool, (B, H, W, C) like the images.

    Args:
        boxes: (B, 4) int32: top, left, height and width of each.
    """
    _, height, width, channels = image.shape
    top, left, high, wide = (edge[:, None] for edge in tf.unstack(boxes, axis=1))
    # Whole lines: repeating (B, H, W, 1) for each channel takes twice as long.
    row, column = tf.range(height)[None], tf.repeat(tf.range(width), channels)[None]
    rows = (row >= top) & (row < top + high)  # (B, H)
    columns = (column >= left) & (column < left + wide)  # (B, W * C)
    return tf.reshape(rows[:, :, None] & columns[:, None, :], [-1, height, width, channels])


def _placed(table: np.ndarray, height: int, width: int, keys: Keys) -> tf.Tensor:
    """Boxes with random sides at random positions within their images: (B, 4) int32."""
    high, wide = tf.unstack(tf.gather(table, integers(keys, _SIDES, len(table))), axis=1)
    top = integers(keys, _TOP, height + 1 - high)
    left = integers(keys, _LEFT, width + 1 - wide)
    return tf.stack([top, left, high, wide], axis=1)
