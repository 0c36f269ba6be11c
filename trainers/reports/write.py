"""report.html: what a finished run is worth, on one page that needs no network."""

import os
import pathlib
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trainers.config.settings import Settings
from trainers.errors import ArtefactError

if TYPE_CHECKING:
    from pipelines import Pipeline
    from trainers.evaluation.evaluate import Evaluation

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
    from trainers.evaluation import statistics
    from trainers.reports import page
    from trainers.store import run_folder

    task = pipeline.task
    resampled, intervals = {}, {}
    for split in _SPLITS:
        evaluation = evaluations[split]
        found = statistics.statistics(task, evaluation.outputs, evaluation.target)
        resampled[split] = statistics.bootstrap(found)
        intervals[split] = _intervals(resampled[split])
    baselines, why_no_linear = _baselines(settings, pipeline)
    compared = {}
    for key, name, meaning, outputs in baselines:
        found = statistics.statistics(task, outputs, evaluations["test"].target)
        theirs = statistics.bootstrap(found)
        compared[key] = {
            "name": name,
            "meaning": meaning,
            "test": {
                metric: _rounded(value) for metric, value in statistics.metrics(found).items()
            },
            "intervals": _intervals(theirs),
            "difference": _intervals({k: resampled["test"][k] - theirs[k] for k in theirs}),
        }
    seconds = dict(report["seconds"])
    if started is not None:
        seconds["total"] = round(time.perf_counter() - started, 2)
    report = {**report, "seconds": seconds, "intervals": intervals, "baseline": compared}
    _, facts = run_folder.settings_of(folder)
    finished = page.Finished(
        folder, settings, pipeline, report, facts, evaluations["test"], why_no_linear
    )
    new = folder / ".report.html.new"
    new.write_text(page.draw(finished), encoding="utf-8")
    os.replace(new, folder / "report.html")
    run_folder.write_json(folder / "report.json", report)
    return report


def _intervals(resampled: Mapping[str, Any]) -> dict[str, list[float]]:
    from trainers.evaluation import statistics

    found = {name: statistics.interval(values) for name, values in resampled.items()}
    return {name: [_rounded(value) for value in pair] for name, pair in found.items() if pair}


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _baselines(settings: Settings, pipeline: "Pipeline") -> tuple[list, str]:
    """Simpler models on the same rows, and why the linear one is not among them."""
    from trainers.errors import UsageError
    from trainers.evaluation import baselines

    constant = baselines.constant(pipeline)
    if settings.model == "linear":
        return [constant], "the model is the linear one itself"
    if not settings.report_baseline:
        return [constant], "--report_baseline=false"
    try:
        return [baselines.linear(settings, pipeline), constant], ""
    except UsageError as error:
        return [constant], str(error)


def write_again(folder: pathlib.Path) -> pathlib.Path:
    """Writes the page of the run in a folder; its path.

    Raises:
        ArtefactError: the folder holds no finished run, or its export is gone.
        DataError: the data is not there any more.
    """
    from trainers.evaluation.evaluate import evaluate
    from trainers.store import run_folder
    from trainers.training import data

    settings, _ = run_folder.settings_of(folder)
    finished = run_folder.read_json(folder / "report.json")
    if finished is None:
        raise ArtefactError(f"{folder} is not finished: the same trainers.run command continues it")
    place, version = folder / "export" / settings.model, pathlib.Path(str(finished.get("export")))
    exported = place / version.name
    if folder / version != exported or not exported.is_dir():
        raise ArtefactError(
            f"{folder / version} is gone: python -m trainers.export makes another version"
        )
    pipeline = data.load(settings, folder)
    batch_size = settings.recipe.batch_size
    evaluations = {
        split: evaluate(exported, pipeline, split, batch_size=batch_size)
        for split in ("validation", "test")
    }
    write(folder, settings, pipeline, finished, evaluations)
    return folder / "report.html"
