"""The linear layer that is fitted on features: its optimum, its penalty, and what it answers."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from trainers.training.start.linear_head import fitted, fitted_to_columns

RANDOM = np.random.default_rng(0)


def clouds(classes: int, each: int, width: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Positive features, as after a ReLU, about a centre for each class."""
    centres = RANDOM.random((classes, width))
    labels = np.repeat(np.arange(classes), each)
    noise = spread * RANDOM.normal(size=(len(labels), width))
    return np.maximum(centres[labels] + noise, 0).astype(np.float32) * 3, labels


@pytest.mark.parametrize(("each", "width"), [(30, 20), (8, 60)])  # more rows than features; fewer
def test_fitted_is_the_optimum_on_rows_of_length_one(each, width):
    features, labels = clouds(4, each, width, 0.3)
    head = fitted(features, labels, 4)
    length = np.linalg.norm(features, axis=1, keepdims=True)
    rows, kernel = features / length, head.kernel * length.mean()
    scale = np.sqrt(((rows - rows.mean(0)) ** 2).sum(1).mean())
    logits = rows @ kernel + head.bias
    chances = np.exp(logits - logits.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    # The gradient of C x log-loss + |scale x kernel|^2 / 2 is zero, in both of its parts.
    error = chances - np.eye(4)[labels]
    pull = head.strength * (rows - rows.mean(0)).T @ error
    np.testing.assert_allclose(pull, -(scale**2) * kernel, atol=0.02 * np.abs(pull).max())
    np.testing.assert_allclose(error.sum(0), 0, atol=0.05)
    # And close to the optimum that a tight tolerance finds, for all that such features may differ.
    solver = LogisticRegression(C=head.strength, tol=1e-8, max_iter=10_000)
    expected = solver.fit((rows - rows.mean(0)) / scale, labels).predict_proba(
        (rows - rows.mean(0)) / scale
    )
    np.testing.assert_allclose(chances, expected, atol=0.02)
    assert head.kernel.dtype == head.bias.dtype == np.float32


def test_the_penalty_is_strong_where_features_say_nothing():
    features, labels = clouds(3, 40, 30, 0.05)
    weak = fitted(features, labels, 3).strength
    strong = fitted(features, RANDOM.permutation(labels), 3).strength
    assert strong < weak


def test_fitted_of_two_classes_and_of_a_class_without_rows():
    features, labels = clouds(2, 20, 10, 0.1)
    head = fitted(features, 2 * labels, 3)  # classes 0 and 2 of three
    logits = features @ head.kernel + head.bias
    np.testing.assert_array_equal(logits.argmax(1), 2 * labels)
    assert (logits[:, 1] < logits.max(1)).all()
    assert not head.kernel[:, 1].any()


def test_labels_are_fitted_each_for_itself():
    features, classes = clouds(4, 25, 10, 0.05)
    labels = np.stack([classes == 0, classes >= 2, np.ones(100), np.zeros(100)], axis=1)
    head = fitted(features, labels.astype(np.float32), 4)
    logits = features @ head.kernel + head.bias
    np.testing.assert_array_equal(logits > 0, labels > 0)
    # What all rows have, or none: 100 of 100 and half a row more without it.
    np.testing.assert_allclose(logits[:, 2:], np.log([[201, 1 / 201]] * 100), rtol=1e-5)
    assert "accuracy on them 1.0000" in head.summary
    # A single output of two classes is the same as a label.
    one = fitted(features, (classes >= 2).astype(np.int64), 1)
    np.testing.assert_allclose(one.kernel[:, 0], head.kernel[:, 1])


def test_numbers_are_fitted_in_deviations_from_their_mean():
    features = np.maximum(RANDOM.normal(1, 0.5, (300, 8)), 0)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    weights = RANDOM.normal(size=8)
    prices = 1e6 + 5000 * features @ weights  # float64: a float32 would round the mean
    head = fitted(features.astype(np.float32), prices, 1, (prices.mean(), prices.std()))
    answers = (features @ head.kernel + head.bias)[:, 0]
    np.testing.assert_allclose(answers, (prices - prices.mean()) / prices.std(), atol=0.02)
    assert head.strength == 1000  # a line without noise: the weakest penalty
    assert "r2 on them 0.99" in head.summary or "r2 on them 1.0" in head.summary
    noise = fitted(features.astype(np.float32), RANDOM.normal(size=300), 1)
    assert noise.strength < 1


def test_columns_keep_their_lengths():
    columns = RANDOM.normal(3.0, 1.0, (400, 5))
    columns[:, 4] = 7.0  # alike in every row
    y = columns @ np.array([1.0, -2.0, 0.0, 0.5, 9.0]) + 100
    head = fitted_to_columns(columns, y, 1, (50.0, 2.0))
    answers = (columns @ head.kernel + head.bias)[:, 0]
    np.testing.assert_allclose(answers, (y - 50) / 2, rtol=1e-3)
    assert abs(head.kernel[4, 0]) < 1e-6


def test_rows_of_one_class_make_it_the_answer():
    head = fitted_to_columns(RANDOM.normal(size=(50, 4)), np.full(50, 2), 3)
    assert not head.kernel.any()
    np.testing.assert_allclose(head.bias, [0, 0, np.log(101)], rtol=1e-6)
