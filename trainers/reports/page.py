"""The report's page: one HTML file that needs no network and runs no script."""

from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

from trainers.evaluation import records, statistics
from trainers.evaluation.evaluate import Evaluation
from trainers.reports import charts, examples, generated, html, probe, rebuilt, recipe, word_vectors
from trainers.reports.html import Html, count, element, number
from trainers.store import logs
from trainers.store.finished import Finished
from trainers.tasks import registry

# With this policy a browser loads nothing and runs nothing, whatever a class is called.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

Report = Mapping[str, Any]  # report.json with `intervals` and `baseline`


def draw(past: Finished, report: Report, test: Evaluation) -> str:
    """The whole page as text.

    Args:
        report: as report.json has it, with intervals and baselines.
        test: answers to the test split.
    """
    title = f"{past.settings.model} on {past.prepared.source}"
    body = [
        _head(past, report, title),
        _curves(past),
        _metrics(past, report),
        *([probe.section(report["probe"])] if "probe" in report else []),
        *_of_the_task(past, report, test),
        recipe.recipe(past.settings),
        recipe.reproduce(past, report),
    ]
    style = Html(resources.files("trainers.reports").joinpath("style.css").read_text("utf-8"))
    head = Html(
        '<meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(_POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
    )
    head = element("head", head, element("title", title), element("style", style))
    page = element("html", head, element("body", element("main", *body)), lang="en")
    return f"<!doctype html>\n{page}\n"


def _of_the_task(past: Finished, report: Report, test: Evaluation) -> list[Html]:
    """The sections that the task adds, and the rows of its mistakes."""
    prepared, task = past.prepared, registry.get(past.prepared.task)
    drawn = list(task.sections(prepared, test)) if task.sections else []
    if task.generates:
        names, judged = prepared.class_names, report.get("judged", {})
        drawn += generated.sections(past.samples, names, judged, past.settings)
    if "rebuilt" in past.examples:
        drawn.append(rebuilt.section(past.examples["rebuilt"]))
    if task.vectors:
        drawn += word_vectors.sections(*task.vectors(prepared, past.weights))
    if task.mistakes:
        mistakes = task.mistakes(prepared, test, records.how_many(prepared))
        drawn.append(examples.mistakes_section(prepared, mistakes, test.row, past.examples))
    return drawn


def utc(moment: str) -> str:
    """A moment of report.json for readers: 2026-11-29T17:28+00:00 as 2026-11-29 17:28 UTC."""
    return moment.replace("T", " ").replace("+00:00", " UTC")


def _head(past: Finished, report: Report, title: str) -> Html:
    facts, main = past.facts, registry.describe(past.prepared.task).main_metric
    exported = f", exported {utc(report['exported'])}" if "exported" in report else ""
    beside = [
        element(
            "p",
            element("b", number(beside["test"][main])),
            f" {beside['name']}: {beside['meaning']}",
        )
        for beside in report["baseline"].values()
        if main in beside["test"]
    ]
    key = element(
        "div",
        element("p", number(report["test"][main]), class_="key"),
        element("p", f"test {main.replace('_', ' ')}", _range(report, "test", main), class_="of"),
        element("div", *beside, class_="beside"),
        class_="figure",
    )
    seconds = report["seconds"]
    values = {
        "parameters": count(report["parameters"]),
        "training rows": count(facts["data"]["rows"]["train"]),
        "test rows": count(facts["data"]["rows"]["test"]),
        "epochs": report["epochs"],
        "precision": report["precision"],
        "training time": _duration(seconds["fit"]),
        "total time": _duration(seconds["total"]),
        "seed": report["seed"],
    }
    lines = [element("div", element("dt", k), element("dd", v)) for k, v in values.items()]
    return element(
        "header",
        element("p", f"Training run{exported}", class_="kicker"),
        element("h1", title),
        element("div", key, element("dl", *lines), class_="summary"),
    )


def _range(report: Mapping[str, Any], split: str, metric: str) -> Html:
    """A metric's interval in small print."""
    interval = report["intervals"][split].get(metric)
    shown = f" {number(interval[0])} to {number(interval[1])}" if interval else ""
    return element("span", shown, class_="interval")


def _curves(past: Finished) -> Html:
    log = logs.lines(past.folder / "metrics.jsonl")
    points = epochs(log.entries)
    damage = [html.note(f"{log.damaged} damaged lines of metrics.jsonl are left out.")]
    damage = damage if log.damaged else []
    if not points["validation"]:
        none = past.report.get("steps", {}).get("last") == 0
        frozen = "No step was taken: every weight is frozen."
        why = html.note(frozen if none else "metrics.jsonl has no completed epoch.")
        return html.section("Training", why, *damage)
    main = registry.describe(past.prepared.task).main_metric
    mark = (_exported_epoch(past, points["validation"]), "exported")
    drawn = []
    for metric in dict.fromkeys(("loss", main)):
        series = {
            split: [
                (line["epoch"], line[f"epoch/{metric}"])
                for line in lines
                if f"epoch/{metric}" in line
            ]
            for split, lines in points.items()
        }
        chart = charts.lines(series, "epoch", metric.replace("_", " "), mark=mark)
        drawn.append(html.figure(chart, ""))
    remark = (
        "Training values are averages over an epoch while the weights change, with dropout and "
        "augmentation if the recipe has them; validation values are computed after each epoch."
    )
    for back in past.report.get("rollbacks", ()):
        remark += (
            f" At step {back['step']} the run went back to step {back['to']} and continued at half "
            f"the learning rate: {back['because']}."
        )
    return html.section("Training", html.figures(*drawn), html.note(remark), *damage)


def epochs(lines: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The lines of metrics.jsonl that end an epoch, by split."""
    ends: dict[str, list[Mapping[str, Any]]] = {"train": [], "validation": []}
    for line in lines:
        if "epoch/loss" in line:
            ends[line["split"]].append(line)
    return ends


def _exported_epoch(past: Finished, validation: list[dict[str, Any]]) -> int:
    """The epoch whose weights were exported.

    It is that of the exported step. If the report or the log lacks it, it is the last epoch, or the
    first with the best value.
    """
    settings = past.settings
    step = past.report.get("steps", {}).get(settings.keep)
    exact = [line["epoch"] for line in validation if step is not None and line.get("step") == step]
    if exact:
        return exact[-1]
    if settings.keep == "last":
        return validation[-1]["epoch"]
    sign = 1 if registry.lower_is_better(settings.recipe.monitor) else -1
    monitored = f"epoch/{settings.recipe.monitor}"
    with_value = [line for line in validation if monitored in line] or validation[-1:]
    return min(with_value, key=lambda line: sign * line.get(monitored, 0.0))["epoch"]


def _metrics(past: Finished, report: Report) -> Html:
    rows, baselines = past.facts["data"]["rows"], list(report["baseline"].values())
    header = ["", f"test ({count(rows['test'])})", f"validation ({count(rows['validation'])})"]
    for i, beside in enumerate(baselines):
        header += [f"{beside['name']}, test", *(["difference"] if i == 0 else [])]
    lines = []
    for metric, value in report["test"].items():
        line = [metric.replace("_", " ")]
        line += [_measured(report, split, metric) for split in ("test", "validation")]
        for i, beside in enumerate(baselines):
            line += [_of(beside, metric), *([_difference(beside, metric, value)] if i == 0 else [])]
        lines.append(line)
    remark = (
        "Computed by the exported SavedModel. In small print: 95 % percentile "
        f"bootstrap intervals over the rows ({statistics.RESAMPLES} resamples); those of "
        "differences resample the same rows for both models. They show how the results vary with "
        "the choice of test rows, not with the training seed."
    )
    intervals = report["intervals"]["test"].items()
    points = [metric for metric, (low, high) in intervals if low == high]
    if points:
        remark += (
            f" An interval of zero width ({', '.join(points)}) understates the uncertainty: with "
            "no mistake in n rows, the true error rate may still be up to 3/n (rule of three)."
        )
    reason, beaten = report.get("no_baseline"), not_beaten(past.prepared.task, report)
    notes = [f"No trained baseline: {reason}"] if reason else []
    together = both(past.prepared.task, report)
    notes = [*(note for note in (beaten, together) if note), remark, *notes]
    return html.section(
        "Metrics", html.table(header, lines, kind="numbers"), *map(html.note, notes)
    )


def not_beaten(task: str, report: Report) -> str:
    """A sentence if the model is not better than its first baseline; else empty.

    It is better if the interval of the difference in the main metric is on the better side of zero.
    """
    main, beside = registry.describe(task).main_metric, next(iter(report["baseline"].values()), {})
    if main not in beside.get("difference", {}):
        return ""
    sign = -1 if registry.lower_is_better(main) else 1
    low, high = sorted(sign * end for end in beside["difference"][main])
    if low > 0:
        return ""
    how = "is worse than" if high < 0 else "does not beat"
    return f"The model {how} the {beside['name']} in {main.replace('_', ' ')} on these test rows."


def both(task: str, report: Report) -> str:
    """A sentence on the mean of the model's and its first baseline's logits; empty if unknown."""
    main, beside = registry.describe(task).main_metric, next(iter(report["baseline"].values()), {})
    figures = beside.get("both", {})
    if main not in figures.get("difference", {}):
        return ""
    value, (low, high) = figures["test"][main], figures["difference"][main]
    return (
        f"Averaging the model's logits with those of the {beside['name']} gives a test "
        f"{main.replace('_', ' ')} of {number(value)}: {html.signed(low, value)} to "
        f"{html.signed(high, value)} compared with the model alone."
    )


def _measured(report: Mapping[str, Any], split: str, metric: str) -> Html:
    """A metric and its interval; undefined if no resample has one, as AUC of one class."""
    intervals = report["intervals"][split]
    if intervals and metric not in intervals:
        return html.escape("undefined")
    return html.join((number(report[split][metric]), _range(report, split, metric)), "")


def _of(baseline: Mapping[str, Any], metric: str) -> str:
    return number(baseline["test"][metric]) if metric in baseline["test"] else ""


def _difference(baseline: Mapping[str, Any], metric: str, value: float) -> Html:
    """The model's metric minus a baseline's, with the interval of the difference."""
    if metric not in baseline["difference"] or metric not in baseline["test"]:
        return Html("")
    low, high = (html.signed(end, value) for end in baseline["difference"][metric])
    interval = element("span", f"{low} to {high}", class_="interval")
    return html.join((html.signed(value - baseline["test"][metric], value), interval), " ")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
