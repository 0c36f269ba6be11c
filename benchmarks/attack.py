"""Damages the folders of small runs in many ways, and counts how commands react.

    python benchmarks/attack.py --folder=NEW [--attacks=flips,links,kills] [--cases=table]

    flips   single bytes flipped in every file of an interrupted and of a finished run; files
            truncated, emptied, deleted or replaced by another run's; then each command on the run
    links   at every name that is written in a run: a link to a file, to a folder or to nothing, a
            FIFO, a folder instead of a file, or a file instead of a folder; then each command
    kills   SIGKILL at every file operation, then the same command again

A command may end with a one-line error (exit code 2, 3, 4 or 6), give the same answer as on the
untouched run, with or without a warning, or give another answer with a new warning that names the
damaged path. Everything else is listed with a command that reproduces it, and the exit code is 1.
"""

import collections
import pathlib
import shutil
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import attack_flips
import attack_kills
import attack_links
import attack_runs
import numpy as np
from absl import app, flags
from attack_runs import Case, Outcome, Try

_FOLDER = flags.DEFINE_string("folder", None, "New folder for data and runs.", required=True)
_ATTACKS = flags.DEFINE_list("attacks", ["flips", "links", "kills"], "Attacks to run.")
_CASES = flags.DEFINE_list("cases", ["table", "image", "text"], "Runs to attack.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the data and of the positions of flips.")
_NUMBER = flags.DEFINE_integer("number", 3, "Flips per file; real kills per run.")
_ONLY = flags.DEFINE_string("only", "", "Run only attacks whose description contains this.")


class Failure(NamedTuple):
    kind: str
    what: str
    detail: str
    line: str  # a command that reproduces it


class Count:
    """Outcomes by attack and kind, and the failures among them."""

    def __init__(self, folder: pathlib.Path):
        self.kinds: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
        self.failures: list[Failure] = []
        self._folder = folder

    def add(self, attack: str, one: Try, outcome: Outcome) -> None:
        """Counts an outcome; keeps the attacked folder if it is a failure."""
        self.kinds[attack][outcome.kind] += 1
        if outcome.kind not in attack_runs.FAILURES:
            return
        run = self._folder / f"{len(self.failures):04d}" / "run"
        what = f"{one.source.case.name}, {one.source.state}, {one.command}: {one.label}"
        line = attack_runs.reproduction(one, run)
        self.failures.append(Failure(outcome.kind, what, outcome.detail, line))
        print(f"{outcome.kind}: {what}\n    {outcome.detail}\n    {line}", flush=True)

    def table(self) -> list[str]:
        """One line per attack: the number of each outcome."""
        kinds = ["same", "warned", "refused", *attack_runs.FAILURES]
        lines = ["attack  " + "  ".join(kinds)]
        for attack, counts in self.kinds.items():
            cells = [str(counts[kind]).rjust(len(kind)) for kind in kinds]
            lines.append(f"{attack:6}  " + "  ".join(cells))
        return lines


def outcomes(
    attack: str, case: Case, top: pathlib.Path, number: int, random: np.random.Generator
) -> Iterator[tuple[Try, Outcome]]:
    """Every attack of a kind on the runs of a case, with its outcome."""
    module = {"flips": attack_flips, "links": attack_links, "kills": attack_kills}[attack]
    judge = getattr(module, "judged", attack_runs.judged)
    for i, one in enumerate(module.tries(case, top, number, random)):
        if _ONLY.value not in f"{one.source.state}, {one.command}: {one.label}":
            continue
        folder = top / "tries" / str(i)
        life = attack_runs.attempt(
            one, folder, hook=getattr(module, "hook", lambda _: None)(folder)
        )
        yield one, judge(one, life, folder / "run")
        shutil.rmtree(folder)


def main(argv: list[str]) -> None:
    del argv
    top = pathlib.Path(_FOLDER.value).absolute()
    top.mkdir(parents=True)
    began = time.monotonic()
    known = attack_runs.cases(top / "data", _SEED.value)
    count = Count(top / "failed")
    for name in _CASES.value:
        for attack in _ATTACKS.value:
            random = np.random.default_rng(_SEED.value)
            folder = top / f"{name}-{attack}"
            folder.mkdir()
            for one, outcome in outcomes(attack, known[name], folder, _NUMBER.value, random):
                count.add(attack, one, outcome)
            print(f"{name}, {attack}: {time.monotonic() - began:.0f} s", flush=True)
    print("\n".join(count.table()))
    for failure in count.failures:
        print(f"{failure.kind}: {failure.what}: {failure.detail}\n    {failure.line}")
    sys.exit(1 if count.failures else 0)


if __name__ == "__main__":
    app.run(main)
