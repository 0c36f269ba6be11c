"""Noise from keys, and images on the way to it."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from pipelines.core.keys import Keys, bits_numpy
from pipelines.steps import noise


def keys(index, epoch=0, seed: int = 3) -> Keys:
    seed, epoch, index = (tf.constant(value, tf.int64) for value in (seed, epoch, index))
    return Keys(seed, epoch, index)


def test_a_normal_number_is_a_quantile_of_sixteen_bits_of_a_hash():
    found = noise.normal(keys([5, 9]), 6).numpy()
    hashes = np.stack([bits_numpy(3, 0, draw, np.array([5, 9])) for draw in range(2)], axis=1)
    levels = hashes.view(np.uint16)[:, :6].astype(np.float64)  # four of each hash
    expected = scipy.special.ndtri((levels + 0.5) / 65536)
    np.testing.assert_allclose(found, expected, rtol=1e-4)  # scaled to variance 1


def test_normal_numbers_are_normal_and_independent_of_the_batch():
    found = noise.normal(keys(range(300)), 784)
    assert scipy.stats.kstest(found.numpy().ravel(), "norm").pvalue > 0.001
    assert np.var(found) == pytest.approx(1, abs=0.01)
    assert abs(np.corrcoef(found[:, 0], found[:, 1])[0, 1]) < 0.2
    np.testing.assert_array_equal(noise.normal(keys([7]), 784)[0], found[7])
    mapped = tf.function(lambda index: noise.normal(keys(0)._replace(index=index), 784))
    np.testing.assert_array_equal(mapped(tf.range(3, dtype=tf.int64)), found[:3])
    assert (noise.normal(keys([7], epoch=1), 784) != found[7:8]).numpy().mean() > 0.99


@pytest.mark.parametrize("what", ["rows", "epochs"])
def test_times_have_evenly_spread_quantiles(what):
    number = 1000
    one, many = np.full(number, 6), np.arange(number)
    times = noise.noise_level(keys(many, one) if what == "rows" else keys(one, many)).numpy()
    quantiles = scipy.stats.norm.cdf(scipy.special.logit(times.astype(np.float64)))
    counts, _ = np.histogram(quantiles, 20, (0, 1))
    assert counts.min() >= 46  # independent ones: 37 on average
    assert counts.max() <= 54
    assert 0 < times.min() < times.max() < 1


def test_another_seed_has_other_times():
    one, other = (noise.noise_level(keys(range(5), seed=seed)).numpy() for seed in (0, 1))
    assert (one != other).all()


def examples(images, target, *, class_dropout: float = 0.25, epoch: int = 0):
    example = noise.flow_matching(class_dropout)({}, {})
    return example(
        {"image": tf.constant(images)},
        tf.constant(target, tf.int64),
        keys(range(len(images)), epoch),
    )


def test_images_lie_on_the_straight_way_to_noise():
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, (400, 4, 4, 1)).astype(np.float32)
    target = random.integers(0, 10, 400)
    x, y, weight = examples(images, target)
    t = x["time"].numpy()[:, None, None, None]
    np.testing.assert_allclose(x["image"] - t * y, images, atol=2e-6)
    drawn = noise.normal_like(tf.constant(images), keys(range(400)).named("noise"))
    np.testing.assert_allclose(x["image"] + (1 - t) * y, drawn, atol=2e-6)
    label = x["label"].numpy()
    assert ((label == 0) | (label == target + 1)).all()
    assert (label == 0).mean() == pytest.approx(0.25, abs=0.07)
    assert x["time"].dtype == tf.float32
    np.testing.assert_array_equal(weight, np.ones(400, np.float32))
    later, _, _ = examples(images, target, epoch=1)
    assert (later["image"] != x["image"]).numpy().mean() > 0.99
    assert (later["label"].numpy() != label).any()
    always, _, _ = examples(images, target, class_dropout=0.0)
    np.testing.assert_array_equal(always["label"], target + 1)


def test_normal_data_has_the_loss_of_the_best_linear_answer():
    """Of x0 ~ N(0, s^2): E[v | x] = a(t) x, and what is left is s^2 / ((1 - t)^2 s^2 + t^2)."""
    s, random = 0.5, np.random.default_rng(1)
    images = (s * random.normal(size=(2000, 8, 8, 1))).astype(np.float32)
    x, y, _ = examples(images, np.zeros(2000))
    t = x["time"].numpy().astype(np.float64)[:, None, None, None]
    variance = (1 - t) ** 2 * s**2 + t**2
    best = (t - (1 - t) * s**2) / variance * x["image"]
    floor = np.mean(s**2 / variance)
    assert np.mean((y - best) ** 2) == pytest.approx(floor, rel=0.02)
    assert np.mean((y - 0.9 * best) ** 2) > 1.005 * floor
    assert np.mean((y - 1.1 * best) ** 2) > 1.005 * floor


def test_latents_and_noise_stand_beside_images_as_they_are():
    images = np.random.default_rng(0).uniform(-1, 1, (3, 4, 5, 2)).astype(np.float32)
    example = noise.with_latents(6)({}, {})
    x, y, weight = example({"image": tf.constant(images)}, tf.constant([2, 0, 1]), keys(range(3)))
    np.testing.assert_array_equal(x["image"], images)
    np.testing.assert_array_equal(x["label"], [2, 0, 1])
    np.testing.assert_array_equal(y, x["label"])
    assert x["latent"].shape == (3, 6)
    assert x["noise"].shape == images.shape
    assert (x["noise"].numpy()[:, 0, 0, 0] != x["latent"].numpy()[:, 0]).all()
    assert weight.shape == (3,)
