"""report.html: what a finished run is worth, on one page that needs no network."""

import os
import pathlib
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trainers.setup.settings import Settings

if TYPE_CHECKING:
    from pipelines import Pipeline
    from trainers.evaluate import Evaluation

_SPLITS = ("validation", "test")


def finish(
    folder: pathlib.Path,
    settings: Settings,
    pipeline: "Pipeline",
    report: dict[str, Any],
    evaluations: Mapping[str, "Evaluation"],
    started: float,
) -> dict[str, Any]:
    """Writes the page of a run whose report.json is written; the report with what it adds.

    What goes wrong here loses no finished run: it is told in one line.
    """
    try:
        return write(folder, settings, pipeline, report, evaluations, started)
    except Exception as error:  # whatever it is, the run is finished
        why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        again = f"python -m trainers.report --workdir={folder}"
        print(f"warning: no report.html ({why}); {again} tries again", file=sys.stderr)
        return report


def write(
    folder: pathlib.Path,
    settings: Settings,
    pipeline: "Pipeline",
    report: Mapping[str, Any],
    evaluations: Mapping[str, "Evaluation"],
    started: float | None = None,
) -> dict[str, Any]:
    """Writes report.html, and adds intervals and baselines to report.json.

    Args:
        folder: of the run.
        report: as report.json has it.
        evaluations: of the exported model, by split: validation and test.
        started: `time.perf_counter()` when the command began, whose seconds are told; None: as
            they were.
    """
    from trainers.report import measure, page
    from trainers.setup import workdir

    task = pipeline.task
    resampled, intervals = {}, {}
    for split in _SPLITS:
        evaluation = evaluations[split]
        found = measure.statistics(task, evaluation.outputs, evaluation.target)
        resampled[split] = measure.bootstrap(found)
        intervals[split] = _intervals(resampled[split])
    baselines, why_no_linear = _baselines(settings, pipeline)
    compared = {}
    for key, name, meaning, outputs in baselines:
        found = measure.statistics(task, outputs, evaluations["test"].target)
        theirs = measure.bootstrap(found)
        compared[key] = {
            "name": name,
            "meaning": meaning,
            "test": {metric: _rounded(value) for metric, value in measure.metrics(found).items()},
            "intervals": _intervals(theirs),
            "difference": _intervals({k: resampled["test"][k] - theirs[k] for k in theirs}),
        }
    seconds = dict(report["seconds"])
    if started is not None:
        seconds["total"] = round(time.perf_counter() - started, 2)
    report = {**report, "seconds": seconds, "intervals": intervals, "baseline": compared}
    _, facts = workdir.settings_of(folder)
    finished = page.Finished(
        folder, settings, pipeline, report, facts, evaluations["test"], why_no_linear
    )
    new = folder / ".report.html.new"
    new.write_text(page.draw(finished), encoding="utf-8")
    os.replace(new, folder / "report.html")
    workdir.write_json(folder / "report.json", report)
    return report


def _intervals(resampled: Mapping[str, Any]) -> dict[str, list[float]]:
    from trainers.report import measure

    found = {name: measure.interval(values) for name, values in resampled.items()}
    return {name: [_rounded(value) for value in pair] for name, pair in found.items() if pair}


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _baselines(settings: Settings, pipeline: "Pipeline") -> tuple[list, str]:
    """Simpler models on the same rows, and why the linear one is not among them."""
    from trainers.report import baseline
    from trainers.setup.errors import UsageError

    constant = baseline.constant(pipeline)
    if settings.model == "linear":
        return [constant], "the model is the linear one itself"
    if not settings.report_baseline:
        return [constant], "--report_baseline=false"
    try:
        return [baseline.linear(settings, pipeline), constant], ""
    except UsageError as error:
        return [constant], str(error)
