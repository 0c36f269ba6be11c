"""Images of any aspect ratio as squares: squashed, cropped or padded."""

import tensorflow as tf

from pipelines.core.pipeline import DataError, Form, Part, Preprocess
from pipelines.steps import image

POLICIES = ("squash", "crop", "pad")


def form(size: int, policy: str) -> Form:
    """The input form of photographs of any size: `image`, resized and scaled to -1..1.

    DataError: unknown policy.
    """
    if policy not in POLICIES:
        raise DataError(f"resize={policy}: expected {', '.join(POLICIES)}")

    def scaled(part: Part) -> Preprocess:
        largest = int(part.get("largest", 255))
        return lambda raw: image.scale({"image": square(raw["image"], size, policy)}, largest)

    return Form(fit=image.largest_value, make_preprocess=scaled)


def square(picture: tf.Tensor, size: int, policy: str = "squash") -> tf.Tensor:
    """Images (..., H, W, C) of any size to (..., size, size, C) of their dtype, anti-aliased.

    Rounded to whole numbers, and the same for one image as for a batch: images resized before they
    are stored equal images resized inside the exported model.

    Args:
        policy: `squash` changes the aspect ratio and loses nothing; `crop` keeps the largest square
            in the middle; `pad` keeps the whole image and adds black (0) above and below, or left
            and right.
    """
    if policy == "crop":
        picture = _middle(picture)
    if policy == "pad" and picture.shape[-3:-1] != (size, size):
        return _padded(picture, size)
    return image.resize(picture, size)


def _sides(picture: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Height and width; 64 bits, since they are multiplied."""
    shape = tf.shape(picture, tf.int64)
    return shape[-3], shape[-2]


def _middle(picture: tf.Tensor) -> tf.Tensor:
    height, width = _sides(picture)
    side = tf.minimum(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[..., top : top + side, left : left + side, :]


def _padded(picture: tf.Tensor, size: int) -> tf.Tensor:
    height, width = _sides(picture)
    longest = tf.maximum(height, width)

    def scaled(side: tf.Tensor) -> tf.Tensor:
        return tf.maximum((2 * side * size + longest) // (2 * longest), 1)

    new = tf.stack([scaled(height), scaled(width)])
    resized = tf.image.resize(picture, tf.cast(new, tf.int32), antialias=True)
    resized = tf.clip_by_value(tf.round(resized), 0.0, picture.dtype.max)
    before = (size - new) // 2
    bars = tf.stack([before, size - new - before], axis=1)  # (2, 2)
    others = [tf.zeros((n, 2), tf.int64) for n in (len(picture.shape) - 3, 1)]
    padded = tf.pad(tf.cast(resized, picture.dtype), tf.concat([others[0], bars, others[1]], 0))
    return tf.ensure_shape(padded, [*picture.shape[:-3], size, size, picture.shape[-1]])
