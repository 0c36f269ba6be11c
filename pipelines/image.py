"""Steps for images: batches (B, H, W, C) of uint8 in, the same or numbers out.

Augmentations draw per example from `keys`. Each sorts the batch by its draw, treats the rows of
equal draw together with one slice or reversal, and puts the rows back: a gather of pixels per
example is fifty times slower on a CPU.
"""

import tensorflow as tf

from pipelines.keys import Keys, integers

_CROP, _FLIP = 0, 1  # numbers of the draws of one example


def scale(raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """`image` from 0..255 to -1..1, float32."""
    # Multiplied, not divided: graph optimisation may turn a division into a multiplication by the
    # reciprocal, and then the same image would differ in its last bit from one graph to another.
    return {"image": tf.cast(raw["image"], tf.float32) * (1.0 / 127.5) - 1.0}


def resize(image: tf.Tensor, size: int) -> tf.Tensor:
    """Images of any size to (size, size, C), bilinear with anti-aliasing, uint8 again.

    Rounded to uint8 so that an image resized before it is stored and the same image resized inside
    the exported model are the same numbers.
    """
    if image.shape[-3:-1] == (size, size):
        return image
    resized = tf.image.resize(image, (size, size), antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)


def crop_and_flip(padding: int, *, flip: bool = True):
    """An augmentation: shift by up to `padding` pixels each way (mirrored edge), mirror half.

    The standard augmentation of CIFAR-10 (He et al. 2015, section 4.2).
    """

    def augment(raw: dict, target: tf.Tensor, keys: Keys) -> tuple[dict, tf.Tensor]:
        image = raw["image"]
        if padding:
            image = _shift(image, integers(keys, _CROP, (2 * padding + 1) ** 2), padding)
        if flip:
            image = _mirror(image, integers(keys, _FLIP, 2))
        return {**raw, "image": image}, target

    return augment


def _shift(image: tf.Tensor, offset: tf.Tensor, padding: int) -> tf.Tensor:
    height, width = image.shape[1:3]
    places = 2 * padding + 1
    order = tf.argsort(offset, stable=True)
    starts = tf.searchsorted(tf.gather(offset, order), tf.range(places**2 + 1))
    padded = tf.gather(image, order)
    for axis in (1, 2):
        padded = _pad_mirrored(padded, padding, axis)  # (B, H + 2p, W + 2p, C) in the end
    groups = []
    for place in range(places**2):
        top, left = divmod(place, places)
        rows = slice(starts[place], starts[place + 1])
        groups.append(padded[rows, top : top + height, left : left + width])
    return tf.gather(tf.concat(groups, axis=0), tf.argsort(order))  # (B, H, W, C)


def _pad_mirrored(image: tf.Tensor, padding: int, axis: int) -> tf.Tensor:
    """`tf.pad(mode="REFLECT")` from slices: that kernel takes ten times as long on uint8."""
    size = image.shape[axis]

    def line(place: int) -> tf.Tensor:
        return tf.gather(image, [place], axis=axis)

    before = [line(place) for place in range(padding, 0, -1)]
    after = [line(place) for place in range(size - 2, size - 2 - padding, -1)]
    return tf.concat([*before, image, *after], axis=axis)


def _mirror(image: tf.Tensor, mirrored: tf.Tensor) -> tf.Tensor:
    order = tf.argsort(mirrored, stable=True)
    num_kept = tf.reduce_sum(1 - mirrored)
    image = tf.gather(image, order)
    image = tf.concat([image[:num_kept], tf.reverse(image[num_kept:], axis=[2])], axis=0)
    return tf.gather(image, tf.argsort(order))  # (B, H, W, C)
