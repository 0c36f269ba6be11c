"""The step: its loss and its clipping by hand, and what it refuses to apply."""

import keras
import numpy as np
import pytest

from tests.small_models import compiled_model, run_steps, state_of
from trainers.devices.strategy import choose

ROWS = 8


def batch_of(seed: int = 0, bad: float | None = None) -> tuple:
    random = np.random.default_rng(seed)
    x = random.normal(size=(ROWS, 3)).astype(np.float32)
    if bad is not None:
        x[5, 1] = bad
    return x, random.normal(size=(ROWS, 2)).astype(np.float32), np.ones(ROWS, np.float32)


def normalised_model(replicas: int = 1, policy: str = "float32", **changes):
    """Batch normalisation between two dense layers."""
    with choose(replicas).scope():
        keras.config.set_dtype_policy(policy)
        inputs = keras.Input((3,))
        x = keras.layers.Dense(4, name="first")(inputs)
        synchronized = replicas > 1
        x = keras.layers.BatchNormalization(synchronized=synchronized, name="norm")(x)
        outputs = keras.layers.Dense(2, dtype="float32", name="second")(x)
        loss = keras.losses.MeanSquaredError()
        return compiled_model(inputs, outputs, loss, policy=policy, **changes)


def linear_model(**changes):
    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(2, name="dense")(inputs)
    return compiled_model(inputs, outputs, keras.losses.MeanSquaredError(), **changes)


def gradient_by_hand(model, batch) -> dict[str, np.ndarray]:
    """Of the mean over rows of the weighted mean squared error of a linear model."""
    x, y, weight = batch
    kernel, bias = (variable.numpy() for variable in model.trainable_variables)
    error = (x @ kernel + bias - y) * weight[:, None] / ROWS  # 2 / two outputs = 1
    return {"dense/kernel": x.T @ error, "dense/bias": error.sum(0)}


@pytest.mark.parametrize("clip_norm", [0.0, 0.01, 1e6])
def test_step_is_the_clipped_gradient_by_hand(clip_norm):
    model, batch = linear_model(clip_norm=clip_norm), batch_of()
    batch[2][3:] = 0.5
    before, gradient = state_of(model), gradient_by_hand(model, batch)
    norm = np.sqrt(sum((part**2).sum() for part in gradient.values()))
    factor = min(1.0, clip_norm / norm) if clip_norm else 1.0
    run_steps(model, [batch])
    after = state_of(model)
    for path, part in gradient.items():
        expected = before[path] - 0.1 * factor * part
        np.testing.assert_allclose(after[path], expected, rtol=1e-5, atol=1e-6)
    assert model.last_gradients() == (pytest.approx(norm, rel=1e-5), None, None)


def test_sum_is_so_many_times_the_mean():
    moved = {}
    for reduction, rate in (("mean", 0.1), ("sum", 0.1 / ROWS)):
        keras.utils.set_random_seed(0)
        model = linear_model(reduction=reduction, learning_rate=rate)
        run_steps(model, [batch_of()])
        moved[reduction] = state_of(model)["dense/kernel"]
    np.testing.assert_allclose(moved["mean"], moved["sum"], rtol=1e-5)


def test_penalty_is_part_of_the_loss_once():
    inputs = keras.Input((3,))
    penalty = keras.regularizers.L2(0.5)
    outputs = keras.layers.Dense(2, kernel_regularizer=penalty, name="dense")(inputs)
    model = compiled_model(inputs, outputs, keras.losses.MeanSquaredError())
    before, gradient = state_of(model), gradient_by_hand(model, batch_of())["dense/kernel"]
    run_steps(model, [batch_of()])
    expected = before["dense/kernel"] - 0.1 * (gradient + 2 * 0.5 * before["dense/kernel"])
    np.testing.assert_allclose(state_of(model)["dense/kernel"], expected, rtol=1e-5, atol=1e-6)


def test_token_weighs_the_same_in_short_and_long_batches():
    """Sequences of at most 10 positions: cutting away positions of weight 0 changes nothing."""
    kernels = []
    for width in (4, 10):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((None,), dtype="int32")
        x = keras.layers.Embedding(7, 3, name="embedding")(inputs)
        logits = keras.layers.Dense(7, name="logits")(x)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model = compiled_model(inputs, logits, loss, elements=10)
        tokens = np.zeros((ROWS, 10), np.int32)
        tokens[:, :4] = np.random.default_rng(0).integers(1, 7, (ROWS, 4))
        tokens, weight = tokens[:, :width], (tokens[:, :width] > 0).astype(np.float32)
        run_steps(model, [(tokens, tokens, weight)])
        kernels.append(state_of(model)["logits/kernel"])
    np.testing.assert_allclose(kernels[0], kernels[1], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("bad", "replicas"), [(np.nan, 1), (np.inf, 1), (np.inf, 2)])
def test_step_that_is_not_finite_leaves_no_trace(bad, replicas):
    """Weights, averages of batch normalisation, momenta, averages of weights and the count."""
    model = normalised_model(replicas, optimizer="adam", ema=0.9)
    run_steps(model, [batch_of(0), batch_of(1)], replicas)
    before = state_of(model)
    run_steps(model, [batch_of(2, bad), batch_of(3)], replicas)
    after = state_of(model)
    assert all(before[path].tobytes() == after[path].tobytes() for path in before)
    found = model.last_gradients()
    assert (found.bad_step, found.bad_path) == (3, "first/kernel")
    model.forget_bad_step()
    run_steps(model, [batch_of(3)], replicas)
    assert (state_of(model)["first/kernel"] != after["first/kernel"]).any()
    assert model.last_gradients().bad_step is None


@pytest.mark.parametrize("replicas", [1, 2])
def test_overflow_under_float16_halves_the_scale_and_is_skipped(replicas):
    model = normalised_model(replicas, "mixed_float16", optimizer="adam")
    run_steps(model, [batch_of(0)], replicas)
    before, scale = state_of(model), model.optimizer.dynamic_scale.numpy()
    run_steps(model, [batch_of(1, 1e30)], replicas)
    after = state_of(model)
    scaled = ("dynamic_scale", "step_counter")
    for path, array in before.items():
        if not path.endswith(scaled):
            assert array.tobytes() == after[path].tobytes(), path
    assert model.optimizer.dynamic_scale.numpy() == scale / 2
    assert model.last_gradients().bad_step is None
    run_steps(model, [batch_of(2)], replicas)
    assert (state_of(model)["first/kernel"] != after["first/kernel"]).any()


@pytest.mark.parametrize("replicas", [1, 2])
def test_overflow_under_float16_is_refused_at_a_scale_of_one(replicas):
    model = normalised_model(replicas, "mixed_float16")
    model.optimizer.dynamic_scale.assign(1.0)
    before = state_of(model)
    run_steps(model, [batch_of(1, 1e30), batch_of(2)], replicas)
    after = state_of(model)
    assert all(before[path].tobytes() == after[path].tobytes() for path in before)
    assert model.last_gradients().bad_step == 1


def test_scale_under_float16_is_doubled_after_its_steps_and_clipping_is_of_true_gradients():
    keras.utils.set_random_seed(0)
    plain = normalised_model(clip_norm=0.01)
    keras.utils.set_random_seed(0)
    scaled = normalised_model(policy="mixed_float16", clip_norm=0.01)
    scaled.optimizer.dynamic_growth_steps = 2
    scaled.optimizer.dynamic_scale.assign(256.0)
    for model in (plain, scaled):
        run_steps(model, [batch_of(0), batch_of(1), batch_of(2)])
    assert scaled.optimizer.dynamic_scale.numpy() == 512.0
    one, two = state_of(plain), state_of(scaled)
    np.testing.assert_allclose(two["second/kernel"], one["second/kernel"], atol=1e-4)
    assert scaled.last_gradients().norm == pytest.approx(plain.last_gradients().norm, rel=0.02)


def test_loss_of_the_last_call_stands_beside_the_running_mean():
    model = linear_model(learning_rate=1e-12)
    batches = [batch_of(seed) for seed in range(4)]
    losses = [float(np.mean((model(x).numpy() - y) ** 2)) for x, y, _ in batches]
    run_steps(model, batches[:2])
    run_steps(model, batches[2:])
    assert float(model.execution_loss.numpy()) == pytest.approx(np.mean(losses[2:]), rel=1e-5)
    assert float(model.get_metrics_result()["loss"]) == pytest.approx(np.mean(losses), rel=1e-5)
