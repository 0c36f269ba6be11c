"""Losses, metrics and outputs by value, against NumPy and scikit-learn."""

import keras
import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf

from trainers.config.settings import METRICS
from trainers.tasks.registry import TASKS, reported_loss

LOGITS = np.array([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0], [1.0, 4.0, 0.0], [0.0, 0.0, 0.0]], np.float32)
TARGET = np.array([0, 1, 1, 2])


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_metric_names_are_those_that_settings_knows():
    assert set(METRICS) == set(TASKS)
    for name, task in TASKS.items():
        names = ["loss", *(metric.name for metric in task.metrics(10))]
        assert tuple(names) == METRICS[name]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_classification_loss_is_cross_entropy(smoothing):
    one_hot = np.eye(3)[TARGET] * (1 - smoothing) + smoothing / 3
    by_hand = -(one_hot * np.log(softmax(LOGITS))).sum(-1)
    loss = TASKS["classification"].loss(smoothing)
    assert float(loss(TARGET, LOGITS)) == pytest.approx(by_hand.mean(), rel=1e-6)
    weight = np.array([1.0, 0.0, 2.0, 1.0], np.float32)
    # The sum over the batch's size, not over the sum of the weights.
    expected = (by_hand * weight).sum() / 4
    assert float(loss(TARGET, LOGITS, weight)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_binary_loss_is_cross_entropy(smoothing):
    logits, target = np.array([[3.0], [-1.0], [0.5]], np.float32), np.array([1, 1, 0])
    probability, truth = 1 / (1 + np.exp(-logits[:, 0])), target * (1 - smoothing) + smoothing / 2
    by_hand = -(truth * np.log(probability) + (1 - truth) * np.log(1 - probability))
    loss = TASKS["binary"].loss(smoothing)
    assert float(loss(target, logits)) == pytest.approx(by_hand.mean(), rel=1e-5)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_the_reported_loss_leaves_padding_out(task):
    width = {"binary": 1, "regression": 1}.get(task, 3)
    random = np.random.default_rng(0)
    logits = random.normal(size=(6, width)).astype(np.float32)
    target = {
        "regression": random.normal(size=6).astype(np.float32),
        "multi_label": random.integers(0, 2, (6, width)).astype(np.float32),
    }.get(task, random.integers(0, max(2, width), 6))
    metric = reported_loss(TASKS[task])
    metric.update_state(target, logits, sample_weight=np.array([1, 1, 1, 1, 0, 0], np.float32))
    assert metric.name == "loss"
    real = float(TASKS[task].loss(0.0)(target[:4], logits[:4]))
    assert float(metric.result()) == pytest.approx(real, rel=1e-6)


def test_fit_and_evaluate_report_our_loss_and_not_keras_s():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="logits")])
    task = TASKS["classification"]
    model.compile("sgd", task.loss(0.0), weighted_metrics=[reported_loss(task), *task.metrics(3)])
    x, y = (
        np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32),
        np.array([0, 1, 2, 0, 1, 2]),
    )
    weight = np.array([1, 1, 1, 1, 0, 0], np.float32)
    data = tf.data.Dataset.from_tensors((x, y, weight))
    found = model.evaluate(data, verbose=0, return_dict=True)
    real = float(task.loss(0.0)(y[:4], model(x[:4])))
    assert found["loss"] == pytest.approx(real, rel=1e-6)
    assert found["accuracy"] == pytest.approx((model(x[:4]).numpy().argmax(-1) == y[:4]).mean())


def test_binary_metrics_are_scikit_learn_s():
    random = np.random.default_rng(1)
    target = random.integers(0, 2, 400)
    logits = (random.normal(size=(400, 1)) + target[:, None] - 0.3).astype(np.float32)
    found = {}
    for metric in TASKS["binary"].metrics(1):
        metric.update_state(target, logits)
        found[metric.name] = float(metric.result())
    said = logits[:, 0] > 0
    assert found["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(target, said))
    assert found["precision"] == pytest.approx(sklearn.metrics.precision_score(target, said))
    assert found["recall"] == pytest.approx(sklearn.metrics.recall_score(target, said))
    # Keras sums over 200 thresholds.
    assert found["auc"] == pytest.approx(sklearn.metrics.roc_auc_score(target, logits), abs=5e-3)


def test_top_5_accuracy_counts_the_five_largest():
    metric = TASKS["classification"].metrics(8)[1]
    logits = np.arange(8, dtype=np.float32)[None]
    for target, expected in ((7, 1.0), (3, 1.0), (2, 0.0)):
        metric.reset_state()
        metric.update_state(np.array([target]), logits)
        assert float(metric.result()) == expected


def test_classification_outputs():
    outputs = TASKS["classification"].outputs(tf.constant(LOGITS), ("cat", "dog", "ship"))
    np.testing.assert_allclose(outputs["probabilities"], softmax(LOGITS), rtol=1e-5)
    assert outputs["class"].numpy().tolist()[:3] == [0, 2, 1]
    assert outputs["class_name"].numpy().tolist()[:3] == [b"cat", b"ship", b"dog"]


def test_binary_outputs():
    outputs = TASKS["binary"].outputs(tf.constant([[2.0], [-2.0]]), ("no", "yes"))
    np.testing.assert_allclose(outputs["probability"], [0.880797, 0.119203], rtol=1e-5)
    assert outputs["class"].numpy().tolist() == [1, 0]
    assert outputs["class_name"].numpy().tolist() == [b"yes", b"no"]


def measured(task: str, target, logits, weight=None) -> dict[str, float]:
    metrics = TASKS[task].metrics(logits.shape[-1])
    for metric in metrics:
        metric.update_state(target, logits, sample_weight=weight)
    return {metric.name: float(metric.result()) for metric in metrics}


@pytest.mark.parametrize("weight", [None, np.array([1] * 6 + [0] * 3, np.float32)])
def test_multi_label_metrics_are_scikit_learn_s(weight):
    random = np.random.default_rng(1)
    logits = random.normal(size=(9, 4)).astype(np.float32)
    target = random.integers(0, 2, (9, 4)).astype(np.float32)
    target[0] = logits[0] > 0  # one example is right in every label
    found, real = measured("multi_label", target, logits, weight), slice(9 if weight is None else 6)
    right = target[real], logits[real] > 0
    assert found["accuracy"] == pytest.approx((right[0] == right[1]).mean())
    assert found["exact_match"] == pytest.approx(sklearn.metrics.accuracy_score(*right))
    assert found["f1"] == pytest.approx(sklearn.metrics.f1_score(*right, average="macro"))
    probability = 1 / (1 + np.exp(-logits))
    by_hand = -np.where(target, np.log(probability), np.log(1 - probability)).mean()
    assert float(TASKS["multi_label"].loss(0.0)(target, logits)) == pytest.approx(by_hand, rel=1e-5)
    outputs = TASKS["multi_label"].outputs(tf.constant(logits), tuple("abcd"))
    np.testing.assert_allclose(outputs["probabilities"], probability, rtol=1e-5)
    np.testing.assert_array_equal(outputs["labels"], logits > 0)


@pytest.mark.parametrize("weight", [None, np.array([1] * 5 + [0] * 2, np.float32)])
def test_regression_metrics_are_scikit_learn_s(weight):
    random = np.random.default_rng(2)
    target = random.normal(1000, 10, 7).astype(np.float32)
    value = (target + random.normal(0, 3, 7)).astype(np.float32)
    found, real = (
        measured("regression", target, value[:, None], weight),
        slice(7 - 2 * (weight is not None)),
    )
    pair = target[real], value[real]
    squared = sklearn.metrics.mean_squared_error(*pair)
    assert found["mean_absolute_error"] == pytest.approx(sklearn.metrics.mean_absolute_error(*pair))
    assert found["root_mean_squared_error"] == pytest.approx(squared**0.5, rel=1e-5)
    assert found["r2"] == pytest.approx(sklearn.metrics.r2_score(*pair), rel=1e-4)
    loss = TASKS["regression"].loss(0.0)(target, value[:, None])
    assert float(loss) == pytest.approx(sklearn.metrics.mean_squared_error(target, value), rel=1e-5)
    np.testing.assert_array_equal(TASKS["regression"].outputs(value[:, None], ())["value"], value)


def test_binary_f1_is_scikit_learn_s():
    logits = np.array([[2.0], [-1.0], [0.5], [-0.2], [3.0]], np.float32)
    target = np.array([1, 1, 0, 0, 1])
    expected = sklearn.metrics.f1_score(target, logits[:, 0] > 0)
    assert measured("binary", target, logits)["f1"] == pytest.approx(expected)
