"""The folder of a run: one run, one process at a time, and only the run that it belongs to."""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import logging
import os
import pathlib
import sys
import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from trainers.config.fields import as_json
from trainers.config.settings import FIELDS, Settings, recorded_identity, resolve
from trainers.errors import ArtefactError, BusyError, UsageError
from trainers.store import files, schema, untrusted
from trainers.store import state as state_file

if TYPE_CHECKING:  # at run time it would bring TensorFlow to commands that only refuse
    from pipelines.core.prepared import Prepared

FORMAT = 2  # of run.json; 1: no number, no `serving`, a fitted state without parts
_LOG = logging.getLogger(__name__)
_MARKER = "run.json"
_RECORDED = {  # what every run.json has
    **dict.fromkeys(("identity", "settings", "data"), dict),
    **dict.fromkeys(("run", "precision"), str),
    "starts": list,
}


class Run(NamedTuple):
    """A run whose folder this process holds."""

    folder: pathlib.Path
    number: str  # drawn at its first start, carried by its checkpoints
    settings: Settings
    prepared: "Prepared"
    facts: Mapping[str, Any]  # what run.json holds


@contextlib.contextmanager
def claim(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Holds the run's folder for this process; the kernel lets go of it however the process ends.

    Raises:
        UsageError: the folder has other things in it.
        BusyError: another process holds it.
        OSError: it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--workdir={folder} is a file")
    if folder.is_dir() and not (folder / _MARKER).exists():
        # Of a run that ended before its first step.
        begun = {".lock", "pipeline", *(path.name for path in files.unfinished(folder))}
        others = sorted(p.name for p in folder.iterdir() if p.name not in begun)
        if others:
            raise UsageError(
                f"--workdir={folder} already contains other files ({', '.join(others[:3])}): "
                "choose an empty folder"
            )
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise BusyError(
                f"{folder} is in use by process {lock.read().strip() or '?'}"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        for left in (*files.unfinished(folder), *files.unfinished(folder / "pipeline")):
            left.unlink()
        yield folder


def is_recorded(folder: pathlib.Path) -> bool:
    """Whether a run has begun in the folder."""
    return (folder / _MARKER).exists()


def forget(folder: pathlib.Path) -> None:
    """Takes back the record and the state of a run that was refused before its first step."""
    for path in (folder / _MARKER, folder / "pipeline" / "state.npz"):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it holds something, or was not made yet
        (folder / "checkpoints").rmdir()


def write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file whole or not at all."""
    files.replace_whole(path, json.dumps(content, indent=1, default=str).encode())


def read_json(path: pathlib.Path) -> dict[str, Any] | None:
    """A JSON file's content; None where there is no file. ArtefactError: it is damaged."""
    if not path.exists():
        return None
    try:
        return untrusted.read_json(path)
    except ValueError as error:
        raise ArtefactError(f"{path} is damaged: {error}") from error


def check_identity(folder: pathlib.Path, settings: Settings, precision: str) -> None:
    """Refuses to continue a run under settings that would change its numbers.

    Raises:
        ArtefactError: it lists the fields that differ, then and now, and the ways out.
    """
    earlier = _recorded(folder)
    if earlier is None or settings.resume_with_changes:
        return
    try:
        then = recorded_identity(earlier["identity"])
    except UsageError as error:
        raise ArtefactError(f"{folder / _MARKER} is damaged: {error}") from error
    changed = _differences(then, _identity(settings, precision))
    if changed:
        raise ArtefactError(
            f"{folder} is a run with other settings ({'; '.join(changed)}): repeat its settings, "
            "choose another --workdir, or continue it with --resume_with_changes"
        )


def check_data(folder: pathlib.Path, settings: Settings, prepared: "Prepared") -> None:
    """ArtefactError where the data is not that which the run in this folder began with."""
    earlier = _recorded(folder)
    if earlier is None or settings.resume_with_changes:
        return
    if _format(earlier) < FORMAT:
        _LOG.warning("%s was begun by an earlier version: its data cannot be compared", folder)
        return
    then, now = earlier["data"].get("fingerprint"), data_fingerprint(prepared)
    if then != now:
        raise ArtefactError(
            f"the data is not that of {folder}: {prepared.source} had fingerprint "
            f"{then}, now {now}; choose another --workdir"
        )


def record(
    folder: pathlib.Path,
    settings: Settings,
    prepared: "Prepared",
    precision: str,
    facts: Mapping[str, Any],
) -> Run:
    """Writes run.json: what was asked, resolved, on which data, and `facts` of the machine.

    `facts` are kept for every start of the run. Where they are not those of the first start it
    still continues, and warns that it may not be to the bit.
    """
    earlier = _recorded(folder) or {"run": uuid.uuid4().hex[:16], "starts": []}
    now = as_json(facts)
    if earlier["starts"]:
        changed = _differences(earlier["starts"][0], now)
        if changed:
            _LOG.warning(
                "%s was begun under other conditions (%s): it continues, but not to the same bits",
                folder,
                "; ".join(changed),
            )
    content = {
        "format": FORMAT,
        "run": earlier["run"],
        "command": sys.argv,
        "identity": _identity(settings, precision),
        "settings": dataclasses.asdict(settings),
        "precision": precision,
        "data": {
            "source": prepared.source,
            "rows": {split: rows.num_rows for split, rows in prepared.rows.items()},
            "fingerprint": data_fingerprint(prepared),
        },
        "serving": {"form": prepared.form, "schema": schema.to_json(prepared.schema)},
        **facts,
        "starts": [*earlier["starts"], now],
    }
    write_json(folder / _MARKER, content)
    return Run(folder, content["run"], settings, prepared, content)


def finished_report(folder: pathlib.Path, settings: Settings) -> dict[str, Any] | None:
    """The report of a run that is complete as these settings ask; None: there is work to do."""
    report = read_json(folder / "report.json")
    if report is None:
        return None
    if not isinstance(report.get("epochs"), int):
        raise ArtefactError(f"{folder / 'report.json'} is damaged: it has no epochs")
    return report if report["epochs"] >= settings.recipe.epochs else None


def settings_of(folder: pathlib.Path) -> tuple[Settings, dict[str, Any]]:
    """The settings of a run that was made before, and all that its run.json says.

    Raises:
        ArtefactError: there is no run in the folder, or one that this version cannot be asked for.
    """
    facts = _recorded(folder)
    if facts is None:
        raise ArtefactError(
            f"{folder} holds no run: train one with python -m trainers.run --workdir={folder}"
        )
    stored = facts["settings"]
    here = {"workdir": str(folder), "debug": False, "dry_run": False}
    try:
        changes = {
            name: value
            for name, value in {**stored, **stored["recipe"], **here}.items()
            if name in FIELDS and name != "model"
        }
        return resolve(stored["model"], changes), facts
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{folder / _MARKER} does not describe a run: {error}") from error


def data_fingerprint(prepared: "Prepared") -> str:
    """A short hash of all rows of prepared data and of what was fitted on them.

    Of rows on disk: of their number, and of their files' description (`Rows.identity`).
    """
    digest = hashlib.sha256(files.fingerprint(state_file.flat(prepared.state)).encode())
    for split, rows in sorted(prepared.rows.items()):
        content = files.fingerprint(rows.table) if rows.table is not None else rows.identity
        digest.update(f"{split}:{rows.num_rows}:{content};".encode())
    return digest.hexdigest()[:16]


def _recorded(folder: pathlib.Path) -> dict[str, Any] | None:
    """What run.json says; None where there is none. ArtefactError: it is damaged."""
    facts = read_json(folder / _MARKER)
    if facts is None:
        return None
    wrong = [key for key, kind in _RECORDED.items() if not isinstance(facts.get(key), kind)]
    if wrong or not all(isinstance(start, dict) for start in facts["starts"]):
        raise ArtefactError(f"{folder / _MARKER} is damaged: see {', '.join(wrong) or 'starts'}")
    if _format(facts) not in range(1, FORMAT + 1):
        raise ArtefactError(
            f"{folder / _MARKER} has format {facts['format']!r:.20}; this version reads up to "
            f"{FORMAT}"
        )
    return facts


def _format(facts: Mapping[str, Any]) -> Any:
    return facts.get("format", 1)


def _differences(then: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> list[str]:
    """What is not the same, each with its value then and now."""
    changed = []
    for field in sorted({*then, *now}):
        old, new = then.get(field), now.get(field)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            changed += _differences(old, new, f"{path}{field}.")
        elif old != new:
            changed.append(f"{path}{field} {old!r} -> {new!r}")
    return changed


def _identity(settings: Settings, precision: str) -> dict[str, Any]:
    return settings.identity() | {"precision": precision}
