"""Puts hostile objects at every name that is written in a run: links, FIFOs, folders."""

import hashlib
import os
import pathlib
import re
import shutil
from collections.abc import Callable, Iterator

import attack_kills
import attack_runs
import lives
import numpy as np
from attack_runs import Case, Outcome, Try

_RANDOM = re.compile(r"\.writing-[0-9a-z_]+")
_ASIDE = ".writing-0123456789abcdef"
_BAIT = (  # names that a run may take for its own files and delete
    *("keep.txt", f"{_ASIDE}", "state.npz", "meta.json", "events.out.tfevents.1.host.1.0.v2"),
    *("step-00000001/state.npz", "1/saved_model.pb", f"{_ASIDE}x/state.npz", "report.html"),
)
_tried: set[str] = set()  # names, normalised by `_alike`


def tries(case: Case, top: pathlib.Path, number: int, random: np.random.Generator) -> Iterator[Try]:
    """Every kind of hostile object at every name, in a new, an interrupted and a finished run.

    Names that differ from those of an earlier case only in the model and in numbers are left out.
    """
    del number, random
    states = ("finished", "interrupted", "new")
    sources = [attack_runs.measured(case, state, top / "runs") for state in states]
    names = written(case, sources[0].folder, top)
    names = [name for name in names if _alike(name) not in _tried]
    _tried.update(map(_alike, names))
    for source in sources:
        for path in names:
            for label, change in plants(path).items():
                for command in source.expected:
                    yield Try(source, f"{path} is {label}", path, change, command)


def written(case: Case, finished: pathlib.Path, top: pathlib.Path) -> list[str]:
    """Every name that the commands write in a run, relative to it; random ones count as one."""
    folder = top / "names"
    folder.mkdir()
    names: set[str] = set()
    for command in attack_runs.READERS:
        if command == "predict":
            continue
        events: list[str] = attack_kills.operations(case, command, folder)
        names |= {name for event in events for name in event.split(" ")[1:]}
    for run in (folder / "run", finished):
        names |= {path.relative_to(run).as_posix() for path in run.rglob("*")}
    return sorted({_RANDOM.sub(_ASIDE, name) for name in names} - {"."})


def plants(path: str) -> dict[str, Callable[[pathlib.Path], None]]:
    """Label -> a function that puts it at the path in a run; links lead to `outside` beside it."""
    return {
        "a link to a file": lambda run: _link(run, path, "secret.txt"),
        "a link to a folder": lambda run: _link(run, path, "folder"),
        "a link to nothing": lambda run: _link(run, path, "absent"),
        "a FIFO": lambda run: os.mkfifo(_cleared(run, path)),
        "a folder": lambda run: _folder(run, path),
        "a file": lambda run: _file(run, path),
    }


def hook(folder: pathlib.Path) -> Callable[[], None]:
    """A hook for the forked process, called after the attack and before the command."""
    return lambda: (folder / "before.txt").write_text(_listed(folder)) and None


def judged(one: Try, life: lives.Life, run: pathlib.Path) -> Outcome:
    """The outcome; first of all, whether anything outside the run was touched."""
    before, now = (run.parent / "before.txt").read_text(), _listed(run.parent)
    if before != now:
        changed = sorted({*before.splitlines()} ^ {*now.splitlines()})
        return Outcome("touched outside", "; ".join(changed)[:300])
    return attack_runs.judged(one, life, run)


def _alike(name: str) -> str:
    """The name without its model and numbers."""
    return re.sub(r"\d+", "0", re.sub(r"^export/[^/]+", "export/model", name))


def _link(run: pathlib.Path, path: str, victim: str) -> None:
    outside = run.parent / "outside"
    if not outside.exists():
        for name in _BAIT:
            (outside / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
            (outside / "folder" / name).write_text("bait")
        (outside / "secret.txt").write_text("secret")
    link = _cleared(run, path)
    link.symlink_to(outside / victim)


def _folder(run: pathlib.Path, path: str) -> None:
    folder = _cleared(run, path)
    folder.mkdir()
    (folder / "something").write_text("a")


def _file(run: pathlib.Path, path: str) -> None:
    file = run / path
    if file.is_dir() or not file.exists():
        _cleared(run, path).write_text("a")


def _cleared(run: pathlib.Path, path: str) -> pathlib.Path:
    """The path, at which nothing exists, in a folder that exists."""
    target = run / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)
    return target


def _listed(folder: pathlib.Path) -> str:
    """Everything next to the run: names, kinds, modes, contents."""
    own = {"run", "tmp", "out.txt", "errors.txt", "before.txt"}
    lines = []
    for path in sorted(p for top in folder.iterdir() if top.name not in own for p in _all(top)):
        status = path.lstat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        lines.append(f"{path.relative_to(folder)} {status.st_mode} {status.st_mtime_ns} {digest}")
    return "\n".join(lines)


def _all(path: pathlib.Path) -> list[pathlib.Path]:
    return [path, *path.rglob("*")] if path.is_dir() else [path]
