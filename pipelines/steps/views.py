"""Two randomly augmented views of each image, as inputs of a task that compares them."""

import tensorflow as tf

from pipelines.core.keys import Keys, uniform
from pipelines.core.pipeline import Augment, Tensors
from pipelines.steps import boxes, colour, image

_NAMES = ("view1", "view2")


def two_views(augment: Augment) -> Augment:
    """An augmentation that doubles the rows: the two views of each, one after the other.

    Each view is `augment` with keys of another name, so that the two share no draw.
    """

    def both(raw: Tensors, target, keys: Keys) -> tuple[Tensors, tf.Tensor]:
        views = [augment(raw, target, keys.named(name))[0] for name in _NAMES]
        return {name: interleaved(*(view[name] for view in views)) for name in raw}, target

    return both


def changes(*, crop: float, jitter: float, grey: float, flip: bool) -> Augment:
    """The augmentation of each view (Chen et al. 2020, appendix B.9, for CIFAR-10).

    16-bit images keep their colours: only those of 8-bit images can be changed.

    Args:
        crop: least fraction of an image's area that is kept and enlarged; 0: all of it.
        jitter: brightness, contrast and saturation change by factors of 1 +- this.
        grey: fraction of images that lose their colour.
        flip: mirrors half of the images.
    """
    steps = [
        boxes.resized_crop(crop) if crop else None,
        image.crop_and_flip(0) if flip else None,
        _of_8_bits(colour.jitter(jitter)) if jitter else None,
        _of_8_bits(greyed(grey)) if grey else None,
    ]
    return image.in_turn(*(step for step in steps if step is not None))


def greyed(fraction: float) -> Augment:
    """An augmentation: a fraction of the images lose their colour."""

    def augment(raw: Tensors, target, keys: Keys) -> tuple[Tensors, tf.Tensor]:
        colour.check_is_colour("grey", raw["image"])
        kept = tf.cast(uniform(keys.named("grey"), 0) >= fraction, tf.float32)
        return {**raw, "image": colour.saturation(raw["image"], kept)}, target

    return augment


def _of_8_bits(augment: Augment) -> Augment:
    def augment_8_bits(raw: Tensors, target, keys: Keys) -> tuple[Tensors, tf.Tensor]:
        eight = raw["image"].dtype == tf.uint8
        return augment(raw, target, keys) if eight else (raw, target)

    return augment_8_bits


def interleaved(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Rows of both in turn: (B, ...) each to (2 B, ...)."""
    return tf.reshape(tf.stack([first, second], axis=1), [-1, *first.shape[1:]])


def row_numbers(inputs: Tensors, target, keys: Keys) -> tuple[Tensors, tf.Tensor, tf.Tensor]:
    """A pipeline's `example`: y is the row's number (B,) int64, -1 where there is no row."""
    del target
    return inputs, keys.index, tf.ones_like(keys.index, tf.float32)
