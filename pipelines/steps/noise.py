"""Normal noise from keys, and images between data and noise (rectified flow).

A normal number is looked up in a table of quantiles by 16 bits of a hash: it is the same to the
last bit on every device, for every batch size and in every process, unlike a computed logarithm.
"""

import functools
import math
from collections.abc import Callable, Mapping

import numpy as np
import scipy.special
import tensorflow as tf

from pipelines.core.keys import Keys, bits, uniform
from pipelines.core.pipeline import Example, Part, Tensors
from zoo.spec import Field

_LEVELS = 2**16
_PER_HASH = 4  # numbers of 16 bits in one hash
# Steps of a sequence that fills the unit square evenly (Roberts 2018): powers of 1 / 1.3247, where
# 1.3247 is the root of x^3 = x + 1.
_BY_ROW, _BY_EPOCH = 0.7548776662466927, 0.5698402909980532


def normal(keys: Keys, number: int) -> tf.Tensor:
    """Independent standard normal numbers of each example: (B, number) float32.

    They are quantiles at 65 536 equally likely levels, scaled to variance 1; the largest is 4.32.
    """
    hashes = bits(keys.per_position(), tf.range(-(-number // _PER_HASH))[None])  # (B, n)
    levels = tf.cast(tf.bitcast(hashes, tf.uint16), tf.int32)  # (B, n, 4)
    levels = tf.reshape(levels, [-1, hashes.shape[1] * _PER_HASH])[:, :number]
    return tf.gather(tf.constant(_quantiles()), levels)


def normal_like(images: tf.Tensor, keys: Keys) -> tf.Tensor:
    """The same in the shape of a batch of images: (B, H, W, C)."""
    shape = images.shape[1:]
    return tf.reshape(normal(keys, math.prod(shape)), [-1, *shape])


def noise_level(keys: Keys) -> tf.Tensor:
    """Time of each example in (0, 1), the sigmoid of a normal number: (B,) float32.

    Its quantiles are evenly spread over the rows of an epoch, and over the epochs of a row: fewer
    of them carry as much information as more independent ones.
    """
    seed = tf.bitwise.right_shift(bits(Keys(keys.seed, 0, 0), 0), tf.constant(11, tf.uint64))
    start = tf.cast(seed, tf.float64) / 2.0**53
    index, epoch = tf.cast(keys.index, tf.float64), tf.cast(keys.epoch, tf.float64)
    quantile = start + index * _BY_ROW + epoch * _BY_EPOCH
    level = tf.cast((quantile - tf.floor(quantile)) * _LEVELS, tf.int32)
    return tf.gather(tf.constant(_levels()), tf.minimum(level, _LEVELS - 1))


def flow_matching(class_dropout: float) -> Callable[[Mapping[str, Field], Part], Example]:
    """A pipeline's `make_example`: images mixed with noise, and their velocity as target.

    For an image x0 and noise e, both of this row and epoch, x is `image` = (1 - t) x0 + t e, `time`
    = t (B,) and `label` (B,) int32: the class counted from 1, or 0 in a fraction `class_dropout` of
    the examples. y is e - x0, the velocity along the straight path (Liu et al. 2022, "Flow straight
    and fast"); t is drawn as in Esser et al. 2024 (arXiv 2403.03206, section 3.1).
    """

    def make_example(fields: Mapping[str, Field], part: Part) -> Example:
        del fields, part

        def example(inputs: Tensors, target: tf.Tensor, keys: Keys) -> tuple:
            image = inputs["image"]
            noise = normal_like(image, keys.named("noise"))
            time = noise_level(keys.named("time"))
            t = time[:, None, None, None]
            known = uniform(keys.named("class"), 0) >= class_dropout
            label = tf.where(known, 1 + tf.cast(target, tf.int32), 0)
            x = {"image": (1.0 - t) * image + t * noise, "time": time, "label": label}
            return x, noise - image, tf.ones_like(time)

        return example

    return make_example


def with_latents(latent: int) -> Callable[[Mapping[str, Field], Part], Example]:
    """A pipeline's `make_example`: images, and the random inputs of a generator.

    x is `image`, `label` (B,) int32, `latent` (B, latent), normal numbers, and `noise`, normal
    numbers in the shape of the image. y is the label.
    """

    def make_example(fields: Mapping[str, Field], part: Part) -> Example:
        del fields, part

        def example(inputs: Tensors, target: tf.Tensor, keys: Keys) -> tuple:
            image, label = inputs["image"], tf.cast(target, tf.int32)
            drawn = {
                "latent": normal(keys.named("latent"), latent),
                "noise": normal_like(image, keys.named("noise")),
            }
            x = {"image": image, "label": label, **drawn}
            return x, label, tf.ones_like(keys.index, tf.float32)

        return example

    return make_example


@functools.cache
def _quantiles() -> np.ndarray:
    """(65536,) float32."""
    values = scipy.special.ndtri((np.arange(_LEVELS) + 0.5) / _LEVELS)
    return (values / np.sqrt(np.mean(values**2))).astype(np.float32)


@functools.cache
def _levels() -> np.ndarray:
    """The sigmoid of each quantile: (65536,) float32."""
    return scipy.special.expit(_quantiles().astype(np.float64)).astype(np.float32)
