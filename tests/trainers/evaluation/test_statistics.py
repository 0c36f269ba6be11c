"""Intervals and calibration of the report, against hand, Keras and scipy."""

import numpy as np
import pytest
import scipy.stats

from tests.conftest import made_pipeline
from trainers.evaluation import statistics
from trainers.evaluation.metrics import measures
from trainers.tasks import registry

TASKS = ("binary", "classification", "multi_label", "regression")


def made_answers(name: str, num_rows: int = 200, width: int = 7):
    """Random outputs and targets that agree more often than not, and the data they are for."""
    prepared = made_pipeline(name, names=tuple(f"class {i}" for i in range(width)))
    random = np.random.default_rng(0)
    shape = (num_rows, prepared.spec.num_outputs)
    logits = random.normal(0, 2, shape).round(1).astype(np.float32)  # with ties
    noisy = logits + random.normal(0, 2, logits.shape)
    target = {
        "classification": lambda: noisy.argmax(axis=1),
        "binary": lambda: (noisy[:, 0] > 0).astype(np.int64),
        "multi_label": lambda: (noisy > 0).astype(np.float32),
        "regression": lambda: (10 + noisy[:, 0]).astype(np.float32),
    }[name]()
    if name == "regression":
        logits = logits + 10
    return prepared, {"logits": logits}, target


@pytest.mark.parametrize("name", TASKS)
def test_metrics_are_those_of_keras(name):
    prepared, outputs, target = made_answers(name)
    task = registry.get(name)
    found = statistics.metrics(task.statistics(outputs, target))
    theirs = measures(task, prepared)
    assert list(found) == [metric.name for metric in theirs]
    for metric in theirs:
        metric.update_state(target, outputs["logits"])
        assert found[metric.name] == pytest.approx(float(metric.result()), rel=1e-4), metric.name


def test_an_interval_of_a_fraction_is_the_binomial_one():
    hits = np.arange(400) < 320
    logits = np.where(hits[:, None], [[2.0, 0.0]], [[0.0, 2.0]])
    found = registry.get("classification").statistics({"logits": logits}, np.zeros(400, np.int64))
    values = statistics.bootstrap(found, resamples=4000)["accuracy"]
    assert values.std() == pytest.approx(np.sqrt(0.8 * 0.2 / 400), rel=0.05)
    expected = scipy.stats.binom.ppf([0.025, 0.975], 400, 0.8) / 400
    np.testing.assert_allclose(statistics.interval(values), expected, atol=1.01 / 400)


@pytest.mark.parametrize(
    ("name", "metric"), [("regression", "r2"), ("binary", "auc"), ("multi_label", "f1")]
)
def test_intervals_are_those_of_a_plain_bootstrap(name, metric):
    """Rows drawn one resample at a time and measured anew, by scipy."""
    _, outputs, target = made_answers(name, width=3)
    task = registry.get(name)
    values = statistics.bootstrap(task.statistics(outputs, target))[metric]

    def of(index):
        drawn = {"logits": outputs["logits"][index]}
        return statistics.metrics(task.statistics(drawn, target[index]))[metric]

    rows = (np.arange(len(target)),)
    options = {"vectorized": False, "n_resamples": 999, "method": "percentile", "rng": 1}
    theirs = scipy.stats.bootstrap(rows, of, **options)
    assert values.std() == pytest.approx(theirs.standard_error, rel=0.1)
    np.testing.assert_allclose(
        statistics.interval(values), theirs.confidence_interval, atol=0.25 * theirs.standard_error
    )


def test_two_models_are_compared_on_the_same_resamples():
    _, outputs, target = made_answers("classification")
    found = registry.get("classification").statistics(outputs, target)
    shifted = found._replace(columns=found.columns + np.array([0.5, 0.0, 0.0]))
    one, two = statistics.bootstrap(found), statistics.bootstrap(shifted)
    np.testing.assert_allclose(two["loss"] - one["loss"], 0.5, atol=1e-12)
    assert np.ptp(one["loss"]) > 0.1


def test_an_area_under_the_curve_of_one_class_is_left_out():
    _, outputs, _ = made_answers("binary")
    found = registry.get("binary").statistics(outputs, np.ones(200, np.int64))
    assert "auc" not in statistics.metrics(found)
    assert statistics.interval(statistics.bootstrap(found, resamples=3)["auc"]) is None


def test_calibration_by_hand():
    probability = np.array([0.95, 0.93, 0.55, 0.05, 0.1])
    found = statistics.calibration(
        probability, np.array([True, False, True, False, False]), bins=10
    )
    assert found.count.tolist() == [2, 0, 0, 0, 0, 1, 0, 0, 0, 2]  # 0.1 belongs to (0, 0.1]
    np.testing.assert_allclose(found.confidence[[0, 5, 9]], [0.075, 0.55, 0.94])
    np.testing.assert_allclose(found.fraction[[0, 5, 9]], [0, 1, 0.5])
    assert found.error == pytest.approx((2 * 0.075 + 0.45 + 2 * 0.44) / 5)


def test_the_worst_come_first_and_only_where_asked():
    badness, wrong = np.array([0.9, 0.5, 0.99, 0.7]), np.array([True, True, False, True])
    assert statistics.worst(badness, wrong, 2).tolist() == [0, 3]
    assert statistics.worst(badness, wrong, 9).tolist() == [0, 3, 1]


def test_probabilities_of_large_logits_are_finite():
    logits = np.array([-200.0, 0.0, 200.0], np.float32)
    np.testing.assert_allclose(statistics.sigmoid(logits), [0.0, 0.5, 1.0], atol=1e-7)


def test_probabilities_of_classes_are_their_softmax_and_one_logit_is_the_second_of_two():
    found = statistics.of_classes(np.array([[0.0, np.log(3.0)], [800.0, 800.0]]))
    np.testing.assert_allclose(found, [[0.25, 0.75], [0.5, 0.5]])
    np.testing.assert_allclose(statistics.of_classes(np.array([[np.log(3.0)]])), [[0.25, 0.75]])


def test_of_ratios_divides_sums_and_resamples_both_together():
    right, weight = np.array([1.0, 0.0, 3.0]), np.array([2.0, 1.0, 3.0])
    found = statistics.of_ratios({"a": (right, weight), "b": (weight, np.zeros(3))})
    assert statistics.metrics(found) == {"a": 4 / 6, "b": 0.0}
    low, high = statistics.interval(statistics.bootstrap(found)["a"])
    assert 0.0 <= low < 4 / 6 < high <= 1.0  # between the smallest and largest ratio of a row
