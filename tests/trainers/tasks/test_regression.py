"""One number: loss, metrics, outputs, units and answers, against NumPy and scikit-learn."""

import dataclasses

import keras
import numpy as np
import pytest
import sklearn.metrics

from pipelines.core.prepared import prepare
from tests.conftest import made_pipeline
from trainers.errors import UsageError
from trainers.evaluation import statistics
from trainers.evaluation.evaluate import Evaluation
from trainers.tasks import regression
from trainers.tasks.regression import TASK
from zoo.spec import Field


@pytest.mark.parametrize("weight", [None, np.array([1] * 5 + [0] * 2, np.float32)])
def test_metrics_are_scikit_learn_s(weight):
    random = np.random.default_rng(2)
    target = random.normal(1000, 10, 7).astype(np.float32)
    value = (target + random.normal(0, 3, 7)).astype(np.float32)
    found = {}
    for metric in TASK.metrics(made_pipeline("regression")):
        metric.update_state(target, value[:, None], sample_weight=weight)
        found[metric.name] = float(metric.result())
    real = slice(7 if weight is None else 5)
    pair = target[real], value[real]
    squared = sklearn.metrics.mean_squared_error(*pair)
    assert found["mean_absolute_error"] == pytest.approx(sklearn.metrics.mean_absolute_error(*pair))
    assert found["root_mean_squared_error"] == pytest.approx(squared**0.5, rel=1e-5)
    assert found["r2"] == pytest.approx(sklearn.metrics.r2_score(*pair), rel=1e-4)


def test_loss_is_the_squared_error_in_the_target_s_unit():
    target, value = np.array([1.0, 5.0], np.float32), np.array([[2.0], [2.0]], np.float32)
    np.testing.assert_allclose(TASK.loss(made_pipeline("regression"))(target, value), [1, 9])


def test_mean_and_deviation_are_fitted_and_reach_the_model():
    made = made_pipeline("regression")
    pipeline, schema = TASK.over(dataclasses.replace(made.pipeline, fit_target=None), made.schema)
    prepared = prepare(pipeline, schema, made.rows)
    target = made.rows["train"].table["label"].astype(np.float64)
    assert regression.units(prepared) == pytest.approx((target.mean(), target.std()), rel=1e-6)
    assert TASK.loss_scale(prepared) == pytest.approx(1 / target.var(), rel=1e-5)
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="zeros")(inputs))
    model.layers[-1].bias.assign([2.0])
    found = TASK.head(model, prepared)(np.zeros((1, 2), np.float32))
    assert float(found[0, 0]) == pytest.approx(target.mean() + 2 * target.std(), rel=1e-6)


def test_a_pipeline_s_own_fit_of_the_target_is_kept():
    made = made_pipeline("regression")
    own = dataclasses.replace(made.pipeline, fit_target=lambda train: {"mean": 1.0, "std": 2.0})
    pipeline, schema = TASK.over(own, made.schema)
    assert regression.units(prepare(pipeline, schema, made.rows)) == (1.0, 2.0)


def test_equal_targets_have_a_deviation_of_one():
    made = made_pipeline("regression")
    train = made.rows["train"]
    train = train._replace(table={**train.table, "label": np.full(60, 7.0, np.float32)})
    assert regression.fit_target(train) == {"mean": 7.0, "std": 1.0}


def test_a_target_in_float64_is_served_as_finely_as_it_was_read():
    """Seconds since 1970: float32 has one number in 128."""
    made = made_pipeline("regression")
    target = 1_716_000_000.0 + np.arange(60)
    field = Field((), "float64")
    rows = {
        split: part._replace(
            fields={**part.fields, "label": field},
            table={**part.table, "label": np.resize(target, part.num_rows)},
        )
        for split, part in made.rows.items()
    }
    plain = dataclasses.replace(made.pipeline, fit_target=None, encode=None)
    pipeline, schema = TASK.over(plain, made.schema._replace(target=field))
    prepared = prepare(pipeline, schema, rows)
    train = prepared.rows["train"].table["label"]
    mean = rows["train"].table["label"].mean()
    np.testing.assert_allclose(train, rows["train"].table["label"] - mean, atol=1e-5)
    assert prepared.batch_signature[1].dtype == "float32"

    inputs = {k: keras.Input(f.shape, name=k) for k, f in prepared.serving_inputs.items()}
    [first, *_] = inputs.values()
    dense = keras.layers.Dense(1, kernel_initializer="zeros")
    model = TASK.head(keras.Model(inputs, dense(first)), prepared)
    dense.bias.assign([0.5])
    signature = TASK.signatures(None, {}, model, prepared)["serving_default"]
    raw = {k: rows["test"].table[k][:2] for k in prepared.raw}
    answer = signature.function(**raw)
    deviation = rows["train"].table["label"].std()
    assert answer["value"].dtype == "float64"
    np.testing.assert_allclose(answer["value"] - mean, [deviation / 2] * 2, rtol=1e-5)
    np.testing.assert_allclose(answer["logits"], [[deviation / 2]] * 2, rtol=1e-6)
    test = Evaluation({}, np.arange(2), np.array([1.0, 2.0]), {"logits": np.array([[1.0], [4.0]])})
    [entry] = TASK.mistakes(prepared, test, 1).entries
    assert entry[2].startswith("+2")


def test_outputs_name_the_value():
    value = np.array([[3.0], [4.0]], np.float32)
    np.testing.assert_array_equal(regression.outputs(value, ())["value"], [3.0, 4.0])


def test_the_constant_is_the_mean():
    constant = TASK.constant(made_pipeline("regression"), np.array([1.0, 2.0, 6.0], np.float32))
    np.testing.assert_allclose(constant.outputs["logits"], [[3.0]])


def test_mistakes_are_the_largest_errors():
    outputs = {"logits": np.array([[1.0], [5.0], [2.5]], np.float32)}
    test = Evaluation({}, np.arange(3), np.array([1.0, 2.0, 3.0], np.float32), outputs)
    found = TASK.mistakes(made_pipeline("regression"), test, 2)
    assert found.index.tolist() == [1, 2]
    assert found.entries[0] == ("5.0000", "2.0000", "+3.0000")


def test_whole_numbers_are_a_target_too():
    made = made_pipeline("regression")
    _, schema = TASK.over(made.pipeline, made.schema._replace(target=Field((), "int64")))
    assert (schema.task, schema.outputs) == ("regression", 1)


def test_whole_numbers_are_trained_on_as_numbers():
    """Classes, which whole numbers are elsewhere, would get a logistic regression."""
    made = made_pipeline("regression")
    field = Field((), "int64")
    rows = {
        split: part._replace(
            fields={**part.fields, "label": field},
            table={**part.table, "label": part.table["label"].astype(np.int64)},
        )
        for split, part in made.rows.items()
    }
    plain = dataclasses.replace(made.pipeline, fit_target=None, encode=None)
    prepared = prepare(*TASK.over(plain, made.schema._replace(target=field)), rows)
    assert prepared.batch_signature[1].dtype == "float32"
    expected = rows["train"].table["label"] - rows["train"].table["label"].mean()
    np.testing.assert_allclose(prepared.rows["train"].table["label"], expected, atol=1e-4)


@pytest.mark.parametrize("task", ["classification", "binary", "multi_label"])
def test_classes_are_refused(task):
    made = made_pipeline(task)
    with pytest.raises(UsageError, match=f"target is one number; made has task {task}"):
        TASK.over(made.pipeline, made.schema)


def test_r2_is_undefined_where_targets_do_not_vary():
    answers = {"logits": np.array([[4.0], [1.5], [5.0]], np.float32)}
    equal = statistics.metrics(TASK.statistics(answers, np.full(3, 3.0, np.float32)))
    assert "r2" not in equal or np.isnan(equal["r2"])
    # Resamples of one row three times are among those of three.
    found = statistics.bootstrap(TASK.statistics(answers, np.array([1.1, 2.7, 9.3], np.float32)))
    low, high = statistics.interval(found["r2"])
    assert -1e6 < low < high < 1
