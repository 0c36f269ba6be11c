"""SIGKILL at every file operation of a run, then the same command again.

A kill leaves what is on the disk. So instead of killing one process at each operation, one process
is watched and its folder copied before each operation, and once more with half of what is being
written. Real kills at some of the operations show that the copies are what a kill leaves.
"""

import hashlib
import os
import pathlib
import shutil
import signal
import sys
from collections.abc import Callable, Iterator

import attack_runs
import lives
import numpy as np
from attack_runs import Case, Outcome, Try

from trainers.training.callbacks import saver

_CHANGING = {  # audit event -> indices of its paths among the arguments
    "open": (0,),
    "os.mkdir": (0,),
    "os.rename": (0, 1),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.truncate": (0,),
    "os.link": (0, 1),
    "os.symlink": (0, 1),
    "os.chmod": (0,),
}
_ASIDE = ".writing-"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def tries(case: Case, top: pathlib.Path, number: int, random: np.random.Generator) -> Iterator[Try]:
    """Every kill of a run, of one that continues after SIGTERM in a validation, and of an export.

    Args:
        number: number of real kills.
    """
    quiet = attack_runs.measured(case, "new", top / "runs")
    stopped = top / "stopped"
    stopped.mkdir()
    life = lives.live(case.words("run", stopped / "run"), stopped, hook=_stop_in_validation)
    if life.code != 128 + signal.SIGTERM:
        sys.exit(f"error: {case.name}: SIGTERM in a validation: {life.code}\n{life.errors[-2000:]}")
    for state, folder in (("killed", None), ("killed again", stopped / "run")):
        source = quiet._replace(state=state)
        snaps = snapshots(case, "run", folder, top / f"snaps-{state.replace(' ', '-')}")
        for label, snap in snaps:
            yield Try(source._replace(folder=snap), label, "", lambda run: None, "run")
        last = int(snaps[-1][0].split(" ")[1])
        for at in sorted(random.integers(1, last, number).tolist()):
            killed = top / f"kill-{state.replace(' ', '-')}-{at}"
            killed.mkdir()
            attack_runs.copied(folder, killed / "run")
            hook = watching(killed / "run", lambda n, _, at=at: n == at and _die())
            lives.live(case.words("run", killed / "run"), killed, hook=hook)
            label = f"SIGKILL at operation {at}"
            yield Try(source._replace(folder=killed / "run"), label, "", lambda run: None, "run")
    finished = attack_runs.measured(case, "finished", top / "runs")
    for command in ("export", "report"):
        for label, snap in snapshots(case, command, finished.folder, top / f"snaps-{command}"):
            source = finished._replace(state=f"killed in {command}", folder=snap)
            yield Try(source, label, "", lambda run: None, "run")
            yield Try(source, label, "", lambda run: None, "evaluate")


def judged(one: Try, life: lives.Life, run: pathlib.Path) -> Outcome:
    """The outcome; only the same results are good, since nothing but the kill did damage."""
    outcome = attack_runs.judged(one, life, run)
    if outcome.kind in ("refused", "silent difference", "other exit code"):
        return Outcome("other end", outcome.detail)
    return outcome


def operations(case: Case, command: str, folder: pathlib.Path) -> list[str]:
    """The command's operations on the run in `folder`, each with the names of its files."""
    listing = folder / f"{command}.txt"

    def hear(number: int, event: str) -> None:
        with open(listing, "a", encoding="utf-8") as file:
            file.write(f"{event}\n")

    hook = watching(folder / "run", hear)
    lives.live(case.words(command, folder / "run"), folder, hook=hook)
    return listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []


def snapshots(
    case: Case, command: str, source: pathlib.Path | None, folder: pathlib.Path
) -> list[tuple[str, pathlib.Path]]:
    """(the operation that is about to be done, a copy of the run then), without duplicates."""
    (folder / "snaps").mkdir(parents=True)
    run, seen = folder / "run", set()
    attack_runs.copied(source, run)

    def hear(number: int, event: str) -> None:
        if run.exists():
            take(f"{number:05d} before {event}")
            name, *paths = event.split(" ")
            if name == "os.rename" and _ASIDE in paths[0]:  # it was being written until now
                take(f"{number:05d} half of {event}", paths[0])

    def take(label: str, half: str = "") -> None:
        target = folder / "snaps" / label.replace("/", "|")[:200]
        shutil.copytree(run, target, symlinks=True)
        if half:
            _halve(target / half)
        key = _key(target)
        if key in seen:
            shutil.rmtree(target)
        seen.add(key)

    life = lives.live(case.words(command, run), folder, hook=watching(run, hear))
    if life.code:
        sys.exit(f"error: {case.name}: {command}, watched: {life.code}\n{life.errors[-2000:]}")
    snaps = sorted((folder / "snaps").iterdir())
    return [(f"operation {path.name}", path) for path in snaps]


def watching(run: pathlib.Path, hear: Callable[[int, str], None]) -> Callable[[], None]:
    """A hook: calls `hear(number, event)` before each operation that changes the run's files."""
    busy, count = [False], [0]

    def heard(event: str, arguments: tuple) -> None:
        if event not in _CHANGING or busy[0]:
            return
        if event == "open" and not (arguments[2] or 0) & _WRITING:
            return
        busy[0] = True
        try:
            paths = [_relative(run, arguments, i) for i in _CHANGING[event]]
            if all(paths):
                count[0] += 1
                hear(count[0], " ".join([event, *paths]))
        finally:
            busy[0] = False

    return lambda: sys.addaudithook(heard)


def _relative(run: pathlib.Path, arguments: tuple, i: int) -> str:
    """A path of an event relative to the run; empty: it is outside the run."""
    path = arguments[i]
    if not isinstance(path, str | bytes | os.PathLike):
        return ""
    path = os.fsdecode(path)
    handles = [a for a in arguments[i + 1 :] if isinstance(a, int) and a >= 0]
    if not os.path.isabs(path) and handles:  # relative to an open folder, as rmtree does
        path = os.path.join(os.readlink(f"/proc/self/fd/{handles[-1]}"), path)
    relative = os.path.relpath(os.path.abspath(path), run)
    return "" if relative.startswith("..") else relative


def _stop_in_validation() -> None:
    """A hook: sends SIGTERM when the first validation begins."""
    begin, left = saver.Saver.on_test_begin, [1]

    def on_test_begin(self, logs=None):
        left[0] -= 1
        if not left[0]:
            signal.raise_signal(signal.SIGTERM)
        begin(self, logs)

    saver.Saver.on_test_begin = on_test_begin


def _die() -> None:
    signal.raise_signal(signal.SIGKILL)


def _halve(path: pathlib.Path) -> None:
    """Removes half of a file's bytes, or of a folder's files."""
    if path.is_file():
        os.truncate(path, path.stat().st_size // 2)
        return
    for file in sorted(p for p in path.rglob("*") if p.is_file())[1::2]:
        file.unlink()


def _key(run: pathlib.Path) -> str:
    """A hash of everything in the folder, except for the process number in its lock file."""
    digest = hashlib.sha256()
    for path in sorted(run.rglob("*")):
        digest.update(path.relative_to(run).as_posix().encode())
        if path.is_file() and path.name != ".lock":
            digest.update(path.read_bytes())
    return digest.hexdigest()
