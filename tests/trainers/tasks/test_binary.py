"""Two classes: loss, metrics, outputs and answers by value, against NumPy and scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf

from tests.conftest import made_pipeline
from trainers.errors import UsageError
from trainers.evaluation import statistics
from trainers.tasks import binary
from trainers.tasks.binary import TASK


def measured(target, logits) -> dict[str, float]:
    metrics = TASK.metrics(made_pipeline("binary"))
    for metric in metrics:
        metric.update_state(target, logits)
    return {metric.name: float(metric.result()) for metric in metrics}


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_is_cross_entropy(smoothing):
    logits, target = np.array([[3.0], [-1.0], [0.5]], np.float32), np.array([1, 1, 0])
    probability, true = 1 / (1 + np.exp(-logits[:, 0])), target * (1 - smoothing) + smoothing / 2
    by_hand = -(true * np.log(probability) + (1 - true) * np.log(1 - probability))
    loss = TASK.loss(made_pipeline("binary"), smoothing)
    np.testing.assert_allclose(loss(target, logits), by_hand, rtol=1e-5)


def test_metrics_are_scikit_learn_s():
    random = np.random.default_rng(1)
    target = random.integers(0, 2, 400)
    logits = (random.normal(size=(400, 1)) + target[:, None] - 0.3).astype(np.float32)
    found, answered = measured(target, logits), logits[:, 0] > 0
    assert found["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(target, answered))
    assert found["precision"] == pytest.approx(sklearn.metrics.precision_score(target, answered))
    assert found["recall"] == pytest.approx(sklearn.metrics.recall_score(target, answered))
    assert found["f1"] == pytest.approx(sklearn.metrics.f1_score(target, answered))
    # Logits within 1/32 of each other are ties.
    assert found["auc"] == pytest.approx(sklearn.metrics.roc_auc_score(target, logits), abs=1e-3)


@pytest.mark.parametrize("shift", [-7.0, -3.0, 3.0])
def test_the_area_under_the_curve_of_a_rare_class_is_scikit_learn_s(shift):
    """With thresholds that are even in the probability it is 0.505 where all are near 0."""
    random = np.random.default_rng(2)
    target = (np.arange(20_000) % 200 == 0).astype(np.int64)
    logits = (random.normal(size=(20_000, 1)) + 3.4 * target[:, None] + shift).astype(np.float32)
    exact = sklearn.metrics.roc_auc_score(target, logits)
    assert measured(target, logits)["auc"] == pytest.approx(exact, abs=3e-4)


def test_outputs():
    outputs = binary.outputs(tf.constant([[2.0], [-2.0]]), ("no", "yes"))
    np.testing.assert_allclose(outputs["probability"], [0.880797, 0.119203], rtol=1e-5)
    assert outputs["class"].numpy().tolist() == [1, 0]
    assert outputs["class_name"].numpy().tolist() == [b"yes", b"no"]


def test_captions_name_the_answered_and_the_true_class():
    prepared = made_pipeline("binary")  # red, green
    logits = np.array([[2.0], [-2.0]], np.float32)
    assert TASK.captions(prepared, logits, np.array([1, 1])) == [
        ("green", "green"),
        ("red", "green"),
    ]


def test_the_constant_is_the_logit_of_the_training_fraction():
    constant = TASK.constant(made_pipeline("binary"), np.array([1, 1, 1, 0]))
    np.testing.assert_allclose(constant.outputs["logits"], [[np.log(4 / 2)]], rtol=1e-6)
    assert constant.meaning.startswith("always predicts 'green'")


@pytest.mark.filterwarnings("ignore:invalid value")
def test_an_answer_that_is_no_number_is_counted_all_the_same():
    logits, target = np.array([[2], [-2], [np.nan], [1]], np.float32), np.array([1, 0, 1, 0])
    found = statistics.metrics(TASK.statistics({"logits": logits}, target))
    assert found["auc"] == pytest.approx(0.5)  # as the lowest: 2 of 4 pairs are right


def test_an_area_under_the_curve_of_one_class_is_undefined():
    found = TASK.statistics({"logits": np.zeros((5, 1))}, np.ones(5, np.int64))
    fractions = np.bincount(found.groups)[None] / 5
    assert np.isnan(found.metrics(found.columns.mean(axis=0)[None], fractions)["auc"]).all()


def test_two_classes_become_one_output():
    prepared = made_pipeline("classification", names=("no", "yes"))
    _, schema = TASK.over(prepared.pipeline, prepared.schema)
    assert (schema.task, schema.outputs) == ("binary", 1)


@pytest.mark.parametrize("task", ["classification", "multi_label", "regression"])
def test_a_target_of_other_than_two_classes_is_refused(task):
    prepared = made_pipeline(task)
    with pytest.raises(UsageError, match=f"one of two classes; made has task {task}"):
        TASK.over(prepared.pipeline, prepared.schema)
