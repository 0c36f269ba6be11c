"""Models of several members: their loss and their one answer by NumPy, in memory and exported."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import TABLES, made_pipeline, tiny_settings
from tests.small_models import run_steps
from tests.trainers.conftest import served
from trainers.devices.strategy import choose
from trainers.evaluation import records
from trainers.run import train
from trainers.store.finished import finished
from trainers.tasks import registry
from trainers.training import compile as compiling
from trainers.training import data, members

TASKS = ("binary", "classification", "multi_label", "regression")
WIDTH = {"binary": 1, "classification": 3, "multi_label": 3, "regression": 1}


def outputs_of(task: str, rows: int = 5) -> np.ndarray:
    """Outputs of four members."""
    return np.random.default_rng(1).normal(0, 2, (rows, 4, WIDTH[task])).astype(np.float32)


def targets_of(task: str, rows: int = 5) -> np.ndarray:
    random = np.random.default_rng(2)
    if task == "regression":
        return random.normal(size=rows).astype(np.float32)
    if task == "multi_label":
        return random.integers(0, 2, (rows, 3)).astype(np.float32)
    return random.integers(0, max(2, WIDTH[task]), rows)


def probabilities(task: str, logits: np.ndarray) -> np.ndarray:
    """Of the last axis; numbers of a regression as they are."""
    logits = logits.astype(np.float64)
    if task == "regression":
        return logits
    if task == "classification":
        odds = np.exp(logits)
        return odds / odds.sum(axis=-1, keepdims=True)
    return 1 / (1 + np.exp(-logits))


def losses_by_hand(task: str, y: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """One for each row of outputs (B, outputs)."""
    p = probabilities(task, outputs)
    if task == "regression":
        return (y - p[:, 0]) ** 2
    if task == "classification":
        return -np.log(p[np.arange(len(y)), y])
    true = y.reshape(p.shape)
    return -(true * np.log(p) + (1 - true) * np.log(1 - p)).mean(axis=1)


@pytest.mark.parametrize("task", TASKS)
def test_loss_is_the_mean_of_the_members_losses(task):
    y, outputs = targets_of(task), outputs_of(task)
    weight = np.array([1.0, 0.0, 2.0, 1.0, 0.5], np.float32)
    loss = members.loss_of(registry.get(task).loss(made_pipeline(task)))
    each = [losses_by_hand(task, y, outputs[:, i]) for i in range(4)]
    found = loss(tf.constant(y), tf.constant(outputs), tf.constant(weight))
    np.testing.assert_allclose(found, weight * np.mean(each, axis=0), rtol=1e-4)


@pytest.mark.parametrize("task", TASKS)
def test_answer_is_the_mean_probability_of_the_members(task):
    outputs = outputs_of(task)
    answer = keras.ops.convert_to_numpy(registry.get(task).combine(tf.constant(outputs)))
    assert answer.shape == (5, WIDTH[task])
    mean = probabilities(task, outputs).mean(axis=1)
    np.testing.assert_allclose(probabilities(task, answer), mean, rtol=1e-5)


def test_answer_keeps_its_digits_where_members_are_sure():
    binary, several = registry.get("binary"), registry.get("classification")
    sure = tf.constant([[[200.0], [200.0]], [[-200.0], [-200.0]], [[200.0], [-200.0]]])
    np.testing.assert_allclose(binary.combine(sure)[:, 0], [200, -200, 0], atol=1e-4)
    np.testing.assert_allclose(registry.get("multi_label").combine(sure)[:2, 0], [200, -200])
    found = several.combine(tf.constant([[[300.0, 0.0], [0.0, 300.0]], [[300.0, 0.0]] * 2]))
    np.testing.assert_allclose(found, [[-np.log(2)] * 2, [0, -300]], atol=1e-4)


def test_a_model_without_members_is_as_it_is():
    task, x = registry.get("binary"), keras.Input((2,))
    model = keras.Model(x, keras.layers.Dense(1)(x))
    assert members.combined(model, task) is model


def compiled(tmp_path, **hparams):
    """The network for a table of points, with its settings and data."""
    options = {"pipeline": "csv", "pipeline_options": TABLES["binary"]}
    settings = tiny_settings("tabular", tmp_path, **options)
    settings = tiny_settings(
        "tabular", tmp_path, **options, hparams={**settings.hparams, "dropout": 0.0, **hparams}
    )
    prepared = data.load(settings, None)
    return settings, prepared, compiling.compiled(settings, prepared, choose(1), "float32")


def test_training_measures_the_answer_and_minimises_the_members_losses(tmp_path):
    settings, prepared, model = compiled(tmp_path, members=3)
    assert model.output.shape == (None, 3, 1)
    for weight in model.weights:
        weight.assign(np.random.default_rng(len(weight.path)).normal(0, 0.5, weight.shape))
    built = compiling.build(settings, prepared, "float32")
    assert built.output.shape == (None, 1)
    built.set_weights(model.get_weights())
    x, _, _ = prepared.batch_signature
    x = {name: np.random.default_rng(3).random((16, *s.shape[1:])) for name, s in x.items()}
    x = {name: tf.constant(v, tf.float32) for name, v in x.items()}
    y, ones = tf.constant(np.arange(16) % 2), tf.ones(16)
    outputs = model(x).numpy()
    p = probabilities("binary", outputs)
    np.testing.assert_allclose(probabilities("binary", built(x).numpy()), p.mean(axis=1), rtol=1e-5)
    each = [losses_by_hand("binary", y.numpy(), outputs[:, i]) for i in range(3)]
    np.testing.assert_allclose(model.loss_of((x, y, ones), outputs), np.mean(each), rtol=1e-5)
    run_steps(model, [(x, y.numpy(), ones.numpy())])
    by_hand = losses_by_hand("binary", y.numpy(), built(x).numpy()).mean()  # before the step
    assert float(model.metrics[0].result()) == pytest.approx(by_hand, rel=1e-4)


@pytest.mark.usefixtures("_unchecked_export")
def test_export_answers_with_the_mean_of_the_members(tmp_path):
    hparams = {**compiled(tmp_path)[0].hparams, "members": 3}
    changes = {"pipeline": "csv", "pipeline_options": TABLES["multi_label"], "hparams": hparams}
    changes |= {"epochs": 1, "batch_size": 16, "report_baseline": False}
    report = train("tabular", **changes, workdir=str(tmp_path))
    run = finished(tmp_path)
    model = compiling.trainable(run.settings, run.prepared, "float32")
    for weight in model.weights:
        weight.assign(run.weights[weight.path])
    raw = records.fields(run.examples)
    outputs = model(run.prepared.preprocess({k: tf.constant(v) for k, v in raw.items()})).numpy()
    assert outputs.shape[1] == 3
    assert outputs.std(axis=1).max() > 0
    answers = served(tmp_path, raw)
    mean = probabilities("multi_label", outputs).mean(axis=1)
    np.testing.assert_allclose(answers["probabilities"], mean, rtol=1e-5)
    kept = run.predictions["test"]
    loss = losses_by_hand("multi_label", kept["target"], kept["outputs/logits"]).mean()
    assert report["test"]["loss"] == pytest.approx(loss, rel=1e-4)
    assert report["parameters"] == model.count_params()
