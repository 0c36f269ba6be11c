"""The same run with several seeds: settings, statistics of the results, and their table."""

import math
import pathlib
import re
import shlex
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from trainers.config import flags
from trainers.config.settings import Settings
from trainers.errors import UsageError
from trainers.store import sealed
from trainers.studies import child

_CONFIDENCE = 0.95
_MOST = 1000  # runs; above it the number was meant as a seed
_DIGITS = 10  # of 2**31
_GROUPS = ("test", "validation", "seconds")


class Outcome(NamedTuple):
    """How the run of one seed ended."""

    seed: int
    folder: pathlib.Path
    exit_code: int
    report: Mapping[str, Any] | None  # of a run that is complete
    last_line: str  # of its output


def parse_seeds(text: str) -> list[int]:
    """Seeds from a number of them, "5", or a list, "3,7,9". UsageError: neither, or too many."""
    if not re.fullmatch(r"[0-9]+(,[0-9]+)*,?", text):
        raise UsageError(f"--seeds takes a number, 5, or a list, 3,7,9; received {text!r}")
    if max(map(len, text.split(","))) > _DIGITS:
        raise UsageError(f"--seeds: a seed is less than 2**31; received {text:.40}")
    seeds = [int(part) for part in text.split(",") if part]
    if "," not in text and seeds[0] > _MOST:
        raise UsageError(
            f"--seeds={text} asks for more than {_MOST} runs: list their seeds; that seed alone: "
            f"--seeds={text},"
        )
    seeds = seeds if "," in text else list(range(seeds[0]))
    if not seeds or len(seeds) != len(set(seeds)):
        raise UsageError(f"--seeds needs at least one seed, and each only once; received {text!r}")
    return seeds


def plan(seeds: Sequence[int], run_flags: Sequence[str]) -> list[Settings] | None:
    """The settings of each run, all flags checked; None after `--help` or `--list`.

    Raises:
        UsageError: a flag that trainers.run would refuse, or one that repeat has to set itself.
    """
    for flag in run_flags:
        if re.fullmatch(r"--?seed(=.*)?", flag):
            raise UsageError(f"{flag}: the seeds are --seeds=..., before '--'")
    runs = []
    for seed in seeds:
        # Checked in the run's own folder: a run that has begun there needs no --init_from again.
        settings = flags.parse(["run", f"--seed={seed}", *run_flags], part=f"seed-{seed}")
        if settings is None:
            return None
        if settings.dry_run:
            raise UsageError("--dry_run reports nothing to repeat: use trainers.run")
        runs.append(settings)
    return runs


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, sample standard deviation, range and the interval of the mean (Student's t).

    With a single value, or if one is not finite, standard deviation and interval are None.
    """
    import scipy.stats  # half a second that `--help` does not need

    n, mean = len(values), statistics.fmean(values)
    std = low = high = None
    if n > 1 and all(map(math.isfinite, values)):
        std = statistics.stdev(values)
        low = high = mean
    if std:
        scale = std / math.sqrt(n)
        low, high = map(float, scipy.stats.t.interval(_CONFIDENCE, n - 1, mean, scale))
    limits = {"min": min(values), "max": max(values), "low": low, "high": high}
    return {"n": n, "mean": mean, "std": std, **limits, "values": list(values)}


def summary(
    first: Settings, run_flags: Sequence[str], outcomes: Sequence[Outcome]
) -> dict[str, Any]:
    """What is stored as JSON: the runs, those that failed, and the statistics of the others."""
    reports = [outcome.report for outcome in outcomes if outcome.report]
    facts = {name: reports[0][name] for name in ("dataset", "parameters")} if reports else {}
    return {
        "model": first.model,
        "pipeline": first.recipe.pipeline,
        **facts,
        "flags": shlex.join(run_flags),
        "seeds": [outcome.seed for outcome in outcomes if outcome.report],
        "runs": [str(outcome.folder) for outcome in outcomes if outcome.report],
        "failed": [
            {"seed": o.seed, "exit_code": o.exit_code, "message": o.last_line}
            for o in outcomes
            if not o.report
        ],
        "confidence": _CONFIDENCE,
        "statistics": {
            group: {
                # Reports of earlier versions lack some.
                name: spread([r[group][name] for r in reports if name in r[group]])
                for name in dict.fromkeys(name for report in reports for name in report[group])
            }
            for group in _GROUPS
            if reports
        },
    }


def run_seed(settings: Settings, run_flags: Sequence[str]) -> tuple[Outcome, int]:
    """One run in a process of its own, and the signal received during it (0: none)."""
    folder, seed = settings.run_dir, settings.recipe.seed
    folder.parent.mkdir(parents=True, exist_ok=True)
    workdir = [f"--workdir={folder}"] if settings.workdir else []
    ended = child.run([f"--seed={seed}", *run_flags, *workdir], log_path(folder))
    report = sealed.read(folder / "report.json") if ended.exit_code == 0 else None
    return Outcome(seed, folder, ended.exit_code, report, ended.last_line), ended.signal


def outcome_line(outcome: Outcome) -> str:
    """What is printed once a seed is done."""
    report = outcome.report
    if report is None:
        return f"seed {outcome.seed}: exit code {outcome.exit_code}: {outcome.last_line}"
    name = next((name for name in report["test"] if name != "loss"), "loss")
    seconds = report["seconds"]
    return (
        f"seed {outcome.seed}: test {name} {report['test'][name]:.4f}, fit {seconds['fit']:.1f} s, "
        f"total {seconds['total']:.1f} s"
    )


def statistics_table(groups: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The statistics of each group as lines of aligned columns."""
    columns = ("mean", "std", "min", "max", "low", "high")
    titles = ("", "n", "mean", "std", "min", "max", f"{_CONFIDENCE:.0%} from", "to")
    rows = [titles]
    for group, names in groups.items():
        for name, figures in names.items():
            digits = 1 if group == "seconds" else 4
            shown = ("-" if figures[c] is None else f"{figures[c]:.{digits}f}" for c in columns)
            rows.append((f"{group} {name}", str(figures["n"]), *shown))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        f"{name:{widths[0]}}  "
        + "  ".join(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        for name, *cells in rows
    ]


def log_path(folder: pathlib.Path) -> pathlib.Path:
    """The file beside the run folder that its output goes to."""
    return folder.with_name(f"{folder.name}.log")


def common_path(settings: Settings, name: str) -> pathlib.Path:
    """A file beside the runs of all seeds."""
    folder = settings.run_dir
    if settings.workdir:
        return folder.parent / name
    return folder.with_name(f"{folder.name.removesuffix(f's{settings.recipe.seed}')}{name}")
