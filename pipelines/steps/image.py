"""Steps for images: batches (B, H, W, C) of uint8 in, the same or numbers out.

Augmentations draw per example from `keys`. Those that move whole pixels copy lines of pixels, never
single ones, which takes three times as long: shifts up and down are a gather of lines, shifts aside
are one slice for all images that share the shift.
"""

import numpy as np
import tensorflow as tf

from pipelines.core.keys import Keys, integers

# Numbers of the draws of one example.
_CROP, _FLIP, _ANGLE, _ZOOM, _DOWN, _RIGHT, _CUT = range(7)
_STEPS = 256  # different angles, zooms and shifts
_GREY = 128  # of a cut-out: what `scale` makes 0.004


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


def crop_and_flip(padding: int, *, flip: bool = True, alternating: bool = False):
    """An augmentation: shift by up to `padding` pixels each way (mirrored edge), mirror half.

    The standard augmentation of CIFAR-10 (He et al. 2015, section 4.2).

    Args:
        alternating: chance decides once whether an example begins mirrored; then it changes sides
            every epoch, so that two epochs show both (Jordan 2024, arXiv 2404.00498, section 3.6).
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
    """An augmentation: a grey square of `side` pixels anywhere, its middle within the image.

    Parts of it may lie outside (DeVries & Taylor 2017, arXiv 1708.04552, section 3.1).
    """

    def augment(raw: dict, target: tf.Tensor, keys: Keys) -> tuple[dict, tf.Tensor]:
        height, width = raw["image"].shape[1:3]
        middle = integers(keys, _CUT, height * width)
        return {**raw, "image": _fill(raw["image"], middle // width, middle % width, side)}, target

    return augment


def in_turn(*augmentations):
    """One augmentation of several, from left to right."""

    def augment(raw: dict, target: tf.Tensor, keys: Keys) -> tuple[dict, tf.Tensor]:
        for step in augmentations:
            raw, target = step(raw, target, keys)
        return raw, target

    return augment


def mirrored_and_shifted(raw: dict[str, tf.Tensor]) -> list[tuple[float, dict[str, tf.Tensor]]]:
    """Views for test-time augmentation: each image and its mirror image, and both moved a pixel.

    As they are they count a quarter each; moved up left and down right, edges repeated, an eighth
    (Jordan 2024, arXiv 2404.00498, section 3.5).
    """
    image = raw["image"]
    views = []
    for turned in (image, tf.reverse(image, axis=[2])):
        edged = tf.pad(turned, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="SYMMETRIC")
        moved = [edged[:, :-2, :-2], edged[:, 2:, 2:]]
        views += [(1 / 4, turned), *((1 / 8, view) for view in moved)]
    return [(share, {**raw, "image": view}) for share, view in views]


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


def _shift_and_mirror(
    image: tf.Tensor, offset: tf.Tensor, mirrored: tf.Tensor, padding: int
) -> tf.Tensor:
    height, width, channels = image.shape[1:]
    places = 2 * padding + 1  # where an image may be cut from its padded self, each way
    top, left = offset // places, offset % places
    # What is cut at `left` and then turned is turned and then cut as far from the other edge.
    group = tf.where(mirrored > 0, 2 * places - 1 - left, left)
    order = tf.argsort(group, stable=True)
    starts = height * tf.searchsorted(tf.gather(group, order), tf.range(2 * places + 1))

    line = tf.abs(tf.gather(top, order)[:, None] + tf.range(-padding, height - padding))
    line = height - 1 - tf.abs(height - 1 - line)  # what lies beyond an edge is reflected
    lines = tf.gather(_lines(image), tf.reshape(height * order[:, None] + line, [-1]))
    before = _turned(lines[:, channels : (1 + padding) * channels], channels)
    after = _turned(lines[:, (width - 1 - padding) * channels : -channels], channels)
    kept = tf.concat([before, lines, after], axis=1)  # (B * H, (W + 2 * padding) * C)
    turned = _turned(kept[starts[places] :], channels)

    groups = []
    for part, bounds in (kept, starts[: places + 1]), (turned, starts[places:] - starts[places]):
        for place in range(places):
            columns = slice(place * channels, (place + width) * channels)
            groups.append(part[bounds[place] : bounds[place + 1], columns])
    image = tf.reshape(tf.concat(groups, axis=0), [-1, height, width, channels])
    return tf.gather(image, tf.math.invert_permutation(order))  # (B, H, W, C)


def _fill(image: tf.Tensor, down: tf.Tensor, right: tf.Tensor, side: int) -> tf.Tensor:
    """Grey squares of `side` pixels about (`down`, `right`)."""
    height, width, channels = image.shape[1:]
    columns = np.arange(width)
    place = columns - columns[:, None] + side // 2  # within the square; (middle, column)
    keep = np.where((place < 0) | (place >= side), 255, 0).astype(np.uint8)
    keep = np.repeat(keep, channels, axis=1)  # (middle, W * C)

    # Only lines that a square crosses are filled, and then take the places of the old ones.
    lines, num_images = _lines(image), tf.shape(image)[0]
    first = height * tf.range(num_images)[:, None]
    line = tf.range(side) - side // 2 + down[:, None]
    crossed = tf.gather(lines, tf.reshape(first + tf.clip_by_value(line, 0, height - 1), [-1]))
    crossed = tf.bitwise.bitwise_and(crossed, tf.gather(keep, tf.repeat(right, side)))
    crossed = tf.bitwise.bitwise_or(crossed, tf.gather(~keep & _GREY, tf.repeat(right, side)))

    place = tf.range(height) - down[:, None] + side // 2  # (B, H)
    new = height * num_images + side * tf.range(num_images)[:, None] + place
    chosen = tf.where((place < 0) | (place >= side), first + tf.range(height), new)
    image = tf.gather(tf.concat([lines, crossed], axis=0), chosen)  # (B, H, W * C)
    return tf.reshape(image, [-1, height, width, channels])


def _lines(image: tf.Tensor) -> tf.Tensor:
    """(B, H, W, C) as (B * H, W * C): only two dimensions are sliced as whole runs of bytes."""
    _, height, width, channels = image.shape
    return tf.reshape(image, [height * tf.shape(image)[0], width * channels])


def _turned(lines: tf.Tensor, channels: int) -> tf.Tensor:
    """Lines (n, W * C) from right to left. With three dimensions `tf.reverse` is 4 times faster."""
    pixels = tf.reshape(lines, [tf.shape(lines)[0], lines.shape[1] // channels, channels])
    return tf.reshape(tf.reverse(pixels, axis=[1]), tf.shape(lines))
