"""The network for tables: its embeddings by hand, and what training never had."""

import keras
import numpy as np
import pytest

import zoo
from zoo import tabular
from zoo.spec import DataSpec, Field

NUMBERS = {name: Field((2,), "float32") for name in ("numbers", "ranks", "missing")}
CATEGORIES = {"categories": Field((2,), "int32", ids=(4, 30))}
SMALL = {"hidden": (5,), "width": 6, "bins": 4}


def of(inputs, **hparams) -> keras.Model:
    return zoo.get("tabular").build(DataSpec(inputs, "classification", 3), **SMALL | hparams)


def batch(**columns) -> dict[str, np.ndarray]:
    whole = {name: np.zeros((len(next(iter(columns.values()))), 2), np.float32) for name in NUMBERS}
    return whole | {name: np.array(column, np.float32) for name, column in columns.items()}


def test_piecewise_linear_fills_the_bins_below_a_rank():
    ranks, missing = keras.Input((2,)), keras.Input((2,))
    embedded = tabular.piecewise_linear(ranks, missing, bins=4, width=1)
    model = keras.Model([ranks, missing], embedded)
    # The weight of a bin is its number: 1, 10, 100, 1000; of the second column negative.
    weights = np.array([1.0, 10, 100, 1000])[None, :, None] * np.array([1, -1])[:, None, None]
    model.set_weights([weights])
    made = model(
        [np.array([[0.0, 1], [0.125, 0.625], [0.25, 1]]), np.array([[0, 0], [0, 0], [0, 1]])]
    )
    np.testing.assert_allclose(made[:, :, 0], [[0, -1111], [0.5, -61], [1, 0]])


def test_periodic_is_a_sine_of_frequency_and_phase():
    numbers = keras.Input((2,))
    model = keras.Model(numbers, tabular.periodic(numbers, frequencies=2, width=1, name="wave"))
    frequency, phase = np.array([[1.0, 2], [3, 4]]), np.array([[0.0, 0.5], [0, 0]])
    model.set_weights([frequency, phase, np.ones((2, 2, 1))])
    made = model(np.array([[0.3, -1.0]]))
    expected = [np.sin(0.3) + np.sin(1.1), np.sin(-3) + np.sin(-4)]
    np.testing.assert_allclose(made[0, :, 0], expected, rtol=1e-5)


def test_values_that_training_never_had_are_without_effect():
    model = of(NUMBERS | CATEGORIES)
    x = batch(ranks=[[0.5, 1]] * 3)
    answers = model(x | {"categories": np.array([[0, 0], [1, 1], [3, 29]])})
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])
    # A category of two values becomes four numbers, one of many values six.
    shapes = {w.path: w.shape for w in model.weights if "category" in w.path}
    assert shapes == {"category1/embeddings": (4, 4), "category2/embeddings": (30, 6)}


def test_linear_path_reaches_the_logits_beside_the_mlp():
    model = of(NUMBERS)
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape))
    [linear] = [w for w in model.weights if w.path == "linear/kernel"]
    linear.assign(np.eye(linear.shape[0], 3))  # numbers first, then what is missing
    made = model(batch(numbers=[[2.0, -3]], missing=[[1.0, 0]]))
    np.testing.assert_allclose(made, [[2, -3, 1]])


def test_parts_without_columns_are_left_out():
    for inputs in (NUMBERS, CATEGORIES, NUMBERS | CATEGORIES):
        assert of(inputs, frequencies=3).output_shape == (None, 3)
    for inputs in ({"features": Field((3,), "float32")}, {"numbers": NUMBERS["numbers"]}, {}):
        with pytest.raises(ValueError, match="takes the input form columns"):
            of(inputs)
