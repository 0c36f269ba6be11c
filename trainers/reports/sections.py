"""The sections of the page that depend on what was asked of the model."""

from collections.abc import Sequence

import numpy as np
import sklearn.metrics

from pipelines import Pipeline
from trainers.evaluation import statistics
from trainers.evaluation.evaluate import Evaluation
from trainers.reports import charts, examples, html
from trainers.reports.html import Html, count, element, number

_LARGEST_MATRIX = 20  # classes; of more only the pairs are shown that are confused most
_PAIRS = 20


def sections(pipeline: Pipeline, test: Evaluation) -> list[Html]:
    """What there is to say of the answers on the test split, by task."""
    return {
        "classification": _classes,
        "binary": _classes,
        "multi_label": _labels,
        "regression": _numbers,
    }[pipeline.task](pipeline, test)


def _classes(pipeline: Pipeline, test: Evaluation) -> list[Html]:
    said, names = test.outputs["class"], pipeline.class_names
    if pipeline.task == "binary":
        second = test.outputs["probability"]
        sure = np.where(said == 1, second, 1 - second)
        true = np.where(test.target == 1, second, 1 - second)
        measured = statistics.calibration(second, test.target == 1)
        axes = (f"probability of {names[1]}", f"share that is {names[1]}")
        extra = [_roc(test.target, second, names[1])]
    else:
        probabilities = test.outputs["probabilities"]
        sure = probabilities.max(axis=1)
        true = probabilities[np.arange(len(sure)), test.target]
        measured = statistics.calibration(sure, said == test.target)
        axes, extra = ("probability of the answer", "share that is right"), []
    index = statistics.worst(sure, said != test.target, examples.how_many(pipeline))
    entries = [
        (f"{names[said[i]]} {_percent(sure[i])}", f"{names[test.target[i]]} {_percent(true[i])}")
        for i in index
    ]
    return [
        _confusion(test.target, said, names, extra),
        _per_class(test.target, said, names),
        _calibration(measured, axes),
        _mistakes(
            "Most confident mistakes",
            f"{count(int((said != test.target).sum()))} of {count(len(said))} test rows are wrong; "
            "those whose wrong answer had the highest probability come first. In colour the "
            "answer, beside it the true class, each with the probability that the model gave it.",
            (pipeline, index, entries, ("answered", "true")),
        ),
    ]


def _confusion(target: np.ndarray, said: np.ndarray, names: Sequence[str], extra: list) -> Html:
    counts = sklearn.metrics.confusion_matrix(target, said, labels=range(len(names)))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    if len(names) <= _LARGEST_MATRIX:
        matrix = _matrix(counts, shares, names)
        body = html.figures(matrix, *extra) if extra else matrix
        remark = "Rows are the true class, columns the answer; shaded by the share of the row."
        return html.section("Confusion", html.note(remark), body)
    off = counts * (1 - np.eye(len(names), dtype=counts.dtype))
    largest = np.argsort(-off, axis=None, kind="stable")[:_PAIRS]
    pairs = [
        (i, j) for i, j in zip(*np.unravel_index(largest, off.shape), strict=True) if off[i, j]
    ]
    lines = [(names[i], names[j], off[i, j], _percent(shares[i, j])) for i, j in pairs]
    header = ("true class", "answered", "rows", "of the true class")
    remark = f"The {len(lines)} pairs of {len(names)} classes that are confused most often."
    return html.section("Confusion", html.note(remark), html.table(header, lines))


def _matrix(counts: np.ndarray, shares: np.ndarray, names: Sequence[str]) -> Html:
    """Counts as a table with coloured cells: right answers in one colour, wrong in another."""
    head = [element("th", element("span", name), scope="col") for name in names]
    kind = "matrix many" if len(names) > 12 else "matrix"
    lines = [element("tr", element("td"), *head)]
    for i, name in enumerate(names):
        cells = [
            element(
                "td",
                counts[i, j] or "",
                # The root makes few but telling confusions visible.
                style=f"--share:{np.sqrt(shares[i, j]):.2f}",
                class_=("right" if i == j else "wrong") + (" strong" if shares[i, j] > 0.3 else ""),
                title=f"{name} answered as {names[j]}: {_percent(shares[i, j])}",
            )
            for j in range(len(names))
        ]
        lines.append(element("tr", element("th", name, scope="row"), *cells))
    return element("div", element("table", *lines, class_=kind), class_="wide")


def _per_class(target: np.ndarray, said: np.ndarray, names: Sequence[str]) -> Html:
    columns = sklearn.metrics.precision_recall_fscore_support(
        target, said, labels=range(len(names)), zero_division=0
    )
    lines = [
        (name, *(_bar(value) for value in values), count(int(support)))
        for name, *values, support in zip(names, *columns, strict=True)
    ]
    means = [float(np.mean(column)) for column in columns[:3]]
    lines.append(("mean of classes", *(_bar(mean) for mean in means), count(len(target))))
    header = ("class", "precision", "recall", "F1", "test rows")
    return html.section("Classes", html.table(header, lines, kind="bars"))


def _labels(pipeline: Pipeline, test: Evaluation) -> list[Html]:
    truth, said = test.target > 0.5, test.outputs["labels"]
    probability, names = test.outputs["probabilities"], pipeline.class_names
    lines, everything = [], []
    for i, name in enumerate(names):
        scores = sklearn.metrics.precision_recall_fscore_support(
            truth[:, i], said[:, i], average="binary", zero_division=0
        )[:3]
        support = int(truth[:, i].sum())
        area = "none"  # where all rows have the label, or no row
        if 0 < support < len(truth):
            area = _bar(sklearn.metrics.roc_auc_score(truth[:, i], probability[:, i]))
        everything.append(scores)
        lines.append((name, *map(_bar, scores), area, count(support)))
    lines.append(("mean of labels", *map(_bar, np.mean(everything, axis=0)), "", count(len(truth))))
    header = ("label", "precision", "recall", "F1", "AUC", "test rows")
    off = np.abs(probability - truth)  # (N, labels)
    label, wrong = off.argmax(axis=1), (truth != said).any(axis=1)
    index = statistics.worst(off.max(axis=1), wrong, examples.how_many(pipeline))
    entries = [
        (
            f"{names[label[i]]} {_percent(probability[i, label[i]])}",
            ", ".join(np.array(names)[truth[i]]) or "no label",
        )
        for i in index
    ]
    return [
        html.section("Labels", html.table(header, lines, kind="bars")),
        _calibration(
            statistics.calibration(probability.ravel(), truth.ravel()),
            ("probability of a label", "share that has it"),
        ),
        _mistakes(
            "Most confident mistakes",
            f"{count(int(wrong.sum()))} of {count(len(truth))} test rows have a wrong label; those "
            "whose probability is farthest from the truth come first.",
            (pipeline, index, entries, ("farthest off", "true")),
        ),
    ]


def _numbers(pipeline: Pipeline, test: Evaluation) -> list[Html]:
    value, target = test.outputs["value"].astype(np.float64), test.target.astype(np.float64)
    error = value - target
    counts, edges = np.histogram(error, bins=min(40, max(5, int(np.sqrt(len(error))))))
    index = statistics.worst(np.abs(error), np.full(len(error), True), examples.how_many(pipeline))
    entries = [
        (number(value[i]), number(target[i]), html.signed(error[i], target[i])) for i in index
    ]
    low, high = np.quantile(np.abs(error), [0.5, 0.9])
    drawn = html.figures(
        html.figure(
            charts.scatter(target, value, f"true {pipeline.target}", "answered"),
            "Answers over true values; on the dashed line they are right.",
        ),
        html.figure(
            charts.histogram(edges, counts, "answered - true", "test rows"),
            f"Half of the errors are below {number(low)}, nine in ten below {number(high)}.",
        ),
    )
    words = ("answered", "true", "error")
    return [
        html.section("Errors", drawn),
        _mistakes("Largest errors", "", (pipeline, index, entries, words)),
    ]


def _calibration(found: statistics.Calibration, axes: tuple[str, str]) -> Html:
    bins = len(found.count)
    drawn = html.figures(
        html.figure(
            charts.bubbles(found.confidence, found.share, found.count, *axes),
            "On the dashed line a probability means what it says; "
            "below it the model is too sure. Areas: answers.",
        ),
        html.figure(
            charts.histogram(np.linspace(0, 1, bins + 1), found.count, axes[0], "answers"),
            "How many answers had which probability.",
        ),
    )
    remark = (
        f"Expected calibration error {number(found.error)}: how far probabilities are from what "
        f"came true, on average over all answers, in {bins} bins."
    )
    return html.section("Calibration", html.note(remark), drawn)


def _roc(target: np.ndarray, probability: np.ndarray, name: str) -> Html:
    if len(np.unique(target)) < 2:
        return html.note("The test rows are of one class: there is no ROC curve.")
    false_alarms, recall, _ = sklearn.metrics.roc_curve(target, probability)
    kept = np.unique(np.linspace(0, len(recall) - 1, 400).astype(np.int64))
    points = list(zip(false_alarms[kept].tolist(), recall[kept].tolist(), strict=True))
    unit = (0.0, 1.0)
    curve = charts.lines(
        {"ROC": points},
        "share of the others taken for it",
        "share found",
        x_range=unit,
        y_range=unit,
        diagonal=True,
    )
    return html.figure(curve, f"ROC curve of {name}, over all thresholds.")


def _mistakes(title: str, remark: str, shown: tuple) -> Html:
    pipeline, index, entries, words = shown
    if not len(index):
        return html.section(title, html.note("No test row is wrong."))
    body = examples.gallery(pipeline, "test", index, entries, words)
    return html.section(title, *([html.note(remark)] if remark else []), body)


def _bar(value: float) -> Html:
    """A share as a number over a bar of that length."""
    return element("span", f"{value:.3f}", class_="share", style=f"--share:{value:.3f}")


def _percent(share: float) -> str:
    """A share in percent; never 100 % of what is not quite all."""
    if 0.9995 <= share < 1:
        return f"{int(share * 1e5) / 1e3:.3f} %"
    return f"{100 * share:.1f} %"
