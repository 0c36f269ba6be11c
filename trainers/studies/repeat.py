"""The same run over several seeds: settings, processes, statistics and their table."""

import dataclasses
import math
import pathlib
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from trainers.config import flags as recipe_flags
from trainers.config.settings import Settings
from trainers.errors import UsageError
from trainers.store.run_folder import read_json

_CONFIDENCE = 0.95
_GROUPS = ("test", "validation", "seconds")


class Outcome(NamedTuple):
    """How the run of one seed ended."""

    seed: int
    folder: pathlib.Path
    exit_code: int
    report: Mapping[str, Any] | None  # of a run that is complete
    last_line: str  # of its output


def parse_seeds(text: str) -> list[int]:
    """Seeds from a number of them, "5", or a list, "3,7,9". UsageError: neither."""
    if not re.fullmatch(r"[0-9]+(,[0-9]+)*,?", text):
        raise UsageError(f"--seeds takes a number, 5, or a list, 3,7,9; received {text!r}")
    seeds = [int(part) for part in text.split(",") if part]
    seeds = seeds if "," in text else list(range(seeds[0]))
    if not seeds or len(seeds) != len(set(seeds)):
        raise UsageError(f"--seeds needs at least one seed, and each only once; received {text!r}")
    return seeds


def plan(seeds: Sequence[int], words: Sequence[str]) -> list[Settings] | None:
    """The settings of each run, all flags checked; None after `--help` or `--list`.

    Raises:
        UsageError: a flag that trainers.run would refuse, or one that repeat has to set itself.
    """
    for word in words:
        if re.fullmatch(r"--?seed(=.*)?", word):
            raise UsageError(f"{word}: the seeds are --seeds=..., before '--'")
    runs = []
    for seed in seeds:
        settings = recipe_flags.parse(["run", *words, f"--seed={seed}"])
        if settings is None:
            return None
        if settings.dry_run:
            raise UsageError("--dry_run reports nothing to repeat: use trainers.run")
        if settings.workdir:
            workdir = str(pathlib.Path(settings.workdir, f"seed-{seed}"))
            settings = dataclasses.replace(settings, workdir=workdir)
        runs.append(settings)
    return runs


def statistics(values: Sequence[float]) -> dict[str, Any]:
    """Mean, sample standard deviation, range and the interval of the mean (Student's t).

    One value alone has neither deviation nor interval: they are None.
    """
    import scipy.stats

    n, mean = len(values), math.fsum(values) / len(values)
    found = {"n": n, "mean": mean, "deviation": None, "min": min(values), "max": max(values)}
    found |= {"low": None, "high": None}
    if n > 1:
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
        reach = float(scipy.stats.t.ppf((1 + _CONFIDENCE) / 2, n - 1)) * deviation / math.sqrt(n)
        found |= {"deviation": deviation, "low": mean - reach, "high": mean + reach}
    return {**found, "values": list(values)}


def summary(first: Settings, words: Sequence[str], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What is kept as JSON: the runs, those that failed, and the statistics of the others."""
    reports = [outcome.report for outcome in outcomes if outcome.report]
    facts = {word: reports[0][word] for word in ("dataset", "parameters")} if reports else {}
    return {
        "model": first.model,
        "pipeline": first.recipe.pipeline,
        **facts,
        "flags": shlex.join(words),
        "seeds": [outcome.seed for outcome in outcomes if outcome.report],
        "runs": [str(outcome.folder) for outcome in outcomes if outcome.report],
        "failed": [
            {"seed": o.seed, "exit_code": o.exit_code, "message": o.last_line}
            for o in outcomes
            if not o.report
        ],
        "confidence": _CONFIDENCE,
        "statistics": {
            group: {name: statistics([r[group][name] for r in reports]) for name in names}
            for group, names in ((group, reports[0][group]) for group in _GROUPS if reports)
        },
    }


def run_seed(settings: Settings, words: Sequence[str]) -> tuple[Outcome, int]:
    """One run in a process of its own, and the signal that came meanwhile (0: none)."""
    folder, log = settings.run_dir, log_path(settings.run_dir)
    folder.parent.mkdir(parents=True, exist_ok=True)
    seed = settings.recipe.seed
    command = [sys.executable, "-m", "trainers.run", *words, f"--seed={seed}"]
    command += [f"--workdir={folder}"] if settings.workdir else []
    child, came = None, []

    def pass_on(number, frame):
        came.append(number)
        if child is not None:
            child.send_signal(number)

    earlier = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with open(log, "ab") as output:
            start = output.tell()
            # A process group of its own: a Ctrl-C at the terminal reaches it once, through us.
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        for number in came:  # before there was a child to pass it on to
            child.send_signal(number)
        code = child.wait()
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
    code = 128 - code if code < 0 else code  # killed by a signal: as a shell says it
    report = read_json(folder / "report.json") if code == 0 else None
    lines = log.read_bytes()[start:].decode(errors="replace").split("\n")
    said = [line for line in lines if line.startswith("error:")] or [x for x in lines if x.strip()]
    return Outcome(seed, folder, code, report, said[-1] if said else ""), max(came, default=0)


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
    columns = ("mean", "deviation", "min", "max", "low", "high")
    titles = ("", "n", "mean", "sd", "min", "max", f"{_CONFIDENCE:.0%} from", "to")
    rows = [titles]
    for group, names in groups.items():
        for name, found in names.items():
            places = 1 if group == "seconds" else 4
            shown = ("-" if found[c] is None else f"{found[c]:.{places}f}" for c in columns)
            rows.append((f"{group} {name}", str(found["n"]), *shown))
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
