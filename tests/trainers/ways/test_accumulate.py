"""Accumulated gradients are those of the undivided batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import tiny_settings
from tests.small_models import compiled_model, run_steps, state_of
from trainers.config.settings import resolve
from trainers.devices import strategy
from trainers.errors import UsageError
from trainers.training import fit
from trainers.training import run as running
from trainers.training.gradients import dense
from trainers.ways import accumulate, registry

ROWS = 16


def batch_of(seed: int) -> tuple:
    random = np.random.default_rng(seed)
    tokens = random.integers(0, 20, (ROWS, 5)).astype(np.int32)
    y = random.integers(0, 3, ROWS)
    return tokens, y, random.uniform(0.5, 1.5, ROWS).astype(np.float32)


def model_of(steps: int, replicas: int = 1, **changes):
    keras.utils.set_random_seed(0)
    with strategy.choose(replicas).scope():
        inputs = keras.Input((None,), dtype="int32")
        x = keras.layers.Embedding(20, 8, name="embedding")(inputs)
        x = keras.layers.Dense(8, activation="tanh", name="dense")(keras.ops.mean(x, axis=1))
        penalty = keras.regularizers.L2(0.1)
        logits = keras.layers.Dense(3, kernel_regularizer=penalty, name="logits")(x)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        ways = (accumulate.way(steps=steps),) if steps else ()
        return compiled_model(inputs, logits, loss, batch_size=ROWS, ways=ways, **changes)


@pytest.mark.parametrize(
    ("steps", "replicas", "changes"),
    [
        (4, 1, {}),
        (16, 1, {"clip_norm": 0.01}),
        (2, 2, {"clip_norm": 0.01}),
        (4, 1, {"keep_rows": True}),
        (4, 2, {"momentum": 0.9, "ema": 0.9}),
    ],
    ids=str,
)
def test_updates_are_those_of_the_undivided_batch(steps, replicas, changes):
    """To rounding: sums of sixteen numbers in another order, over five steps of plain SGD."""
    states, metrics = [], []
    for model in (model_of(0, **changes), model_of(steps, replicas, **changes)):
        run_steps(model, [batch_of(seed) for seed in range(5)], replicas if states else 1)
        states.append(state_of(model))
        metrics.append(float(model.get_metrics_result()["loss"]))
    for path, array in states[0].items():
        np.testing.assert_allclose(states[1][path], array, rtol=5e-6, atol=5e-7, err_msg=path)
    assert metrics[1] == pytest.approx(metrics[0], rel=1e-5)


def test_each_slice_is_taken_once_and_in_order():
    seen = []

    def inner(batch):
        seen.append(batch["x"].numpy().tolist())
        return [tf.reduce_sum(batch["x"])], {"double": 2 * batch["x"]}

    way = accumulate.way(steps=3)
    gradients, outputs = way.gradients(None, inner, {"x": tf.range(6.0)})
    assert seen == [[0, 1], [2, 3], [4, 5]]
    assert [float(dense(gradient)) for gradient in gradients] == [15.0]
    assert outputs["double"].numpy().tolist() == [0, 2, 4, 6, 8, 10]


@pytest.mark.parametrize(
    "changes", [{"batch_size": 18}, {"batch_size": 20, "replicas": 2}], ids=str
)
def test_batch_size_that_does_not_divide_is_refused(changes, tmp_path):
    options = {"way": ("accumulate",), "way_options": {"accumulate.steps": 4}}
    with pytest.raises(UsageError, match=r"does not divide over .* 4 parts"):
        resolve("mlp_binary", {"workdir": str(tmp_path), **options, **changes})
    with pytest.raises(UsageError, match="batch_size=18 does not divide over 1 replicas, in 4"):
        strategy.check_batch_size(18, strategy.choose(1), 4)


def test_options_are_read_without_an_import():
    listing = registry.describe("accumulate")
    assert listing.options == {"steps": 4}
    assert listing.summary.startswith("Accumulates the gradients of a batch")
    assert registry.batch_divisor(("accumulate",), {}) == 4
    assert registry.batch_divisor(("accumulate",), {"accumulate.steps": 8}) == 8
    assert registry.batch_divisor((), {}) == 1


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_run_with_accumulation_counts_updates(tmp_path, monkeypatch):
    options = {"way": ("accumulate",), "way_options": {"accumulate.steps": 2}}
    seen = []
    original = fit.fit

    def kept(model, *args):
        progress = original(model, *args)
        seen.append((int(model.optimizer.iterations.numpy()), len(model.ways)))
        return progress

    monkeypatch.setattr(fit, "fit", kept)
    running.run(tiny_settings("mlp_binary", tmp_path, **options))
    assert seen[0] == (2 * (70 // 16), 1)
