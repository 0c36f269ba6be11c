"""Attacks the folders of small runs, and counts what becomes of it.

    python benchmarks/attack.py --folder=NEW [--attacks=flips,links,kills] [--cases=table]

    flips   single bytes of every file of an interrupted and of a finished run, files cut, emptied,
            deleted or another run's; then each command that reads the run
    links   at every name that is written in a run: a link to a victim, to a folder or to nothing, a
            FIFO, a folder in place of a file and the other way round; then each command
    kills   SIGKILL at every operation on files, then the same command

A command may refuse in one line (exit code 2, 3, 4 or 6), or answer what it answers about the
untouched run, with a warning or without. Everything else is listed with a line that shows it
again, and the exit code is 1.
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

_FOLDER = flags.DEFINE_string("folder", None, "New; everything is made in it.", required=True)
_ATTACKS = flags.DEFINE_list("attacks", ["flips", "links", "kills"], "Which of the three.")
_CASES = flags.DEFINE_list("cases", ["table", "image", "text"], "Which runs are attacked.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the positions of flips and of the data.")
_NUMBER = flags.DEFINE_integer("number", 3, "Flips in each file; real kills of each run.")
_ONLY = flags.DEFINE_string("only", "", "Attacks whose description has this text alone.")


class Failure(NamedTuple):
    kind: str
    what: str
    detail: str
    line: str  # a command that shows it again


class Count:
    """Outcomes by attack and kind, and the failures among them."""

    def __init__(self, folder: pathlib.Path):
        self.kinds: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
        self.failures: list[Failure] = []
        self._folder = folder

    def add(self, attack: str, one: Try, outcome: Outcome) -> None:
        """Counts an outcome; of a failure the attacked folder is kept."""
        self.kinds[attack][outcome.kind] += 1
        if outcome.kind not in attack_runs.FAILURES:
            return
        run = self._folder / f"{len(self.failures):04d}" / "run"
        what = f"{one.source.case.name}, {one.source.state}, {one.command}: {one.label}"
        line = attack_runs.reproduction(one, run)
        self.failures.append(Failure(outcome.kind, what, outcome.detail, line))
        print(f"{outcome.kind}: {what}\n    {outcome.detail}\n    {line}", flush=True)

    def table(self) -> list[str]:
        """One line an attack: how often each outcome was seen."""
        kinds = ["same", "warned", "refused", *attack_runs.FAILURES]
        lines = ["attack  " + "  ".join(kinds)]
        for attack, counts in self.kinds.items():
            cells = [str(counts[kind]).rjust(len(kind)) for kind in kinds]
            lines.append(f"{attack:6}  " + "  ".join(cells))
        return lines


def outcomes(
    attack: str, case: Case, top: pathlib.Path, number: int, random: np.random.Generator
) -> Iterator[tuple[Try, Outcome]]:
    """Every attack of a kind on the runs of a case, and what became of it."""
    module = {"flips": attack_flips, "links": attack_links, "kills": attack_kills}[attack]
    judge = getattr(module, "judged", attack_runs.judged)
    for i, one in enumerate(module.tries(case, top, number, random)):
        if _ONLY.value not in f"{one.source.state}, {one.command}: {one.label}":
            continue
        place = top / "tries" / str(i)
        life = attack_runs.attempt(one, place, hook=getattr(module, "hook", lambda _: None)(place))
        yield one, judge(one, life, place / "run")
        shutil.rmtree(place)


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
            place = top / f"{name}-{attack}"
            place.mkdir()
            for one, outcome in outcomes(attack, known[name], place, _NUMBER.value, random):
                count.add(attack, one, outcome)
            print(f"{name}, {attack}: {time.monotonic() - began:.0f} s", flush=True)
    print("\n".join(count.table()))
    for failure in count.failures:
        print(f"{failure.kind}: {failure.what}: {failure.detail}\n    {failure.line}")
    sys.exit(1 if count.failures else 0)


if __name__ == "__main__":
    app.run(main)
