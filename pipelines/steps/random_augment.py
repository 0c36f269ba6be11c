"""RandAugment and TrivialAugment: operations drawn for each image from the same fourteen.

Strengths are those of torchvision, whose 31 levels range from none to the largest. Consecutive
geometric operations on an image are composed into one map, so that it is sampled once; torchvision
samples it after each. Images are sorted by operation, and each operation is applied to its slice.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipelines.core.keys import Keys, integers
from pipelines.steps import colour, geometry

LEVELS = 31
MAPS = ("Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
COLOURS = ("Brightness", "Color", "Contrast", "Sharpness", "Posterize", "Solarize")
COLOURS += ("AutoContrast", "Equalize")
OPERATIONS = MAPS + COLOURS
_KIND, _LEVEL, _SIGN, _DRAWS = range(4)  # draws of `keys` for each operation


class Strengths(NamedTuple):
    """The largest strength of each operation, that of level 30."""

    shear: float  # pixels to the side for each pixel down
    translate: float  # fraction of the side, or pixels
    in_pixels: bool
    degrees: float
    blend: float  # factors of brightness, colour, contrast and sharpness are 1 +- this
    bits: int  # that posterize takes away


RANDOM = Strengths(0.3, 150 / 331, False, 30.0, 0.9, 4)
WIDE = Strengths(0.99, 32.0, True, 135.0, 0.99, 6)


class Tables(NamedTuple):
    """What each operation needs, by its number, level and sign."""

    maps: np.ndarray  # (operations, levels, 2, 6) float32; the identity for colours
    factors: np.ndarray  # (levels, 2) float32
    kept: np.ndarray  # (levels,) uint8: a mask of bits
    thresholds: np.ndarray  # (levels,) uint8


def rand_augment(operations: int = 2, level: int = 9):
    """An augmentation: `operations` random operations on each image, all at one level.

    Cubuk et al. 2019, arXiv 1909.13719; the defaults are torchvision's.
    """
    return _policy("rand_augment", RANDOM, operations, (level,))


def trivial_augment():
    """An augmentation: one random operation on each image, at a random level of a wide range.

    Müller and Hutter 2021, arXiv 2103.10158: TrivialAugment (Wide).
    """
    return _policy("trivial_augment", WIDE, 1, tuple(range(LEVELS)))


def tables(strengths: Strengths, height: int, width: int) -> Tables:
    """Every operation at every level, for images of one size."""
    fraction = np.linspace(0.0, 1.0, LEVELS)
    high, wide = (1, 1) if strengths.in_pixels else (height, width)
    maps = np.tile(np.float32(geometry.IDENTITY), (len(OPERATIONS), LEVELS, 2, 1))
    for level, sign in np.ndindex(LEVELS, 2):
        size = fraction[level] * (-1.0 if sign else 1.0)
        level_maps = [
            geometry.shear_x(size * strengths.shear),
            geometry.shear_y(size * strengths.shear),
            geometry.translate_x(size * strengths.translate * wide),
            geometry.translate_y(size * strengths.translate * high),
            geometry.rotate(size * strengths.degrees, height, width),
        ]
        maps[1:6, level, sign] = [geometry.fixed(numbers) for numbers in level_maps]
    factors = 1.0 + strengths.blend * fraction[:, None] * np.array([1.0, -1.0])
    lost = np.round(strengths.bits * fraction).astype(np.int64)
    kept = [256 - 2**number for number in lost]
    # Solarize inverts the values from its threshold on: 8.5 means from 9 on.
    thresholds = [math.ceil(8.5 * i) for i in reversed(range(LEVELS))]
    return Tables(
        maps, factors.astype(np.float32), np.array(kept, np.uint8), np.array(thresholds, np.uint8)
    )


def applied(
    image: tf.Tensor, drawn: Sequence[tuple[tf.Tensor, tf.Tensor, tf.Tensor]], table: Tables
) -> tf.Tensor:
    """The images after their operations, which are applied in order.

    Args:
        image: (B, H, W, 1 or 3) uint8.
        drawn: number, level and sign (0 or 1) of each operation, (B,) int32 each.
    """
    pending = tf.zeros_like(drawn[0][0])  # 1: the image's map is still to be applied
    maps = tf.gather(table.maps[0, 0, 0][None], pending)
    for number, (kind, level, sign) in enumerate(drawn):
        is_colour = tf.cast(kind >= len(MAPS), tf.int32)
        if number:  # before the first operation none is pending
            now = pending * is_colour
            image = _grouped(image, now, (_unchanged, geometry.warp), maps)
            maps = tf.where(now[:, None] > 0, table.maps[0, 0, 0], maps)
            pending -= now
        own = tf.gather_nd(table.maps, tf.stack([kind, level, sign], axis=1))
        maps = geometry.composed(maps, own)
        pending = tf.where((kind > 0) & (is_colour == 0), 1, pending)
        factor = tf.gather_nd(table.factors, tf.stack([level, sign], axis=1))
        numbers = factor, tf.gather(table.kept, level), tf.gather(table.thresholds, level)
        image = _grouped(image, is_colour * (kind - len(MAPS) + 1), _COLOUR_STEPS, *numbers)
    return _grouped(image, pending, (_unchanged, geometry.warp), maps)


def _policy(name: str, strengths: Strengths, operations: int, levels: tuple[int, ...]):
    def augment(raw: dict, target: tf.Tensor, keys: Keys) -> tuple[dict, tf.Tensor]:
        pixels, keys = raw["image"], keys.named(name)
        colour.check_is_colour(name, pixels)
        table = tables(strengths, *pixels.shape[1:3])
        drawn = [
            (
                integers(keys, first + _KIND, len(OPERATIONS)),
                tf.gather(levels, integers(keys, first + _LEVEL, len(levels))),
                integers(keys, first + _SIGN, 2),
            )
            for first in range(0, operations * _DRAWS, _DRAWS)
        ]
        return {**raw, "image": applied(pixels, drawn, table)}, target

    return augment


def _unchanged(image: tf.Tensor, *numbers: tf.Tensor) -> tf.Tensor:
    del numbers
    return image


_COLOUR_STEPS = (
    _unchanged,
    lambda image, factor, kept, threshold: colour.brightness(image, factor),
    lambda image, factor, kept, threshold: colour.saturation(image, factor),
    lambda image, factor, kept, threshold: colour.contrast(image, factor),
    lambda image, factor, kept, threshold: colour.sharpness(image, factor),
    lambda image, factor, kept, threshold: colour.posterize(image, kept),
    lambda image, factor, kept, threshold: colour.solarize(image, threshold),
    lambda image, factor, kept, threshold: colour.autocontrast(image),
    lambda image, factor, kept, threshold: colour.equalize(image),
)


def _grouped(
    image: tf.Tensor, kind: tf.Tensor, steps: Sequence[Callable], *numbers: tf.Tensor
) -> tf.Tensor:
    """Each image after the step of its kind: `steps[kind](images, *their numbers)`."""
    order = tf.argsort(kind, stable=True)
    image, *numbers = (tf.gather(tensor, order) for tensor in (image, *numbers))
    starts = tf.searchsorted(tf.gather(kind, order), tf.range(len(steps) + 1))
    groups = [
        step(*(tensor[starts[i] : starts[i + 1]] for tensor in (image, *numbers)))
        for i, step in enumerate(steps)
    ]
    return tf.gather(tf.concat(groups, axis=0), tf.math.invert_permutation(order))
