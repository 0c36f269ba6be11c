"""Intervals, calibration and baselines of the report, against hand, Keras and scipy."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from pipelines import Rows
from tests.conftest import made_pipeline
from trainers.config.settings import resolve
from trainers.errors import UsageError
from trainers.evaluation import baselines, statistics
from trainers.tasks.registry import TASKS, reported_loss
from zoo.spec import Field


def made_answers(task: str, num_rows: int = 200, width: int = 7):
    """Random outputs and targets that agree more often than not."""
    random = np.random.default_rng(0)
    width = {"binary": 1, "regression": 1}.get(task, width)
    logits = random.normal(0, 2, (num_rows, width)).round(1).astype(np.float32)  # with ties
    noisy = logits + random.normal(0, 2, logits.shape)
    target = {
        "classification": lambda: noisy.argmax(axis=1),
        "binary": lambda: (noisy[:, 0] > 0).astype(np.int64),
        "multi_label": lambda: (noisy > 0).astype(np.float32),
        "regression": lambda: (10 + noisy[:, 0]).astype(np.float32),
    }[task]()
    if task == "regression":
        logits = logits + 10
    names = tuple(f"class {i}" for i in range(max(2, width)))
    outputs = TASKS[task].outputs(tf.constant(logits), names)
    return {name: value.numpy() for name, value in outputs.items()}, target


@pytest.mark.parametrize("task", sorted(TASKS))
def test_metrics_are_those_of_keras(task):
    outputs, target = made_answers(task)
    found = statistics.metrics(statistics.statistics(task, outputs, target))
    logits = outputs["logits"]
    theirs = [reported_loss(TASKS[task]), *TASKS[task].metrics(logits.shape[1])]
    assert list(found) == [metric.name for metric in theirs]
    for metric in theirs:
        metric.update_state(target, logits)
        assert found[metric.name] == pytest.approx(float(metric.result()), rel=1e-4), metric.name


def test_an_interval_of_a_share_is_the_binomial_one():
    hits = np.arange(400) < 320
    logits = np.where(hits[:, None], [[2.0, 0.0]], [[0.0, 2.0]])
    found = statistics.statistics("classification", {"logits": logits}, np.zeros(400, np.int64))
    values = statistics.bootstrap(found, resamples=4000)["accuracy"]
    assert values.std() == pytest.approx(np.sqrt(0.8 * 0.2 / 400), rel=0.05)
    expected = scipy.stats.binom.ppf([0.025, 0.975], 400, 0.8) / 400
    np.testing.assert_allclose(statistics.interval(values), expected, atol=1.01 / 400)


@pytest.mark.parametrize(
    ("task", "metric"), [("regression", "r2"), ("binary", "auc"), ("multi_label", "f1")]
)
def test_intervals_are_those_of_a_plain_bootstrap(task, metric):
    """Rows drawn one resample at a time and measured anew, by scipy."""
    outputs, target = made_answers(task, width=3)
    values = statistics.bootstrap(statistics.statistics(task, outputs, target))[metric]

    def of(index):
        drawn = {"logits": outputs["logits"][index]}
        return statistics.metrics(statistics.statistics(task, drawn, target[index]))[metric]

    rows = (np.arange(len(target)),)
    options = {"vectorized": False, "n_resamples": 999, "method": "percentile", "rng": 1}
    theirs = scipy.stats.bootstrap(rows, of, **options)
    assert values.std() == pytest.approx(theirs.standard_error, rel=0.1)
    np.testing.assert_allclose(
        statistics.interval(values), theirs.confidence_interval, atol=0.25 * theirs.standard_error
    )


def test_two_models_are_compared_on_the_same_resamples():
    outputs, target = made_answers("classification")
    found = statistics.statistics("classification", outputs, target)
    shifted = found._replace(columns=found.columns + np.array([0.5, 0.0, 0.0]))
    one, two = statistics.bootstrap(found), statistics.bootstrap(shifted)
    np.testing.assert_allclose(two["loss"] - one["loss"], 0.5, atol=1e-12)
    assert np.ptp(one["loss"]) > 0.1


def test_an_area_under_the_curve_of_one_class_is_left_out():
    outputs, _ = made_answers("binary")
    found = statistics.statistics("binary", outputs, np.ones(200, np.int64))
    assert "auc" not in statistics.metrics(found)
    assert statistics.interval(statistics.bootstrap(found, resamples=3)["auc"]) is None


def test_calibration_by_hand():
    probability = np.array([0.95, 0.93, 0.55, 0.05, 0.1])
    found = statistics.calibration(
        probability, np.array([True, False, True, False, False]), bins=10
    )
    assert found.count.tolist() == [2, 0, 0, 0, 0, 1, 0, 0, 0, 2]  # 0.1 belongs to (0, 0.1]
    np.testing.assert_allclose(found.confidence[[0, 5, 9]], [0.075, 0.55, 0.94])
    np.testing.assert_allclose(found.share[[0, 5, 9]], [0, 1, 0.5])
    assert found.error == pytest.approx((2 * 0.075 + 0.45 + 2 * 0.44) / 5)


def test_the_worst_come_first_and_only_where_asked():
    badness, wrong = np.array([0.9, 0.5, 0.99, 0.7]), np.array([True, True, False, True])
    assert statistics.worst(badness, wrong, 2).tolist() == [0, 3]
    assert statistics.worst(badness, wrong, 9).tolist() == [0, 3, 1]


@pytest.mark.parametrize(
    ("task", "target", "logits"),
    [
        # One is added to each count: the shares are 3/6, 2/6, 1/6.
        ("classification", [0, 0, 1], np.log([3 / 6, 2 / 6, 1 / 6])),
        ("binary", [1, 1, 1, 0], [np.log(4 / 2)]),
        ("multi_label", [[1, 0, 0], [1, 1, 0]], np.log([3.0, 1.0, 1 / 3])),
        ("regression", [1.0, 2.0, 6.0], [3.0]),
    ],
)
def test_the_constant_answers_are_those_of_the_training_rows(task, target, logits):
    pipeline = made_pipeline(task)
    target = np.array(target, np.int64 if task in ("classification", "binary") else np.float32)
    table = {"x": np.zeros((len(target), 2), np.float32), "label": target}
    train = Rows(len(target), {}, "label", table=table)
    pipeline.rows["train"] = train
    found = baselines.constant(pipeline).outputs["logits"]
    assert len(found) == pipeline.rows["test"].num_rows
    np.testing.assert_allclose(found, np.tile(logits, (len(found), 1)), rtol=1e-5)
    on_disk = train._replace(
        table=None, read=lambda index: {name: column[index] for name, column in table.items()}
    )
    pipeline.rows["train"] = on_disk
    np.testing.assert_array_equal(baselines.constant(pipeline).outputs["logits"], found)


@pytest.mark.parametrize(
    ("task", "metric", "least"),
    [("classification", "accuracy", 0.9), ("binary", "auc", 0.99), ("regression", "r2", 0.99)],
)
def test_the_linear_baseline_learns_what_is_linear(task, metric, least, monkeypatch):
    monkeypatch.setattr(baselines, "_FEWEST_STEPS", 200)
    monkeypatch.setattr(baselines, "_RATES", (1e-2,))
    pipeline = made_pipeline(task, num_rows=400)  # whose targets are linear in x
    settings = resolve("mlp_binary", {})
    found = baselines.linear(settings, pipeline)
    target = pipeline.rows["test"].table["label"]
    measured = statistics.metrics(statistics.statistics(task, found.outputs, target))
    assert measured[metric] > least
    if task == "binary":
        again = baselines.linear(settings, pipeline)
        np.testing.assert_array_equal(again.outputs["logits"], found.outputs["logits"])


def test_the_linear_baseline_refuses_what_has_no_linear_model():
    pipeline = made_pipeline("binary", field=Field((2,), "int64"))
    with pytest.raises(UsageError, match="linear"):
        baselines.linear(resolve("mlp_binary", {}), pipeline)
