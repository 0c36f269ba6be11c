"""Several labels: loss, metrics, outputs and answers by value, against NumPy and scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf

from tests.conftest import made_pipeline
from trainers.errors import UsageError
from trainers.evaluation.evaluate import Evaluation
from trainers.tasks import multi_label
from trainers.tasks.multi_label import TASK


@pytest.mark.parametrize("weight", [None, np.array([1] * 6 + [0] * 3, np.float32)])
def test_metrics_are_scikit_learn_s(weight):
    random = np.random.default_rng(1)
    logits = random.normal(size=(9, 4)).astype(np.float32)
    target = random.integers(0, 2, (9, 4)).astype(np.float32)
    target[0] = logits[0] > 0  # one example is right in every label
    found = {}
    for metric in TASK.metrics(made_pipeline("multi_label", names=tuple("abcd"))):
        metric.update_state(target, logits, sample_weight=weight)
        found[metric.name] = float(metric.result())
    real = slice(9 if weight is None else 6)
    pair = target[real], logits[real] > 0
    assert found["accuracy"] == pytest.approx((pair[0] == pair[1]).mean())
    assert found["exact_match"] == pytest.approx(sklearn.metrics.accuracy_score(*pair))
    assert found["f1"] == pytest.approx(sklearn.metrics.f1_score(*pair, average="macro"))


def test_loss_and_outputs_by_hand():
    random = np.random.default_rng(1)
    logits = random.normal(size=(9, 4)).astype(np.float32)
    target = random.integers(0, 2, (9, 4)).astype(np.float32)
    probability = 1 / (1 + np.exp(-logits))
    by_hand = -np.where(target, np.log(probability), np.log(1 - probability)).mean(axis=1)
    loss = TASK.loss(made_pipeline("multi_label", names=tuple("abcd")), 0.0)
    np.testing.assert_allclose(loss(target, logits), by_hand, rtol=1e-5)
    outputs = multi_label.outputs(tf.constant(logits), tuple("abcd"))
    np.testing.assert_allclose(outputs["probabilities"], probability, rtol=1e-5)
    np.testing.assert_array_equal(outputs["labels"], logits > 0)


def test_the_constant_is_the_training_fractions_of_the_labels():
    target = np.array([[1, 0, 0], [1, 1, 0]], np.float32)
    constant = TASK.constant(made_pipeline("multi_label"), target)
    # One is added to the count of each label and two to that of the rows: 3/4, 2/4, 1/4.
    np.testing.assert_allclose(constant.outputs["logits"], np.log([[3, 1, 1 / 3]]), atol=1e-6)


def test_mistakes_name_the_label_farthest_from_the_truth():
    logits = np.array([[5.0, -5.0, 1.0], [9.0, 9.0, -9.0], [9.0, 2.0, -9.0]], np.float32)
    target = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0]], np.float32)
    test = Evaluation({}, np.arange(3), target, {"logits": logits})
    found = TASK.mistakes(made_pipeline("multi_label"), test, 5)
    assert found.index.tolist() == [1, 0]  # the third is right; green is surest wrong in the second
    assert [entry[0].split()[0] for entry in found.entries] == ["green", "blue"]
    assert [entry[1] for entry in found.entries] == ["red", "red"]


@pytest.mark.parametrize("task", ["classification", "binary", "regression"])
def test_a_target_without_a_flag_for_each_label_is_refused(task):
    prepared = made_pipeline(task)
    with pytest.raises(UsageError, match=f"0 or 1 for each of its labels; made has task {task}"):
        TASK.over(prepared.pipeline, prepared.schema)
