"""Sampling in closed form, and the signature `generate`."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines.core.keys import uniform
from pipelines.steps import image
from tests.conftest import fake_pipeline, made_pipeline
from trainers.errors import UsageError
from trainers.serving import generate


@pytest.mark.parametrize("steps", [1, 3, 20])
def test_heun_ends_at_the_only_image_of_the_data(steps):
    """Its velocity at (x, t) is (x - x0) / t, whatever the number of steps."""
    only = np.random.default_rng(0).uniform(-1, 1, (1, 3, 3, 1)).astype(np.float32)
    noise = tf.random.stateless_normal((4, 3, 3, 1), (1, 2))

    def velocity(x, time):
        assert time.shape == (4,)
        return (x - only) / time[:, None, None, None]

    found = tf.function(lambda x: generate.heun(velocity, x, steps))(noise)
    np.testing.assert_allclose(found, np.broadcast_to(only, found.shape), atol=1e-5)


def test_heun_makes_normal_data_of_noise():
    """Of x0 ~ N(0, s^2) the exact way ends at s times the noise."""
    s, noise = 0.5, tf.random.stateless_normal((5, 2), (3, 4))

    def velocity(x, time):
        t = time[:, None]
        return (t - (1 - t) * s**2) / ((1 - t) ** 2 * s**2 + t**2) * x

    off = [
        np.abs(generate.heun(velocity, noise, steps) - s * noise).max() for steps in (20, 40, 400)
    ]
    assert off[2] < 5e-5
    assert off[0] / off[1] == pytest.approx(4, rel=0.2)  # an error of second order


def test_guidance_goes_away_from_no_class():
    asked = []

    def velocity(x, time, label):
        asked.append(label.numpy().tolist())
        return x + time + tf.cast(label, tf.float32)

    x, time, label = tf.constant([1.0, 1.0]), tf.constant([0.5, 0.5]), tf.constant([2, 3])
    plain = generate.guided(velocity, label, 1.0)(x, time)
    np.testing.assert_allclose(plain, [3.5, 4.5])
    assert asked == [[2, 3]]
    np.testing.assert_allclose(generate.guided(velocity, label, 3.0)(x, time), [7.5, 10.5])
    assert asked[1:] == [[2, 3], [0, 0]]


def test_pixels_are_the_inverse_of_scaling():
    pixels = tf.reshape(tf.range(256), [1, 16, 16, 1])
    scaled = image.scale({"image": pixels})["image"]
    np.testing.assert_array_equal(generate.as_pixels(scaled), pixels)
    np.testing.assert_array_equal(generate.as_pixels(tf.constant([-1.5, 3.0])), [0, 255])


def signature():
    """Images whose pixels are the seed's random number, brighter by class."""

    def make(keys, label):
        level = 0.5 * uniform(keys, 0) - 1.0 + tf.cast(label, tf.float32)
        return tf.ones([1, 2, 2, 1]) * level[:, None, None, None]

    return generate.signature(make, ("dark", "light"))


def test_an_image_depends_on_its_seed_and_class_alone():
    function = tf.function(signature().function, autograph=False)
    seeds, labels = tf.constant([4, 9, 4, -3], tf.int64), tf.constant([0, 1, 0, 1], tf.int64)
    together = function(seeds, labels)
    assert together["image"].dtype == tf.uint8
    assert together["image"].shape == (4, 2, 2, 1)
    assert together["class_name"].numpy().tolist() == [b"dark", b"light", b"dark", b"light"]
    np.testing.assert_array_equal(together["image"][0], together["image"][2])
    assert (together["image"][0] != together["image"][1]).numpy().all()
    for i in range(4):
        alone = function(seeds[i : i + 1], labels[i : i + 1])
        np.testing.assert_array_equal(alone["image"][0], together["image"][i])


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_that_is_no_class_is_refused(label):
    function = tf.function(signature().function, autograph=False)
    with pytest.raises(tf.errors.InvalidArgumentError, match="not a class from 0 to 1"):
        function(tf.constant([1, 1], tf.int64), tf.constant([0, label], tf.int64))


def test_images_are_taken_without_augmentation_and_other_data_is_refused():
    declared = fake_pipeline("cifar10").pipeline
    assert declared.augment is not None
    pipeline, schema = generate.over_images(
        "adversarial", declared, declared.schema, no_class=True, example=None
    )
    assert pipeline.augment is None
    assert schema.task == "adversarial"
    assert pipeline.forms["image"].fields({})["label"].ids == 11
    assert generate.image_shape(declared, schema, {}) == (32, 32, 3)
    made = made_pipeline("classification")
    with pytest.raises(UsageError, match=r"takes images of one class each; made has .* pair"):
        generate.over_images("adversarial", made.pipeline, made.schema, no_class=True)
