"""Damages every file of a run: flips bytes, truncates, deletes, or puts another run's there."""

import os
import pathlib
import shutil
import sys
from collections.abc import Callable, Iterator

import attack_runs
import lives
import numpy as np
from attack_runs import Case, Source, Try


def tries(case: Case, top: pathlib.Path, number: int, random: np.random.Generator) -> Iterator[Try]:
    """Every attack on the files of an interrupted and of a finished run.

    Args:
        top: a new folder, in which the runs are made.
        number: number of flipped bytes in each file.
    """
    for state in ("interrupted", "finished"):
        source = attack_runs.measured(case, state, top / "runs")
        other = attack_runs.made(case, state, top / "others" / state, "--seed=1")
        read = {command: reads(source, command, top) for command in source.expected}
        for path in files(source.folder):
            # TensorFlow opens its own logs, unseen by Python.
            logged = attack_runs.LOGS.search(path)
            readers = [c for c in source.expected if logged or path in read[c]]
            for label, change in damages(path, source.folder, other, number, random):
                for command in readers:
                    yield Try(source, f"{label} of {path}", path, change, command)
            for command in source.expected:  # commands that do not read it may still need it
                yield Try(source, f"{path} is gone", path, _removing(path), command)
        for path in folders(source.folder, other):
            for command in source.expected:
                change = _from_other(other / path, path)
                yield Try(source, f"another run's folder instead of {path}", path, change, command)


def files(run: pathlib.Path) -> list[str]:
    """The files of a run, relative to it."""
    paths = (path for path in run.rglob("*") if path.is_file())
    return sorted(path.relative_to(run).as_posix() for path in paths)


def folders(run: pathlib.Path, other: pathlib.Path) -> list[str]:
    """The folders that both runs have, relative to them."""
    paths = (path.relative_to(run) for path in run.rglob("*") if path.is_dir())
    return sorted(path.as_posix() for path in paths if (other / path).is_dir())


def damages(
    path: str, run: pathlib.Path, other: pathlib.Path, number: int, random: np.random.Generator
) -> Iterator[tuple[str, Callable[[pathlib.Path], None]]]:
    """(description of the damage, a function that does it to a copy of the run)."""
    content = (run / path).read_bytes()
    for at in sorted(random.integers(0, max(1, len(content)), number if content else 0).tolist()):
        flipped = bytearray(content)
        flipped[at] ^= 1 << int(random.integers(8))
        yield f"byte {at}", _writing(path, bytes(flipped))
    if content:
        yield "only half", _writing(path, content[: len(content) // 2])
        yield "no byte", _writing(path, b"")
    if (other / path).is_file():
        yield "another run's file instead", _from_other(other / path, path)


def reads(source: Source, command: str, top: pathlib.Path) -> set[str]:
    """The files of the run that the command opens, by Python's audit events."""
    folder = top / f"reads-{source.state}-{command}"
    folder.mkdir()
    attack_runs.copied(source.folder, folder / "run")
    listing = folder / "opened.txt"

    def hook() -> None:
        out = os.open(listing, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

        def heard(event: str, arguments: tuple) -> None:
            if event == "open" and isinstance(arguments[0], str | os.PathLike):
                os.write(out, f"{os.fspath(arguments[0])}\n".encode())

        sys.addaudithook(heard)

    lives.live(source.case.words(command, folder / "run"), folder, hook=hook)
    opened = {pathlib.Path(line) for line in listing.read_text().splitlines()}
    return {path for path in files(source.folder) if folder / "run" / path in opened}


def _removing(path: str) -> Callable[[pathlib.Path], None]:
    return lambda run: (run / path).unlink()


def _writing(path: str, content: bytes) -> Callable[[pathlib.Path], None]:
    return lambda run: (run / path).write_bytes(content) and None


def _from_other(other: pathlib.Path, path: str) -> Callable[[pathlib.Path], None]:
    def change(run: pathlib.Path) -> None:
        if other.is_dir():
            shutil.rmtree(run / path)
            shutil.copytree(other, run / path)
        else:
            shutil.copy(other, run / path)

    return change
