"""Steps for images: batches (B, H, W, C) of uint8 in, the same or numbers out.

Augmentations draw per example from `keys`. Those that move whole pixels sort the batch by its draw,
treat the rows of equal draw together with one slice or reversal, and put the rows back: a gather of
pixels per example is fifty times slower on a CPU.
"""

import numpy as np
import tensorflow as tf

from pipelines.keys import Keys, integers

# Numbers of the draws of one example.
_CROP, _FLIP, _ANGLE, _ZOOM, _DOWN, _RIGHT = range(6)
_STEPS = 256  # different angles, zooms and shifts


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


def affine(*, degrees: float, zoom: float, shift: float):
    """An augmentation: rotate, zoom and shift, each drawn uniformly; bilinear, black from outside.

    57 000 images of 28x28 a second on one core.

    Args:
        degrees: of rotation about the middle, at most, either way.
        zoom: 0.1 enlarges or reduces by a factor of up to 1.1.
        shift: pixels down or up, and right or left, at most; fractions too.
    """
    # Drawn from tables: a vectorised cosine and a scalar one may differ in their last bit, and then
    # an image would depend on its place in the batch.
    draws = np.linspace(-1.0, 1.0, _STEPS)
    angle = np.deg2rad(degrees * draws)
    tables = {"cos": np.cos(angle), "sin": np.sin(angle), "size": (1.0 + zoom) ** -draws}
    tables = {k: v.astype(np.float32) for k, v in (tables | {"shift": shift * draws}).items()}

    def augment(raw: dict, target: tf.Tensor, keys: Keys) -> tuple[dict, tf.Tensor]:
        def draw(number: int, *names: str):
            place = integers(keys, number, _STEPS)
            return [tf.gather(tables[name], place) for name in names]

        (cos, sin), (size,) = draw(_ANGLE, "cos", "sin"), draw(_ZOOM, "size")
        (down,), (right,) = draw(_DOWN, "shift"), draw(_RIGHT, "shift")
        return {**raw, "image": _warp(raw["image"], cos * size, sin * size, down, right)}, target

    return augment


def _warp(
    image: tf.Tensor, cos: tf.Tensor, sin: tf.Tensor, down: tf.Tensor, right: tf.Tensor
) -> tf.Tensor:
    """Looks up, for every pixel, where it came from: turned and scaled about the middle."""
    height, width = image.shape[1:3]
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    x, y, zero = middle_x + right, middle_y + down, tf.zeros_like(cos)
    first = (cos, sin, middle_x - cos * x - sin * y)
    second = (-sin, cos, middle_y + sin * x - cos * y)
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(image, tf.float32),  # as uint8 it would cut fractions off: half a grey level
        transforms=tf.stack([*first, *second, zero, zero], axis=1),  # (B, 8)
        output_shape=(height, width),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return tf.cast(tf.round(warped), tf.uint8)


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
