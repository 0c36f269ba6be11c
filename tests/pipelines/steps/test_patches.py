"""Masked patches: which are hidden, and what there is to guess."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines import DataError
from pipelines.core.keys import Keys, bits_numpy
from pipelines.core.stream import stream
from pipelines.steps import patches
from tests.conftest import fake_pipeline
from zoo.spec import Field


def keys(*rows: int, epoch: int = 0) -> Keys:
    return Keys(tf.constant(7, tf.int64), tf.constant(epoch, tf.int64), tf.constant(rows, tf.int64))


def test_patches_are_read_line_by_line():
    image = tf.reshape(tf.range(4 * 6 * 2), [1, 4, 6, 2])
    found = patches.patches(image, 2).numpy()
    assert found.shape == (1, 6, 8)
    assert found[0, 0].tolist() == [0, 1, 2, 3, 12, 13, 14, 15]
    for number in range(6):
        row, column = divmod(number, 3)
        block = image.numpy()[0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        assert found[0, number].tolist() == block.ravel().tolist()
    np.testing.assert_array_equal(patches.joined(found, 2, (4, 6, 2)), image)


def test_hidden_patches_have_the_lowest_draws():
    drawn = keys(3, 8)
    seed = int(drawn.named("mask").seed)
    hidden, visible = patches.draw_positions(drawn, 6, 2)
    for i, row in enumerate((3, 8)):
        draws = [int(bits_numpy(seed, 0, n, np.array([row]))[0]) >> 40 for n in range(6)]
        expected = sorted(range(6), key=lambda n, draws=draws: draws[n])
        assert [*hidden[i].numpy(), *visible[i].numpy()] == expected


def test_masks_are_new_each_epoch_and_the_same_in_validation():
    one, _ = patches.draw_positions(keys(*range(50)), 64, 20)
    again, _ = patches.draw_positions(keys(*range(50)), 64, 20)
    later, _ = patches.draw_positions(keys(*range(50), epoch=1), 64, 20)
    np.testing.assert_array_equal(one, again)
    assert (np.sort(one, axis=1) != np.sort(later, axis=1)).any(axis=1).all()
    # Each patch is hidden about as often as any other.
    counts = np.bincount(np.ravel(one), minlength=64)
    assert 4 < counts.min() <= counts.max() < 30


def test_targets_have_mean_0_and_variance_1_but_flat_ones():
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, 3, 12)).astype(np.float32)
    pixels[1, 1] = 0.25
    found = patches.normalised(tf.constant(pixels)).numpy()
    wide = pixels.astype(np.float64)
    deviation = np.sqrt(wide.var(axis=-1, keepdims=True) + 1e-6)
    expected = (wide - wide.mean(axis=-1, keepdims=True)) / deviation
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert (found[1, 1] == 0).all()
    mean, scale = patches.scale_of(tf.constant(pixels))
    np.testing.assert_allclose(found * scale + mean, pixels, atol=1e-6)


@pytest.mark.parametrize(
    ("patch", "rate", "shape", "masked"),
    [(4, 0, (64, 48), 35), (2, 0, (256, 12), 192), (8, 0.5, (16, 192), 8)],
)
def test_rows_gain_positions_and_targets(patch, rate, shape, masked):
    prepared = fake_pipeline("cifar10").replace(make_example=patches.masked_patches(patch, rate))
    x, y, weight = next(iter(stream(prepared, "test", batch_size=5, training=False, seed=0)))
    number, values = shape
    assert x["masked_positions"].shape == (5, masked)
    both = np.concatenate([x["masked_positions"], x["visible_positions"]], axis=1)
    assert (np.sort(both, axis=1) == np.arange(number)).all()
    every = patches.normalised(patches.patches(x["image"], patch)).numpy()
    for i in range(5):
        np.testing.assert_array_equal(y[i], every[i, x["masked_positions"][i]])
    assert y.shape == (5, masked, values)
    assert weight.shape == (5, masked)
    assert prepared.elements == masked


def test_patches_that_do_not_fit_are_refused():
    fields = {"image": Field((28, 20, 1), "float32")}
    with pytest.raises(DataError, match=r"patches of 8x8 pixels do not fill images of 28x20.*=4"):
        patches.masked_patches(8, 0)(fields, {})
    with pytest.raises(DataError, match=r"mask_rate=0\.01 hides 0 of 35 patches"):
        patches.masked_patches(4, 0.01)(fields, {})
