"""Classification: loss, metrics, outputs and answers by value, against NumPy and scikit-learn."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import made_pipeline
from trainers.errors import UsageError
from trainers.evaluation.metrics import measures
from trainers.tasks import classification
from trainers.tasks.classification import TASK

LOGITS = np.array([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0], [1.0, 4.0, 0.0], [0.0, 0.0, 0.0]], np.float32)
TARGET = np.array([0, 1, 1, 2])


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_is_cross_entropy(smoothing):
    one_hot = np.eye(3)[TARGET] * (1 - smoothing) + smoothing / 3
    by_hand = -(one_hot * np.log(softmax(LOGITS))).sum(-1)
    loss = TASK.loss(made_pipeline("classification"), smoothing)
    np.testing.assert_allclose(loss(TARGET, LOGITS), by_hand, rtol=1e-5)  # one an example
    weight = np.array([1.0, 0.0, 2.0, 1.0], np.float32)
    np.testing.assert_allclose(loss(TARGET, LOGITS, weight), by_hand * weight, rtol=1e-5)


def test_top_5_accuracy_counts_the_five_largest():
    prepared = made_pipeline("classification", names=tuple("abcdefgh"))
    metric = TASK.metrics(prepared)[1]
    logits = np.arange(8, dtype=np.float32)[None]
    for target, expected in ((7, 1.0), (3, 1.0), (2, 0.0)):
        metric.reset_state()
        metric.update_state(np.array([target]), logits)
        assert float(metric.result()) == expected
        found = TASK.statistics({"logits": logits}, np.array([target])).columns
        assert found[0, 2] == expected


def test_top_5_accuracy_is_left_out_of_five_classes():
    names = [m.name for m in TASK.metrics(made_pipeline("classification", names=tuple("abcde")))]
    assert names == ["accuracy"]


def test_outputs():
    outputs = classification.outputs(tf.constant(LOGITS), ("cat", "dog", "ship"))
    np.testing.assert_allclose(outputs["probabilities"], softmax(LOGITS), rtol=1e-5)
    assert outputs["class"].numpy().tolist()[:3] == [0, 2, 1]
    assert outputs["class_name"].numpy().tolist()[:3] == [b"cat", b"ship", b"dog"]


def test_captions_name_the_answered_and_the_true_class():
    prepared = made_pipeline("classification")  # red, green, blue
    captions = TASK.captions(prepared, LOGITS, TARGET)
    assert captions[:2] == [("red", "red"), ("blue", "green")]


def test_the_constant_is_the_training_fractions():
    # One is added to each count: 3/6, 2/6, 1/6.
    constant = TASK.constant(made_pipeline("classification"), np.array([0, 0, 1]))
    np.testing.assert_allclose(np.exp(constant.outputs["logits"]), [[3 / 6, 2 / 6, 1 / 6]], 1e-6)
    assert constant.meaning.startswith("always predicts 'red'")


def test_two_classes_can_be_classified_with_two_outputs():
    prepared = made_pipeline("binary")
    _, schema = TASK.over(prepared.pipeline, prepared.schema)
    assert (schema.task, schema.outputs) == ("classification", 2)


def shares_of_classes(names: tuple[str, ...] = ("red", "green", "blue")):
    return made_pipeline("classification", names=names).replace(
        mix=lambda inputs, target, other, other_target, keys: (inputs, target)
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_of_a_mixture_mixes_smoothed_targets(smoothing):
    """Smoothed first, then mixed: 0.7 of a class and 0.3 of the next."""
    smoothed = np.eye(3) * (1 - smoothing) + smoothing / 3
    expected = 0.7 * smoothed[TARGET] + 0.3 * smoothed[(TARGET + 1) % 3]
    y = (0.7 * np.eye(3)[TARGET] + 0.3 * np.eye(3)[(TARGET + 1) % 3]).astype(np.float32)
    loss = TASK.loss(shares_of_classes(), smoothing)
    by_hand = -(expected * np.log(softmax(LOGITS))).sum(-1)
    np.testing.assert_allclose(loss(y, LOGITS), by_hand, rtol=1e-5)
    weight = np.array([1.0, 0.0, 2.0, 1.0], np.float32)
    np.testing.assert_allclose(loss(y, LOGITS, weight), by_hand * weight, rtol=1e-5)


def test_loss_and_metrics_of_whole_shares_are_those_of_classes():
    names = tuple("abcdefgh")
    logits = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    target = np.arange(50) % 8
    whole, classes = shares_of_classes(names), made_pipeline("classification", names=names)
    for smoothing in (0.0, 0.1):
        one, other = (TASK.loss(p, smoothing) for p in (whole, classes))
        y = np.eye(8, dtype=np.float32)[target]
        np.testing.assert_allclose(one(y, logits), other(target, logits), rtol=1e-6)
    for one, other in zip(TASK.metrics(whole), TASK.metrics(classes), strict=True):
        one.update_state(y, logits)
        other.update_state(target, logits)
        assert one.name == other.name
        assert float(one.result()) == float(other.result())


def test_accuracy_of_a_mixture_is_that_of_its_larger_share():
    metric = TASK.metrics(shares_of_classes())[0]
    y = np.array([[0.6, 0.4, 0.0], [0.0, 0.4, 0.6], [0.4, 0.0, 0.6], [0.2, 0.0, 0.8]], np.float32)
    metric.update_state(y, LOGITS)  # which answer 0, 2, 1, 0
    assert float(metric.result()) == 0.5


@pytest.mark.parametrize("task", ["multi_label", "regression"])
def test_a_target_without_classes_is_refused(task):
    prepared = made_pipeline(task)
    with pytest.raises(UsageError, match=f"one of two or more classes; made has task {task}"):
        TASK.over(prepared.pipeline, prepared.schema)


def test_fit_and_evaluate_report_our_loss_and_not_keras_s():
    """Keras's own `loss` counts the examples of weight 0 that fill up the last batch."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="logits")])
    prepared = made_pipeline("classification")
    loss = TASK.loss(prepared, 0.0)
    model.compile("sgd", loss, weighted_metrics=measures(TASK, prepared))
    x = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    y, weight = np.array([0, 1, 2, 0, 1, 2]), np.array([1, 1, 1, 1, 0, 0], np.float32)
    found = model.evaluate(
        tf.data.Dataset.from_tensors((x, y, weight)), verbose=0, return_dict=True
    )
    assert found["loss"] == pytest.approx(np.mean(loss(y[:4], model(x[:4]))), rel=1e-6)
    assert found["accuracy"] == pytest.approx((model(x[:4]).numpy().argmax(-1) == y[:4]).mean())
