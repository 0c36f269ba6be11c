"""Speed of image augmentations on one core, compared with Pillow on one image at a time.

    python benchmarks/augment_speed.py [--sizes=32,224]

Images have random pixels; a batch has 512 of 32x32, or as many pixels at another size. Prints
images per second, the median over rounds in which the sides take turns, and how many times faster
than Pillow that is. Operations of RandAugment are at level 15 of 30; Pillow's times do not include
random draws or the conversion to arrays.
"""

import functools
import os
import statistics
import time

from absl import app, flags, logging

from trainers.errors import import_tensorflow

_SIZES = flags.DEFINE_list("sizes", ["32", "224"], "Pixels per side.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Turns per side.", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 0.5, "Seconds per turn; at least one batch.")
_PIXELS = 512 * 32 * 32  # of a batch
_LEVEL = 15
_BLENDS = ("Brightness", "Color", "Contrast", "Sharpness")


def _ours(images) -> dict:
    """Name -> a call that augments the batch and waits for the result."""
    import tensorflow as tf

    from pipelines.core.keys import Keys
    from pipelines.steps import boxes, colour, image, mixing
    from pipelines.steps import random_augment as ra

    num, side = images.shape[0], images.shape[1]
    zero, level = tf.zeros([num], tf.int32), tf.fill([num], _LEVEL)
    keys = Keys(tf.constant(0, tf.int64), tf.constant(0, tf.int64), tf.range(num, dtype=tf.int64))
    table, x = ra.tables(ra.RANDOM, side, side), tf.constant(images)
    scaled, target = image.scale({"image": x}), tf.one_hot(zero, 10)

    def operation(kind: int):
        return lambda: ra.applied(x, [(zero + kind, level, zero)], table)

    def augmentation(augment):
        return lambda: augment({"image": x}, zero, keys)[0]["image"]

    def mixture(mix):
        return lambda: mix(scaled, target, scaled, target, keys)[0]["image"]

    calls = {name: operation(kind) for kind, name in enumerate(ra.OPERATIONS)}
    calls |= {
        "rand_augment": augmentation(ra.rand_augment()),
        "trivial_augment": augmentation(ra.trivial_augment()),
        "shift and mirror": augmentation(image.crop_and_flip(4)),
        "resized_crop": augmentation(boxes.resized_crop(0.3)),
        "jitter": augmentation(colour.jitter(0.2)),
        "erase": augmentation(boxes.erase(0.25)),
        "mixup": mixture(mixing.mixup(0.2)),
        "cutmix": mixture(mixing.cutmix(1.0)),
    }
    return {name: _waiting(function) for name, function in calls.items()}


def _waiting(function):
    """A call of the function as a graph that waits for the result."""
    import tensorflow as tf

    graph = tf.function(function, autograph=False)
    return lambda: graph().numpy()


def _pillows(images) -> dict:
    """Name -> a call that does the same to each image with Pillow."""
    from PIL import Image, ImageOps

    from pipelines.steps import random_augment as ra

    side = images.shape[1]
    table = ra.tables(ra.RANDOM, side, side)
    pictures = [Image.fromarray(pixels) for pixels in images]
    factor = float(table.factors[_LEVEL, 0])
    changes = {
        "Posterize": lambda p: ImageOps.posterize(p, 6),
        "Solarize": lambda p: ImageOps.solarize(p, 128),
        "AutoContrast": ImageOps.autocontrast,
        "Equalize": ImageOps.equalize,
        "jitter": lambda p: functools.reduce(
            lambda q, name: _blended(q, name, factor), ("Brightness", "Contrast", "Color"), p
        ),
    }
    for name in _BLENDS:
        changes[name] = lambda p, name=name: _blended(p, name, factor)
    for kind, name in enumerate(ra.MAPS):
        numbers = table.maps[kind, _LEVEL, 0].tolist()
        changes[name] = lambda p, m=numbers: p.transform(p.size, Image.Transform.AFFINE, m)
    box = (0.1 * side, 0.2 * side, 0.8 * side, 0.9 * side)
    changes["resized_crop"] = lambda p: p.resize(p.size, Image.Resampling.BILINEAR, box)
    return {name: lambda f=function: [f(p) for p in pictures] for name, function in changes.items()}


def _blended(picture, name: str, factor: float):
    from PIL import ImageEnhance

    return getattr(ImageEnhance, name)(picture).enhance(factor)


def _rate(call, num: int) -> float:
    """Images per second."""
    batches, begun = 0, time.perf_counter()
    while not batches or time.perf_counter() - begun < _SECONDS.value:
        call()
        batches += 1
    return batches * num / (time.perf_counter() - begun)


def main(argv: list[str]) -> None:
    if argv[1:]:
        raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
    logging.set_verbosity(logging.ERROR)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # before any thread starts
    import_tensorflow()
    import numpy as np

    print(f"{'operation':18} {'side':>5} {'images/s':>10} {'Pillow':>10}  times faster")
    for side in map(int, _SIZES.value):
        num = max(1, _PIXELS // side**2)
        images = np.random.default_rng(0).integers(0, 256, (num, side, side, 3), np.uint8)
        pillows = _pillows(images)
        for name, call in _ours(images).items():
            call()  # traces
            sides = [call, *([pillows[name]] if name in pillows else [])]
            turns = [[_rate(one, num) for one in sides] for _ in range(_ROUNDS.value)]
            rates = [statistics.median(column) for column in zip(*turns, strict=True)]
            beside = "" if len(rates) == 1 else f" {rates[1]:10,.0f}  {rates[0] / rates[1]:.1f}"
            print(f"{name:18} {side:5} {rates[0]:10,.0f}{beside}", flush=True)


if __name__ == "__main__":
    app.run(main)
