"""Pictures of several kinds, and Pillow's view of them."""

import numpy as np
import tensorflow as tf
from PIL import Image

from pipelines.core.keys import Keys


def pictures(num: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    """Noise, noise of few values, soft, of one colour, and mostly white: (num, H, W, C) uint8."""
    random, shape = np.random.default_rng(0), (height, width, channels)
    made = [
        lambda: random.integers(0, 256, shape),
        lambda: random.integers(60, 190, shape),
        lambda: np.clip(random.normal(128, 30, shape), 0, 255),
        lambda: np.full(shape, random.integers(0, 256)),
        lambda: random.choice([0, 255, 17], shape, p=[0.1, 0.3, 0.6]),
    ]
    return np.array([made[i % 5]() for i in range(num)]).astype(np.uint8)


def pillow(picture: np.ndarray) -> Image.Image:
    return Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)


def array(picture: Image.Image) -> np.ndarray:
    """(H, W, C) uint8."""
    pixels = np.asarray(picture)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def each(function, x: np.ndarray, *numbers) -> np.ndarray:
    """A function of Pillow's for each picture with its numbers."""
    rows = zip(x, *numbers, strict=True)
    return np.stack([array(function(pillow(picture), *row)) for picture, *row in rows])


def graph(function, x: np.ndarray, *numbers) -> np.ndarray:
    """A step as a graph, as a data set runs it."""
    return tf.function(function, autograph=False)(tf.constant(x), *numbers).numpy()


def keys_of(index, epoch: int = 2) -> Keys:
    return Keys(
        tf.constant(1, tf.int64), tf.constant(epoch, tf.int64), tf.constant(index, tf.int64)
    )


def augmented(augment, x: np.ndarray) -> np.ndarray:
    """The images after an augmentation in epoch 2; row i is example 100 + i."""
    [found] = _augmented(augment, x, [(range(len(x)), 2)])
    return found


def assert_does_not_depend_on_the_batch(augment, x: np.ndarray) -> None:
    """Rows backwards, one alone and a part give the same images as all rows in order.

    And a data set the same as operations one by one.
    """
    order = range(len(x))
    batches = [(order, 2), (order[::-1], 2), ([4], 2), ([7, 2, 5], 2), (order, 3)]
    whole, backwards, one, part, later = _augmented(augment, x, batches)
    assert (whole != x).any()
    raw = {"image": tf.constant(x)}
    alone, _ = augment(raw, tf.zeros(len(x), tf.int64), keys_of(np.arange(len(x)) + 100))
    np.testing.assert_array_equal(alone["image"], whole)
    np.testing.assert_array_equal(backwards[::-1], whole)
    np.testing.assert_array_equal(one, whole[[4]])
    np.testing.assert_array_equal(part, whole[[7, 2, 5]])
    assert (later != whole).any()


def _augmented(augment, x: np.ndarray, batches) -> list[np.ndarray]:
    """Mapped over a data set of batches (rows, epoch), by one graph."""

    @tf.autograph.experimental.do_not_convert
    def step(row, epoch):
        keys = Keys(tf.constant(1, tf.int64), epoch, row + 100)
        raw = {"image": tf.gather(tf.constant(x), row)}
        return augment(raw, tf.zeros_like(row), keys)[0]["image"]

    signature = tf.TensorSpec((None,), tf.int64), tf.TensorSpec((), tf.int64)
    data = tf.data.Dataset.from_generator(lambda: batches, output_signature=signature)
    return list(data.map(step).as_numpy_iterator())
