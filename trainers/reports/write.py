"""Writes report.html: the results of a finished run, on one page that needs no network."""

import logging
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from trainers.evaluation import records, statistics
from trainers.reports import page
from trainers.store import exports, report_file
from trainers.store.files import replace_whole
from trainers.store.finished import Finished, finished
from trainers.tasks import registry
from trainers.tasks.registry import Task

_SPLITS = ("validation", "test")
_NGRAMS = "text_ngram"  # the baseline whose logits are averaged with the model's

logger = logging.getLogger(__name__)


def finish(folder: pathlib.Path) -> dict[str, Any]:
    """Writes the page of a run whose report.json is written; returns the completed report.

    A failure here does not fail the run: it logs one warning, and the same command tries again.

    Raises:
        OSError: disk full or not writable.
    """
    try:
        return write(finished(folder))
    except (OSError, MemoryError):
        raise
    except Exception as error:  # in any case the run is finished
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        again = f"python -m trainers.report --workdir={folder}"
        logger.warning("no report.html (%s); %s tries again", reason, again)
        return report_file.read(folder)


def is_drawn(folder: pathlib.Path, report: Mapping[str, Any]) -> bool:
    """Whether `write` has completed: it adds to the report last."""
    return "intervals" in report and (folder / "report.html").exists()


def write_again(folder: pathlib.Path) -> pathlib.Path:
    """Writes the page of the run in a folder, without its data; returns the page's path.

    Raises:
        ArtefactError: the folder holds no finished run, or its export is gone.
    """
    past = finished(folder)
    exports.check_of_report(folder, past.settings.model, past.report)
    write(past)
    return folder / "report.html"


def write(past: Finished) -> dict[str, Any]:
    """Writes report.html, and adds intervals and comparisons to report.json.

    Everything is read from the run's folder: its report, predictions and examples.
    """
    task = registry.get(past.prepared.task)
    resampled = {split: _resampled(task, past.predictions[split], "outputs") for split in _SPLITS}
    intervals = {split: _intervals(values) for split, values in resampled.items()}
    compared = {
        key: _compared(task, past, key, entry, resampled["test"])
        for key, entry in past.report.get("baseline", {}).items()
    }
    report = {**past.report, "intervals": intervals, "baseline": compared}
    test = records.evaluation_of(past.predictions["test"], report["test"])
    content = page.draw(past, report, test)
    replace_whole(past.folder / "report.html", content.encode())
    report_file.write(past.folder, report)
    return report


def _compared(
    task: Task,
    past: Finished,
    key: str,
    entry: Mapping[str, Any],
    of_model: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """A baseline's metrics, their intervals, and the intervals of the model's minus these."""
    described = {name: entry[name] for name in ("name", "meaning")}
    if task.statistics is None:
        return described | {"test": entry.get("test", {}), "intervals": {}, "difference": {}}
    kept = past.predictions["test"]
    answers = records.evaluation_of(kept, {}, key)
    measured = task.statistics(answers.outputs, answers.target)
    own = statistics.bootstrap(measured)
    compared = described | {
        "test": {name: _rounded(value) for name, value in statistics.metrics(measured).items()},
        "intervals": _intervals(own),
        "difference": _intervals({name: of_model[name] - own[name] for name in own}),
    }
    if key == _NGRAMS and "logits" in answers.outputs:
        compared["both"] = _both(task, past, answers.outputs["logits"], of_model)
    return compared


def _both(
    task: Task, past: Finished, logits: np.ndarray, of_model: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Metrics of the mean of the model's logits and these, and their gain over the model's."""
    answers = records.evaluation_of(past.predictions["test"], {})
    mean = (np.asarray(answers.outputs["logits"], np.float64) + logits) / 2
    measured = task.statistics({**answers.outputs, "logits": mean}, answers.target)
    own = statistics.bootstrap(measured)
    return {
        "test": {name: _rounded(value) for name, value in statistics.metrics(measured).items()},
        "intervals": _intervals(own),
        "difference": _intervals({name: own[name] - of_model[name] for name in own}),
    }


def _resampled(task: Task, kept: Mapping[str, np.ndarray], key: str) -> dict[str, np.ndarray]:
    """The metrics of resamples of the rows; none for a task without statistics."""
    if task.statistics is None:
        return {}
    answers = records.evaluation_of(kept, {}, key)
    return statistics.bootstrap(task.statistics(answers.outputs, answers.target))


def _intervals(resampled: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
    intervals = {name: statistics.interval(values) for name, values in resampled.items()}
    return {name: [_rounded(value) for value in pair] for name, pair in intervals.items() if pair}


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
