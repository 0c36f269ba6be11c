"""A linear layer fitted on features: logistic regression (classes, labels) or ridge (numbers)."""

from typing import NamedTuple

import keras
import numpy as np
import threadpoolctl
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.model_selection import StratifiedKFold

from pipelines.core import rows as reading

_FOLDED_ROWS = 2_000  # rows for choosing the penalty's strength: seconds, not minutes
_FOLDS = 3
_EVEN_LABELS = 3  # of several labels, the most even, that choose the penalty: seconds each
_PLAIN = (0.0, 1.0)  # offset and scale of numbers without a unit
# Inverse strengths of the penalty, for centred rows of mean squared norm 1.
_STRENGTHS = tuple(10.0 ** (exponent / 2) for exponent in range(-2, 7))


class Head(NamedTuple):
    """A linear layer: outputs are features @ kernel + bias."""

    kernel: np.ndarray  # (width, outputs)
    bias: np.ndarray  # (outputs,)
    strength: float  # inverse of the chosen penalty
    summary: str  # how well it fits the rows, and that penalty


class _Linear(NamedTuple):
    """Outputs for rows (N, features) are rows @ kernel + bias."""

    kernel: np.ndarray  # (features, outputs)
    bias: np.ndarray  # (outputs,)
    strength: float  # inverse of the penalty


def fitted(
    features: np.ndarray, targets: np.ndarray, outputs: int, unit: tuple[float, float] = _PLAIN
) -> Head:
    """A linear model with an L2 penalty, whose strength is chosen by cross-validation.

    It is fitted on features scaled to length 1, which works better (docs/tried.md); the kernel is
    then divided by the mean length that the features had.

    Args:
        features: (N, width), one row per example.
        targets: (N,) class numbers of `outputs` classes, of which one may have no row; (N,) or
            (N, outputs) labels of 0 or 1; or (N,) floating-point numbers.
        unit: of numeric targets: offset and scale of the layer's outputs, such as mean and std.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    rows = features / np.maximum(lengths, 1e-12)
    mean = rows.mean(axis=0, dtype=np.float64)
    rows = rows - mean
    scale = max(np.sqrt(np.mean(np.sum(rows**2, axis=1))), 1e-12)
    axes = np.eye(rows.shape[1])
    if len(rows) < rows.shape[1]:
        # A rotation does not change the penalty, and as many axes as rows span all the rows.
        _, _, axes = np.linalg.svd(rows, full_matrices=False)
    turned = rows @ axes.T / scale
    linear, summary = _solution(turned, targets, outputs, unit)
    kernel = axes.T @ linear.kernel / scale
    bias = linear.bias - mean @ kernel
    return _head(kernel / lengths.mean(), bias, linear.strength, summary)


def fitted_to_columns(
    columns: np.ndarray, targets: np.ndarray, outputs: int, unit: tuple[float, float] = _PLAIN
) -> Head:
    """The same model on columns (N, width) of like units, such as standardised numbers and 0 or 1.

    The columns share one scale: with its own scale, a rare category would be penalised too little.
    """
    mean = columns.mean(axis=0, dtype=np.float64)
    rows = columns - mean
    scale = max(np.sqrt(np.mean(np.sum(rows**2, axis=1))), 1e-12)
    linear, summary = _solution(rows / scale, targets, outputs, unit)
    kernel = linear.kernel / scale
    return _head(kernel, linear.bias - mean @ kernel, linear.strength, summary)


def unit_layer(model: keras.Model) -> keras.layers.Rescaling | None:
    """The model's last layer, if it rescales the outputs to the unit of the target."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Rescaling) and layer.output is model.outputs[0]:
            return layer
    return None


def unit_of(model: keras.Model) -> tuple[float, float]:
    """Offset and scale that turn the last linear layer's outputs into the target's unit."""
    layer = unit_layer(model)
    return _PLAIN if layer is None else (layer.offset, layer.scale)


def _head(kernel: np.ndarray, bias: np.ndarray, strength: float, summary: str) -> Head:
    kernel, bias = kernel.astype(np.float32), bias.astype(np.float32)
    return Head(kernel, bias, strength, f"C={strength:.3g}, {summary}")


def _solution(
    rows: np.ndarray, targets: np.ndarray, outputs: int, unit: tuple[float, float]
) -> tuple[_Linear, str]:
    """The regression for this kind of targets, and how well it fits the rows.

    Args:
        rows: (N, features), centred, of mean squared norm 1.
    """
    with threadpoolctl.threadpool_limits(1):  # for products this small threads only wait
        if targets.ndim == 1 and np.issubdtype(targets.dtype, np.floating):
            return _numbers(rows, targets, unit)
        if targets.ndim == 1 and outputs > 1:
            return _classes(rows, targets, outputs)
        return _labels(rows, targets.reshape(len(targets), outputs))


def _classes(rows: np.ndarray, labels: np.ndarray, classes: int) -> tuple[_Linear, str]:
    """Multinomial logistic regression: a logit for each class.

    If all rows are of one class, the bias is that of the class counts with a half added to each.
    """
    if labels.min() == labels.max():
        bias = np.zeros(classes)
        bias[labels[0]] = np.log(2 * len(labels) + 1)
        return _Linear(np.zeros((rows.shape[1], classes)), bias, 1.0), "accuracy on them 1.0000"
    strength = _chosen(rows, labels)
    solved = _solved(rows, labels, strength, tolerance=1e-6)
    coefficients, intercept = solved.coef_, solved.intercept_
    if len(solved.classes_) == 2:  # one logit, of the second class against the first
        coefficients, intercept = (np.concatenate([-c, c]) / 2 for c in (coefficients, intercept))
    kernel, bias = np.zeros((rows.shape[1], classes)), np.zeros(classes)
    kernel[:, solved.classes_], bias[solved.classes_] = coefficients.T, intercept
    # A class without rows gets the lowest logit that any class has for any row.
    absent = np.setdiff1d(np.arange(classes), solved.classes_)
    bias[absent] = (rows @ coefficients.T + intercept).min()
    accuracy = np.mean(np.argmax(rows @ kernel + bias, axis=1) == labels)
    return _Linear(kernel, bias, strength), f"accuracy on them {accuracy:.4f}"


def _labels(rows: np.ndarray, labels: np.ndarray) -> tuple[_Linear, str]:
    """Logistic regression for each label (N, outputs), all with one penalty.

    For a label that all rows have, or none, the bias is that of both counts with a half added.
    """
    width, outputs = rows.shape[1], labels.shape[1]
    kernel, bias, flags = np.zeros((width, outputs)), np.zeros(outputs), labels > 0.5
    even = np.argsort(np.abs(flags.mean(axis=0) - 0.5), kind="stable")[:_EVEN_LABELS]
    strength = float(np.median([_chosen(rows, flags[:, i].astype(np.int64)) for i in even]))
    for i, label in enumerate(flags.T.astype(np.int64)):
        if label.min() == label.max():
            bias[i] = np.log(2 * len(label) + 1) * (1 if label[0] else -1)
            continue
        solved = _solved(rows, label, strength, tolerance=1e-6)
        kernel[:, i], bias[i] = solved.coef_[0], solved.intercept_[0]
    accuracy = np.mean((rows @ kernel + bias > 0) == flags)
    return _Linear(kernel, bias, strength), f"accuracy on them {accuracy:.4f}"


def _numbers(
    rows: np.ndarray, targets: np.ndarray, unit: tuple[float, float]
) -> tuple[_Linear, str]:
    """Ridge regression."""
    targets = (targets.astype(np.float64) - unit[0]) / unit[1]
    mean, std = targets.mean(), targets.std() or 1.0
    standard = (targets - mean) / std
    index = reading.spaced(len(rows), _FOLDED_ROWS)
    # Each row is left out once (generalised cross-validation).
    penalty = RidgeCV([1 / strength for strength in _STRENGTHS]).fit(rows[index], standard[index])
    solved = Ridge(penalty.alpha_).fit(rows, standard)
    kernel = std * solved.coef_[:, None]
    bias = mean + std * np.atleast_1d(solved.intercept_)
    r2 = solved.score(rows, standard)
    return _Linear(kernel, bias, 1 / penalty.alpha_), f"r2 on them {r2:.4f}"


def _chosen(rows: np.ndarray, labels: np.ndarray) -> float:
    """The strongest penalty whose log-loss in cross-validation is as good as the best.

    That means within a standard error of it (Breiman et al. 1984, section 3.4.3): the best itself
    gives a little less accuracy when there are few rows (docs/tried.md).
    """
    index = reading.spaced(len(rows), _FOLDED_ROWS)
    rows, labels = rows[index], labels[index]
    counts = np.unique(labels, return_counts=True)[1]
    if len(counts) < 2 or counts.min() < _FOLDS:
        return 1.0
    losses = np.zeros((len(_STRENGTHS), len(labels)))
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    for train, held in folds.split(rows, labels):
        for i, strength in enumerate(_STRENGTHS):
            solved = _solved(rows[train], labels[train], strength)
            true = np.searchsorted(solved.classes_, labels[held])
            probabilities = solved.predict_proba(rows[held])[np.arange(len(held)), true]
            losses[i, held] = -np.log(np.maximum(probabilities, 1e-15))
    means = losses.mean(axis=1)
    error = losses[means.argmin()].std() / np.sqrt(len(labels))
    return _STRENGTHS[int(np.argmax(means <= means.min() + error))]


def _solved(
    rows: np.ndarray, labels: np.ndarray, strength: float, *, tolerance: float = 1e-4
) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=1000, tol=tolerance).fit(rows, labels)
