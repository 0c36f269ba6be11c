"""Mixes two rows after `preprocess`: both their inputs and their targets."""

import numpy as np
import scipy.special
import tensorflow as tf

from pipelines.core.keys import Keys, integers
from pipelines.core.pipeline import Mix, Tensors
from pipelines.steps import boxes

_WEIGHT, _DOWN, _RIGHT = range(3)  # draws of `keys`
_NUM_WEIGHTS = 4096  # distinct weights of the first row


def beta_quantiles(alpha: float) -> np.ndarray:
    """The medians of 4096 equally likely intervals of Beta(alpha, alpha): (4096,) float32.

    Rounded to multiples of 1/65536, so that other machines and versions of SciPy give the same.
    """
    levels = (np.arange(_NUM_WEIGHTS) + 0.5) / _NUM_WEIGHTS
    quantiles = scipy.special.betaincinv(alpha, alpha, levels)
    return (np.round(quantiles * 2**16) / 2**16).astype(np.float32)


def mixup(alpha: float) -> Mix:
    """Weighted means of two rows' inputs and targets, with a weight from Beta(alpha, alpha).

    Zhang et al. 2017, arXiv 1710.09412, but with a separate weight for each row.
    """
    table = beta_quantiles(alpha)

    def mix(
        inputs: Tensors,
        target: tf.Tensor,
        other_inputs: Tensors,
        other_target: tf.Tensor,
        keys: Keys,
    ) -> tuple[Tensors, tf.Tensor]:
        weight = tf.gather(table, integers(keys, _WEIGHT, _NUM_WEIGHTS))
        mixed = {
            name: _between(value, other_inputs[name], weight) for name, value in inputs.items()
        }
        return mixed, _between(target, other_target, weight)

    return mix


def cutmix(alpha: float) -> Mix:
    """Pastes a box of the other row's image into the row's; targets are weighted by visible area.

    The box has the image's aspect ratio and the fraction 1 - Beta(alpha, alpha) of its area, is
    centred on a random pixel and clipped at the edges (Yun et al. 2019, arXiv 1905.04899, appendix
    A).
    """
    fraction_of_side = np.sqrt(1.0 - beta_quantiles(alpha).astype(np.float64))

    def mix(
        inputs: Tensors,
        target: tf.Tensor,
        other_inputs: Tensors,
        other_target: tf.Tensor,
        keys: Keys,
    ) -> tuple[Tensors, tf.Tensor]:
        height, width = _image_size(inputs)
        index = integers(keys, _WEIGHT, _NUM_WEIGHTS)
        down, right = integers(keys, _DOWN, height), integers(keys, _RIGHT, width)
        edges = []
        for middle, side in ((down, height), (right, width)):
            half = tf.gather((fraction_of_side * side / 2).astype(np.int32), index)
            first = tf.maximum(middle - half, 0)
            edges.append((first, tf.minimum(middle + half, side) - first))
        (top, high), (left, wide) = edges
        box = tf.stack([top, left, high, wide], axis=1)
        mixed = {
            name: tf.where(boxes.inside(box, value), other_inputs[name], value)
            if _is_image(value)
            else value
            for name, value in inputs.items()
        }
        covered = tf.cast(high * wide, tf.float32) * (1.0 / (height * width))
        return mixed, _between(target, other_target, 1.0 - covered)

    return mix


def _between(first: tf.Tensor, second: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """The weighted mean: `weight` (B,) of `first` and the rest of `second`."""
    weight = tf.reshape(weight, [-1] + [1] * (len(first.shape) - 1))
    return weight * first + (1.0 - weight) * second


def _is_image(value: tf.Tensor) -> bool:
    return len(value.shape) == 4


def _image_size(inputs: Tensors) -> tuple[int, int]:
    """Height and width of the images. ValueError: there are none, or they differ."""
    sizes = {tuple(value.shape[1:3]) for value in inputs.values() if _is_image(value)}
    if len(sizes) != 1:
        raise ValueError(f"cutmix takes images of one size, received sizes {sorted(sizes)}")
    return sizes.pop()
