"""Sections of the page that several tasks share: confusion, classes, labels, calibration."""

from collections.abc import Sequence

import numpy as np
import sklearn.metrics

from trainers.evaluation import statistics
from trainers.reports import charts, html
from trainers.reports.html import Html, count, element, number
from trainers.tasks.registry import Mistakes

_LARGEST_MATRIX = 20  # classes; with more, only the pairs confused most often are shown
_PAIRS = 20
_ROC_POINTS = 400


def confusion(
    target: np.ndarray, answered: np.ndarray, names: Sequence[str], *beside: Html
) -> Html:
    """The confusion matrix, or the most confused pairs of many classes.

    Args:
        target: (N,) int, as is `answered`.
        beside: figures that stand beside the matrix.
    """
    counts = sklearn.metrics.confusion_matrix(target, answered, labels=range(len(names)))
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    if len(names) <= _LARGEST_MATRIX:
        matrix = _matrix(counts, fractions, names)
        body = html.figures(matrix, *beside) if beside else matrix
        remark = "Rows are true classes, columns predicted ones; shading: fraction of the row."
        return html.section("Confusion", html.note(remark), body)
    off = counts * (1 - np.eye(len(names), dtype=counts.dtype))
    largest = np.argsort(-off, axis=None, kind="stable")[:_PAIRS]
    pairs = [
        (i, j) for i, j in zip(*np.unravel_index(largest, off.shape), strict=True) if off[i, j]
    ]
    lines = [(names[i], names[j], off[i, j], percent(fractions[i, j])) for i, j in pairs]
    header = ("true class", "predicted class", "rows", "fraction of the true class")
    remark = f"The {len(lines)} pairs of {len(names)} classes that are confused most often."
    return html.section("Confusion", html.note(remark), html.table(header, lines))


def per_class(target: np.ndarray, answered: np.ndarray, names: Sequence[str]) -> Html:
    """Precision, recall and F1 of each class."""
    columns = sklearn.metrics.precision_recall_fscore_support(
        target, answered, labels=range(len(names)), zero_division=0
    )
    lines = [
        (name, *(_bar(value) for value in values), count(int(support)))
        for name, *values, support in zip(names, *columns, strict=True)
    ]
    # Like scikit-learn's own mean: a class that neither occurs nor is answered has no score.
    occur = np.union1d(target, answered).astype(np.int64)
    means = [float(np.mean(column[occur])) for column in columns[:3]]
    of = "mean of classes" if len(occur) == len(names) else f"mean of the {len(occur)} that occur"
    lines.append((of, *(_bar(mean) for mean in means), count(len(target))))
    header = ("class", "precision", "recall", "F1", "test rows")
    return html.section("Classes", html.table(header, lines, kind="bars"))


def labels(true: np.ndarray, probability: np.ndarray, names: Sequence[str]) -> Html:
    """Precision, recall, F1 and AUC of each label.

    Args:
        true: (N, labels) bool.
        probability: (N, labels).
    """
    lines, scores_of_all = [], []
    for i, name in enumerate(names):
        scores = sklearn.metrics.precision_recall_fscore_support(
            true[:, i], probability[:, i] > 0.5, average="binary", zero_division=0
        )[:3]
        support = int(true[:, i].sum())
        area = "none"  # where all rows have the label, or no row
        if 0 < support < len(true):
            area = _bar(sklearn.metrics.roc_auc_score(true[:, i], probability[:, i]))
        scores_of_all.append(scores)
        lines.append((name, *map(_bar, scores), area, count(support)))
    means = np.mean(scores_of_all, axis=0)
    lines.append(("mean of labels", *map(_bar, means), "", count(len(true))))
    header = ("label", "precision", "recall", "F1", "AUC", "test rows")
    return html.section("Labels", html.table(header, lines, kind="bars"))


def calibration(reliability: statistics.Calibration, probability: str, fraction: str) -> Html:
    """How reliable the probabilities are.

    Args:
        probability: label of the horizontal axis; `fraction` is that of the vertical one.
    """
    bins = len(reliability.count)
    figures = html.figures(
        html.figure(
            charts.bubbles(
                reliability.confidence,
                reliability.fraction,
                reliability.count,
                probability,
                fraction,
            ),
            "On the dashed line probabilities match the observed fractions; below it they are "
            "too high. Larger circles stand for more predictions.",
        ),
        html.figure(
            charts.histogram(
                np.linspace(0, 1, bins + 1), reliability.count, probability, "predictions"
            ),
            "Distribution of the predicted probabilities.",
        ),
    )
    remark = (
        f"Expected calibration error {number(reliability.error)}: the absolute difference between "
        f"mean probability and observed fraction in each of {bins} bins, averaged over all "
        "predictions."
    )
    return html.section("Calibration", html.note(remark), figures)


def roc(target: np.ndarray, probability: np.ndarray, name: str) -> Html:
    """The ROC curve of the second of two classes, called `name`."""
    if len(np.unique(target)) < 2:
        return html.note("All test rows are of one class, so there is no ROC curve.")
    false_alarms, recall, _ = sklearn.metrics.roc_curve(target, probability)
    kept = np.unique(np.linspace(0, len(recall) - 1, _ROC_POINTS).astype(np.int64))
    points = list(zip(false_alarms[kept].tolist(), recall[kept].tolist(), strict=True))
    unit = (0.0, 1.0)
    axes = ("false positive rate", "true positive rate")
    curve = charts.lines({"ROC": points}, *axes, x_range=unit, y_range=unit, diagonal=True)
    return html.figure(curve, f"ROC curve of {name}, over all thresholds.")


def wrong_classes(
    probabilities: np.ndarray, target: np.ndarray, names: Sequence[str], number: int
) -> Mistakes:
    """The wrong answers that had the highest probability.

    Args:
        probabilities: (N, classes).
        target: (N,).
    """
    answered = probabilities.argmax(axis=1)
    wrong = answered != target
    index = statistics.worst(probabilities.max(axis=1), wrong, number)
    entries = [
        tuple(f"{names[k]} {percent(probabilities[i, k])}" for k in (answered[i], target[i]))
        for i in index
    ]
    remark = (
        f"{count(int(wrong.sum()))} of {count(len(wrong))} test rows are misclassified, the most "
        "confident mistakes first. The predicted class is followed by the true one, each with the "
        "probability that the model gave it."
    )
    return Mistakes("Most confident mistakes", remark, index, ("predicted", "true"), entries)


def percent(fraction: float) -> str:
    """A fraction in percent; a fraction below 1 is never shown as 100 %."""
    if 0.9995 <= fraction < 1:
        return f"{int(fraction * 1e5) / 1e3:.3f} %"
    return f"{100 * fraction:.1f} %"


def _matrix(counts: np.ndarray, fractions: np.ndarray, names: Sequence[str]) -> Html:
    """Counts as a table with coloured cells: right answers in one colour, wrong in another."""
    head = [element("th", element("span", name), scope="col") for name in names]
    kind = "matrix many" if len(names) > 12 else "matrix"
    lines = [element("tr", element("td"), *head)]
    for i, name in enumerate(names):
        cells = [
            element(
                "td",
                counts[i, j] or "",
                # The square root makes rare confusions visible.
                style=f"--share:{np.sqrt(fractions[i, j]):.2f}",
                class_=("right" if i == j else "wrong")
                + (" strong" if fractions[i, j] > 0.3 else ""),
                title=f"{name} predicted as {names[j]}: {percent(fractions[i, j])}",
            )
            for j in range(len(names))
        ]
        lines.append(element("tr", element("th", name, scope="row"), *cells))
    return element("div", element("table", *lines, class_=kind), class_="wide")


def _bar(value: float) -> Html:
    """A fraction as a number over a bar of that length."""
    shown = f"{int(value * 1e5) / 1e5:.5f}" if 0.9995 <= value < 1 else f"{value:.3f}"
    return element("span", shown, class_="share", style=f"--share:{value:.3f}")
