"""The page: one HTML file that needs no network and runs no script."""

import dataclasses
import datetime
import json
import pathlib
import shlex
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

import zoo
from pipelines import Pipeline
from trainers.config.flags import command_line
from trainers.config.settings import LOWER_IS_BETTER, Settings
from trainers.evaluation import statistics
from trainers.evaluation.evaluate import Evaluation
from trainers.reports import html, sections
from trainers.reports.html import Html, count, element, number

# The one metric of each task that the page begins with.
MAIN = {
    "classification": "accuracy",
    "binary": "accuracy",
    "multi_label": "f1",
    "regression": "mean_absolute_error",
}
# A browser that obeys it loads nothing and runs nothing, whatever a class is called.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Finished(NamedTuple):
    """A finished run with everything that was measured of it."""

    folder: pathlib.Path
    settings: Settings
    pipeline: Pipeline
    report: Mapping[str, Any]  # report.json with `intervals` and `baseline`
    facts: Mapping[str, Any]  # run.json
    test: Evaluation
    why_no_linear: str  # "" where the linear baseline is there


def draw(run: Finished) -> str:
    """The whole page as text."""
    title = f"{run.settings.model} on {run.pipeline.source}"
    body = [
        _head(run, title),
        _curves(run),
        _metrics(run),
        *sections.sections(run.pipeline, run.test),
        _recipe(run),
        _reproduce(run),
    ]
    style = Html(resources.files("trainers.reports").joinpath("style.css").read_text("utf-8"))
    head = Html(
        '<meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{html.text(_POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
    )
    head = element("head", head, element("title", title), element("style", style))
    page = element("html", head, element("body", element("main", *body)), lang="en")
    return f"<!doctype html>\n{page}\n"


def _head(run: Finished, title: str) -> Html:
    report, facts, main = run.report, run.facts, MAIN[run.pipeline.task]
    exported = run.folder / report["export"]
    day = datetime.datetime.fromtimestamp(exported.stat().st_mtime, datetime.UTC)
    beside = [
        element(
            "p", element("b", number(found["test"][main])), f" {found['name']}: {found['meaning']}"
        )
        for found in report["baseline"].values()
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
        "fit": _duration(seconds["fit"]),
        "in all": _duration(seconds["total"]),
        "seed": report["seed"],
    }
    lines = [element("div", element("dt", k), element("dd", v)) for k, v in values.items()]
    return element(
        "header",
        element("p", f"Training run, exported {day:%Y-%m-%d %H:%M} UTC", class_="kicker"),
        element("h1", title),
        element("div", key, element("dl", *lines), class_="summary"),
    )


def _range(report: Mapping[str, Any], split: str, metric: str) -> Html:
    """A metric's interval, set small."""
    found = report["intervals"][split].get(metric)
    shown = f" {number(found[0])} to {number(found[1])}" if found else ""
    return element("span", shown, class_="interval")


def _curves(run: Finished) -> Html:
    points = epochs(run.folder / "metrics.jsonl")
    if not points["validation"]:
        return html.section("Training", html.note("metrics.jsonl has no finished epoch."))
    main = MAIN[run.pipeline.task]
    mark = (_exported_epoch(run.settings, points["validation"]), "exported")
    charts = []
    for metric in ("loss", main):
        series = {
            split: [(line["epoch"], line[f"epoch/{metric}"]) for line in found]
            for split, found in points.items()
        }
        chart = charts.lines(series, "epoch", metric.replace("_", " "), mark=mark)
        charts.append(html.figure(chart, ""))
    remark = (
        "Training values are means over the epoch while the weights still change, with dropout "
        "and augmentation where the recipe has them; validation values are of the epoch's end."
    )
    for back in run.report.get("rollbacks", ()):
        remark += (
            f" The run was gone back from step {back['step']} to step {back['to']}, and its "
            f"learning rate halved from there: {back['because']}."
        )
    return html.section("Training", html.figures(*charts), html.note(remark))


def epochs(path: pathlib.Path) -> dict[str, list[dict[str, Any]]]:
    """The lines of metrics.jsonl that end an epoch, by split."""
    found: dict[str, list[dict[str, Any]]] = {"train": [], "validation": []}
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        line = json.loads(text)
        if "epoch/loss" in line:
            found[line["split"]].append(line)
    return found


def _exported_epoch(settings: Settings, validation: list[dict[str, Any]]) -> int:
    """The epoch whose weights were exported: the last one, or the first of the best value."""
    if settings.keep == "last":
        return validation[-1]["epoch"]
    sign = 1 if settings.recipe.monitor in LOWER_IS_BETTER else -1
    monitored = f"epoch/{settings.recipe.monitor}"
    return min(validation, key=lambda line: sign * line[monitored])["epoch"]


def _metrics(run: Finished) -> Html:
    report, rows = run.report, run.facts["data"]["rows"]
    first, *rest = report["baseline"].values()
    header = ["", f"test ({count(rows['test'])})", f"validation ({count(rows['validation'])})"]
    header += [
        f"{first['name']}, test",
        "difference",
        *(f"{found['name']}, test" for found in rest),
    ]
    lines = [
        (
            metric.replace("_", " "),
            *(_measured(report, split, metric) for split in ("test", "validation")),
            _of(first, metric),
            _difference(first, metric, report["test"][metric]),
            *(_of(found, metric) for found in rest),
        )
        for metric in report["test"]
    ]
    remark = (
        "Computed by the exported SavedModel from raw inputs. In small print: 95 % percentile "
        f"bootstrap intervals over the rows ({statistics.RESAMPLES} resamples); those of a "
        "difference draw the same rows for both models. They tell what other test rows would do, "
        "not what another seed of the training would."
    )
    found = report["intervals"]["test"].items()
    points = [metric for metric, (low, high) in found if low == high]
    if points:
        remark += (
            f" An interval that is one point ({', '.join(points)}) says too little: with no "
            "mistake among n rows, up to 3/n of all others may still be mistaken (rule of three)."
        )
    why = [html.note(f"No linear baseline: {run.why_no_linear}")] if run.why_no_linear else []
    return html.section(
        "Metrics", html.table(header, lines, kind="numbers"), html.note(remark), *why
    )


def _measured(report: Mapping[str, Any], split: str, metric: str) -> Html:
    return html.join((number(report[split][metric]), _range(report, split, metric)), "")


def _of(baseline: Mapping[str, Any], metric: str) -> str:
    return number(baseline["test"][metric]) if metric in baseline["test"] else ""


def _difference(baseline: Mapping[str, Any], metric: str, value: float) -> Html:
    """How much more the model has than a baseline, with the interval of that."""
    if metric not in baseline["difference"] or metric not in baseline["test"]:
        return Html("")
    low, high = (html.signed(end, value) for end in baseline["difference"][metric])
    interval = element("span", f"{low} to {high}", class_="interval")
    return html.join((html.signed(value - baseline["test"][metric], value), interval), " ")


def _recipe(run: Finished) -> Html:
    settings, recipe = run.settings, run.settings.recipe
    described = zoo.describe(settings.model)
    lines = [
        (field.name, getattr(recipe, field.name), getattr(described.recipe, field.name), field)
        for field in dataclasses.fields(recipe)
    ]
    rows = [_field(name, value, own, field.metadata["help"]) for name, value, own, field in lines]
    for name, own in described.hparams.items():
        if name != "task":
            rows.append(_field(f"hparams: {name}", settings.hparams.get(name, own), own, ""))
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.name not in ("model", "recipe", "hparams", "workdir") and value:
            rows.append(_field(field.name, value, field.default, field.metadata["help"]))
    remark = (
        f"Marked: what differs from {settings.model}'s own recipe, with the value it has there."
    )
    table = html.table(("field", "value", "meaning"), rows, kind="recipe")
    return html.section("Recipe", html.note(remark), table)


def _field(name: str, value: Any, own: Any, meaning: str) -> tuple[Any, ...]:
    if (value or None) == (own or None):
        return name, _plain(value), meaning
    was = element("span", f" instead of {_plain(own)}", class_="was")
    return name, element("mark", _plain(value), was), meaning


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={part!r}" for key, part in value.items()) or "none"
    return "not given" if value in ("", (), None) else str(value)


def _reproduce(run: Finished) -> Html:
    facts, exported = run.facts, run.folder / run.report["export"]
    recipe = dataclasses.replace(run.settings.recipe, precision=facts["precision"])
    replicas = run.settings.replicas or (facts["replicas"] if facts["replicas"] > 1 else 0)
    again = dataclasses.replace(
        run.settings,
        recipe=recipe,
        replicas=replicas,
        workdir=f"{run.folder}-again",
        resume_with_changes=False,
    )
    command = _shell(["python -m trainers.run", *map(shlex.quote, command_line(again))])
    request = exported / "assets.extra" / "request.json"
    words = (f"--workdir={run.folder}", str(request))
    query = _shell(["python -m trainers.predict", *map(shlex.quote, words)])
    data, hardware = facts["data"], facts["hardware"]
    rows = ", ".join(f"{count(number)} {split}" for split, number in data["rows"].items())
    values = {
        "data": f"{data['source']}, {rows} rows",
        "fingerprint of the data": data["fingerprint"],
        "precision": f"{facts['precision']}: {facts['precision_because']}",
        "replicas": facts["replicas"],
        "hardware": f"{hardware['cpu']}, {hardware['cores']} cores, "
        f"{', '.join(hardware['gpus']) or 'no GPU'}",
        "platform": hardware["platform"],
        "versions": ", ".join(f"{name} {version}" for name, version in facts["versions"].items()),
        "folder of the run": run.folder.resolve(),
        "export": exported.resolve(),
    }
    lines = [element("div", element("dt", k), element("dd", v)) for k, v in values.items()]
    promise = "The same numbers, on the same kind of machine with the same versions:"
    if run.settings.resume_with_changes:
        promise = "The run was continued with other settings than before; with the last ones:"
    return html.section(
        "Reproduce",
        html.note(promise),
        element("pre", command),
        html.note("Ask the exported model:"),
        element("pre", query),
        element("dl", *lines, class_="facts"),
    )


def _shell(words: Sequence[str]) -> str:
    """A command on several lines, to be copied as it stands."""
    return " \\\n  ".join(words)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
