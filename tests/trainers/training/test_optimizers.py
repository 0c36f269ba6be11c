"""Schedules by hand, and decay, factors and clipping for every optimizer."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainers.config.settings import OPTIMIZERS, SCHEDULES
from trainers.errors import UsageError
from trainers.training import optimizers
from zoo.spec import Recipe


def recipe(**changes) -> Recipe:
    return Recipe(pipeline="shapes", **{"learning_rate": 0.1, **changes})


def two_layers() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, activation="tanh", name="first")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, name="second")(hidden))


def after_steps(given: Recipe, steps: int = 3):
    """Weights by path before and after a few steps on fixed data."""
    model = two_layers()
    optimizers.freeze(model.trainable_variables, given.lr_scale)
    optimizer = optimizers.build(given, total_steps=100)
    optimizers.finish(optimizer, model.trainable_variables, given.lr_scale)
    before = {v.path: v.numpy() for v in model.weights}
    x = tf.constant(np.random.default_rng(0).normal(size=(8, 3)), tf.float32)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x) - 1.0))
        variables = model.trainable_variables
        gradients = tape.gradient(loss, [v.value for v in variables])
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return before, {v.path: v.numpy() for v in model.weights}


def test_names_are_those_that_settings_knows():
    assert set(optimizers._CLASSES) == set(OPTIMIZERS)
    assert set(optimizers.SHAPES) == set(SCHEDULES)


@pytest.mark.parametrize(
    ("shape", "values"),
    [
        ("constant", {0: 1, 50: 1, 100: 1}),
        ("linear", {0: 1, 25: 0.75, 100: 0}),
        ("cosine", {0: 1, 50: 0.5, 25: 0.5 + math.sqrt(0.125), 100: 0}),
        ("step", {0: 1, 49: 1, 50: 0.1, 74: 0.1, 75: 0.01, 99: 0.01}),
        ("one_cycle", {0: 0.04, 15: 0.52, 30: 1, 65: 0.5, 100: 0}),
    ],
)
def test_schedules_by_hand(shape, values):
    schedule = optimizers.Schedule(shape, 2.0, 100)
    for step, value in values.items():
        assert float(schedule(step)) == pytest.approx(2 * value, abs=1e-6), step


def test_warm_up_rises_in_a_line_and_the_shape_fills_the_rest():
    schedule = optimizers.Schedule("linear", 1.0, 110, warmup_steps=10)
    assert [float(schedule(i)) for i in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert float(schedule(60)) == pytest.approx(0.5)
    with pytest.raises(UsageError, match="warmup_steps"):
        optimizers.build(recipe(warmup_steps=100), total_steps=100)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_moves_every_weight(name):
    before, after = after_steps(recipe(optimizer=name))
    for path in before:
        assert np.isfinite(after[path]).all()
        assert (before[path] != after[path]).any(), path


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_factor_of_0_freezes_to_the_bit_also_under_decay(name):
    given = recipe(optimizer=name, weight_decay=0.1, lr_scale=(("first", 0.0),))
    before, after = after_steps(given)
    for path in before:
        assert (before[path] == after[path]).all() == path.startswith("first"), path


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_factor_on_all_is_another_learning_rate(name, decay):
    if name == "adafactor":
        pytest.skip("its rate is relative to the weights: covered by the factor of 0")
    _, scaled = after_steps(recipe(optimizer=name, weight_decay=decay, lr_scale=((".", 0.5),)))
    _, halved = after_steps(recipe(optimizer=name, weight_decay=decay, learning_rate=0.05))
    for path in scaled:
        np.testing.assert_allclose(scaled[path], halved[path], rtol=2e-5, atol=2e-6, err_msg=path)


def test_a_factor_scales_the_first_update_of_sgd():
    plain = recipe(optimizer="sgd", momentum=0.0)
    before, one = after_steps(plain, steps=1)
    _, ten = after_steps(
        recipe(optimizer="sgd", momentum=0.0, lr_scale=(("second/kernel", 10.0),)), 1
    )
    moved = {path: (ten[path] - before[path]) / (one[path] - before[path]) for path in before}
    for path, ratio in moved.items():
        np.testing.assert_allclose(ratio, 10 if path == "second/kernel" else 1, rtol=1e-3)


def test_decay_shrinks_kernels_and_leaves_biases():
    _, plain = after_steps(recipe(optimizer="sgd", momentum=0.0), steps=1)
    before, decayed = after_steps(recipe(optimizer="sgd", momentum=0.0, weight_decay=0.5), steps=1)
    for path in before:
        shrink = 0.1 * 0.5 * before[path] if "kernel" in path else 0.0
        np.testing.assert_allclose(decayed[path], plain[path] - shrink, atol=1e-6, err_msg=path)


def test_clipping_bounds_the_norm_of_all_gradients_together():
    before, after = after_steps(recipe(optimizer="sgd", momentum=0.0, clip_norm=0.01), steps=1)
    norm = math.sqrt(sum(((after[p] - before[p]) ** 2).sum() for p in before))
    assert norm == pytest.approx(0.1 * 0.01, rel=1e-4)


def test_a_pattern_that_finds_nothing_is_refused():
    with pytest.raises(UsageError, match="first/kernel"):
        optimizers.freeze(two_layers().trainable_variables, (("third", 0.0),))
