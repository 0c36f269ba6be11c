"""Steps for images: batches (B, H, W, C) of uint8 or uint16 to the same, or to float32.

Augmentations draw per example from `keys`. Shifts copy whole lines of pixels, which is three times
as fast as gathering pixels: a vertical shift is a gather of lines, a horizontal shift is one slice
for all images that have it.
"""

import numpy as np
import tensorflow as tf

from pipelines.core.keys import Keys, integers
from pipelines.core.pipeline import Rows
from pipelines.core.rows import chunks

_CROP, _FLIP, _ANGLE, _ZOOM, _DOWN, _RIGHT, _CUT = range(7)  # draws of `keys`
_STEPS = 256  # distinct angles, zooms and shifts
_GREY = 128  # value of a cut-out; `scale` turns it into 0.004


def scale(raw: dict[str, tf.Tensor], largest: int = 255) -> dict[str, tf.Tensor]:
    """`image` from 0..`largest` to -1..1, float32."""
    # Multiplied, not divided: graph optimisation may replace a division by multiplication with the
    # reciprocal, so that the last bit would differ between graphs.
    return {"image": tf.cast(raw["image"], tf.float32) * (2.0 / largest) - 1.0}


def largest_value(rows: Rows) -> dict[str, np.ndarray]:
    """The state of 16-bit images: the largest value of the 8, 10, 12 or 16 bits that they use.

    Cameras and scanners store 10 or 12 bits in 16: scaled by 65535 they would be black. 8-bit
    images have no such state.
    """
    if rows.fields["image"].dtype != "uint16":
        return {}
    largest = max((int(part["image"].max()) for part in chunks(rows)), default=0)
    return {"largest": np.array(next(2**b - 1 for b in (8, 10, 12, 16) if largest < 2**b))}


def resize(image: tf.Tensor, size: int) -> tf.Tensor:
    """Images of any size to (size, size, C) of their dtype, bilinear with anti-aliasing.

    Rounded to whole numbers, so that images resized before they are stored equal images resized
    inside the exported model.
    """
    if image.shape[-3:-1] == (size, size):
        return image
    resized = tf.image.resize(image, (size, size), antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0.0, image.dtype.max), image.dtype)


def crop_and_flip(padding: int, *, flip: bool = True, alternating: bool = False):
    """An augmentation: shift by up to `padding` pixels (reflected edges), mirror half the images.

    The standard augmentation of CIFAR-10 (He et al. 2015, section 4.2).

    Args:
        alternating: mirror each example in every other epoch, beginning at random with the first
            or second (Jordan 2024, arXiv 2404.00498, section 3.6).
    """

    def augment(raw: dict, target: tf.Tensor, keys: Keys) -> tuple[dict, tf.Tensor]:
        offset = integers(keys, _CROP, (2 * padding + 1) ** 2)
        mirrored = tf.zeros_like(offset)
        if alternating:
            first = integers(keys._replace(epoch=tf.zeros_like(keys.epoch)), _FLIP, 2)
            mirrored = tf.bitwise.bitwise_xor(first, tf.cast(keys.epoch % 2, tf.int32))
        elif flip:
            mirrored = integers(keys, _FLIP, 2)
        return {**raw, "image": _shift_and_mirror(raw["image"], offset, mirrored, padding)}, target

    return augment


def cut_out(side: int):
    """An augmentation: a grey square of `side` pixels, centred anywhere in the image.

    Parts of it may lie outside the image (DeVries & Taylor 2017, arXiv 1708.04552, section 3.1).
    """

    def augment(raw: dict, target: tf.Tensor, keys: Keys) -> tuple[dict, tf.Tensor]:
        height, width = raw["image"].shape[1:3]
        middle = integers(keys, _CUT, height * width)
        return {**raw, "image": _fill(raw["image"], middle // width, middle % width, side)}, target

    return augment


def in_turn(*augmentations):
    """The augmentation that applies several in order."""

    def augment(raw: dict, target: tf.Tensor, keys: Keys) -> tuple[dict, tf.Tensor]:
        for step in augmentations:
            raw, target = step(raw, target, keys)
        return raw, target

    return augment


def mirrored(raw: dict[str, tf.Tensor]) -> list[tuple[float, dict[str, tf.Tensor]]]:
    """Two views for test-time augmentation: each image and its mirror image have weight 1/2."""
    return [(1 / 2, raw), (1 / 2, {**raw, "image": tf.reverse(raw["image"], axis=[2])})]


def mirrored_and_shifted(raw: dict[str, tf.Tensor]) -> list[tuple[float, dict[str, tf.Tensor]]]:
    """Six weighted views for test-time augmentation (Jordan 2024, arXiv 2404.00498, section 3.5).

    Each image and its mirror image have weight 1/4; the two shifts of each by a pixel, up left and
    down right with repeated edges, have weight 1/8.
    """
    image = raw["image"]
    views = []
    for unshifted in (image, tf.reverse(image, axis=[2])):
        padded = tf.pad(unshifted, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="SYMMETRIC")
        shifted = [padded[:, :-2, :-2], padded[:, 2:, 2:]]
        views += [(1 / 4, unshifted), *((1 / 8, view) for view in shifted)]
    return [(weight, {**raw, "image": view}) for weight, view in views]


def affine(*, degrees: float, zoom: float, shift: float):
    """An augmentation: rotate, zoom and shift by uniform draws; bilinear, black outside the image.

    57 000 images of 28x28 per second on one core.

    Args:
        degrees: largest rotation about the centre, in either direction.
        zoom: 0.1 enlarges or reduces by a factor of up to 1.1.
        shift: largest vertical and horizontal shift in pixels; may be fractional.
    """
    # Looked up in tables: a vectorised cosine and a scalar one may differ in their last bit, which
    # would make an image depend on its position in the batch.
    draws = np.linspace(-1.0, 1.0, _STEPS)
    angle = np.deg2rad(degrees * draws)
    tables = {"cos": np.cos(angle), "sin": np.sin(angle), "size": (1.0 + zoom) ** -draws}
    tables = {k: v.astype(np.float32) for k, v in (tables | {"shift": shift * draws}).items()}

    def augment(raw: dict, target: tf.Tensor, keys: Keys) -> tuple[dict, tf.Tensor]:
        def draw(number: int, *names: str):
            index = integers(keys, number, _STEPS)
            return [tf.gather(tables[name], index) for name in names]

        (cos, sin), (size,) = draw(_ANGLE, "cos", "sin"), draw(_ZOOM, "size")
        (down,), (right,) = draw(_DOWN, "shift"), draw(_RIGHT, "shift")
        return {**raw, "image": _warp(raw["image"], cos * size, sin * size, down, right)}, target

    return augment


def _warp(
    image: tf.Tensor, cos: tf.Tensor, sin: tf.Tensor, down: tf.Tensor, right: tf.Tensor
) -> tf.Tensor:
    """Each image rotated and scaled about its centre, then shifted."""
    height, width = image.shape[1:3]
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    x, y, zero = middle_x + right, middle_y + down, tf.zeros_like(cos)
    first = (cos, sin, middle_x - cos * x - sin * y)
    second = (-sin, cos, middle_y + sin * x - cos * y)
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(image, tf.float32),  # uint8 would truncate: half a grey level on average
        transforms=tf.stack([*first, *second, zero, zero], axis=1),  # (B, 8)
        output_shape=(height, width),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return tf.cast(tf.round(warped), tf.uint8)


def _shift_and_mirror(
    image: tf.Tensor, offset: tf.Tensor, mirrored: tf.Tensor, padding: int
) -> tf.Tensor:
    height, width, channels = image.shape[1:]
    shifts = 2 * padding + 1  # in each direction
    top, left = offset // shifts, offset % shifts
    # Sorted by (mirrored, left), so that each group of images is one slice. Cutting at `left` and
    # then mirroring equals mirroring and then cutting at the same distance from the other edge.
    group = tf.where(mirrored > 0, 2 * shifts - 1 - left, left)
    order = tf.argsort(group, stable=True)
    starts = height * tf.searchsorted(tf.gather(group, order), tf.range(2 * shifts + 1))

    line = tf.abs(tf.gather(top, order)[:, None] + tf.range(-padding, height - padding))
    line = height - 1 - tf.abs(height - 1 - line)  # reflected at both edges
    lines = tf.gather(_lines(image), tf.reshape(height * order[:, None] + line, [-1]))
    before = _mirror(lines[:, channels : (1 + padding) * channels], channels)
    after = _mirror(lines[:, (width - 1 - padding) * channels : -channels], channels)
    padded = tf.concat([before, lines, after], axis=1)  # (B * H, (W + 2 * padding) * C)
    mirror = _mirror(padded[starts[shifts] :], channels)

    groups = []
    for part, bounds in (padded, starts[: shifts + 1]), (mirror, starts[shifts:] - starts[shifts]):
        for shift in range(shifts):
            columns = slice(shift * channels, (shift + width) * channels)
            groups.append(part[bounds[shift] : bounds[shift + 1], columns])
    image = tf.reshape(tf.concat(groups, axis=0), [-1, height, width, channels])
    return tf.gather(image, tf.math.invert_permutation(order))  # (B, H, W, C)


def _fill(image: tf.Tensor, down: tf.Tensor, right: tf.Tensor, side: int) -> tf.Tensor:
    """Grey squares of `side` pixels centred at (`down`, `right`)."""
    height, width, channels = image.shape[1:]
    columns = np.arange(width)
    inner = columns - columns[:, None] + side // 2  # column within the square: (centre, column)
    keep = np.where((inner < 0) | (inner >= side), 255, 0).astype(np.uint8)
    keep = np.repeat(keep, channels, axis=1)  # (centre, W * C)

    # Only the lines that a square crosses are filled; they then replace the old ones.
    lines, num_images = _lines(image), tf.shape(image)[0]
    first = height * tf.range(num_images)[:, None]
    line = tf.range(side) - side // 2 + down[:, None]
    crossed = tf.gather(lines, tf.reshape(first + tf.clip_by_value(line, 0, height - 1), [-1]))
    crossed = tf.bitwise.bitwise_and(crossed, tf.gather(keep, tf.repeat(right, side)))
    crossed = tf.bitwise.bitwise_or(crossed, tf.gather(~keep & _GREY, tf.repeat(right, side)))

    inner = tf.range(height) - down[:, None] + side // 2  # line within the square: (B, H)
    new = height * num_images + side * tf.range(num_images)[:, None] + inner
    source = tf.where((inner < 0) | (inner >= side), first + tf.range(height), new)
    image = tf.gather(tf.concat([lines, crossed], axis=0), source)  # (B, H, W * C)
    return tf.reshape(image, [-1, height, width, channels])


def _lines(image: tf.Tensor) -> tf.Tensor:
    """(B, H, W, C) as (B * H, W * C): slices of two dimensions copy whole runs of bytes."""
    _, height, width, channels = image.shape
    return tf.reshape(image, [height * tf.shape(image)[0], width * channels])


def _mirror(lines: tf.Tensor, channels: int) -> tf.Tensor:
    """Lines (n, W * C) mirrored. `tf.reverse` is 4 times as fast with three dimensions as four."""
    pixels = tf.reshape(lines, [tf.shape(lines)[0], lines.shape[1] // channels, channels])
    return tf.reshape(tf.reverse(pixels, axis=[1]), tf.shape(lines))
