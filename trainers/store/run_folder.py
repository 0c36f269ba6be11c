"""The folder of a run: one run, one process at a time, and only the run that it belongs to."""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import sys
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pipelines import Pipeline
from trainers.config.settings import Settings, resolve
from trainers.errors import ArtefactError, BusyError, UsageError
from trainers.store import arrays as array_file
from trainers.store import untrusted
from zoo.spec import Recipe

_MARKER = "run.json"
_RECORDED = {  # what every run.json has
    **dict.fromkeys(("identity", "settings", "data"), dict),
    **dict.fromkeys(("run", "precision"), str),
    "starts": list,
}


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
        begun = (
            ".lock",
            f".{_MARKER}.new",
            "pipeline",
        )  # of a run that ended before its first step
        strangers = sorted(p.name for p in folder.iterdir() if p.name not in begun)
        if strangers:
            raise UsageError(
                f"--workdir={folder} is no run of ours: it holds {', '.join(strangers[:3])}"
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
        yield folder


def write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    with open(new, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, default=str)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)


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
    changed = _differences(
        earlier["identity"], json.loads(json.dumps(_identity(settings, precision)))
    )
    if changed:
        raise ArtefactError(
            f"{folder} is a run with other settings ({'; '.join(changed)}): repeat its settings, "
            "choose another --workdir, or continue it with --resume_with_changes"
        )


def check_data(folder: pathlib.Path, settings: Settings, pipeline: Pipeline) -> None:
    """ArtefactError where the data is not that which the run in this folder began with."""
    earlier, found = _recorded(folder), data_fingerprint(pipeline)
    was = earlier["data"].get("fingerprint") if earlier else None
    if earlier and was != found and not settings.resume_with_changes:
        raise ArtefactError(
            f"the data is not that of {folder}: {pipeline.source} had fingerprint "
            f"{was}, now {found}; choose another --workdir"
        )


def record(
    folder: pathlib.Path,
    settings: Settings,
    pipeline: Pipeline,
    precision: str,
    facts: Mapping[str, Any],
) -> str:
    """Writes run.json: what was asked, resolved, on which data, and `facts` of the machine.

    `facts` are kept for every start of the run. Where they are not those of the first start it
    still continues, and says that it may not be to the bit.

    Returns:
        The number of the run: drawn at its first start, carried by its checkpoints.
    """
    earlier = _recorded(folder) or {"run": uuid.uuid4().hex[:16], "starts": []}
    now = json.loads(json.dumps(facts))
    if earlier["starts"]:
        changed = _differences(earlier["starts"][0], now)
        if changed:
            print(
                f"warning: {folder} was begun under other conditions ({'; '.join(changed)}): it "
                "continues, but not to the same bits",
                file=sys.stderr,
            )
    content = {
        "run": earlier["run"],
        "command": sys.argv,
        "identity": _identity(settings, precision),
        "settings": dataclasses.asdict(settings),
        "precision": precision,
        "data": {
            "source": pipeline.source,
            "rows": {split: rows.num_rows for split, rows in pipeline.rows.items()},
            "fingerprint": data_fingerprint(pipeline),
        },
        **facts,
        "starts": [*earlier["starts"], now],
    }
    write_json(folder / _MARKER, content)
    return content["run"]


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
    known = {field.name for cls in (Settings, Recipe) for field in dataclasses.fields(cls)}
    stored = dict(facts["settings"])
    try:
        recipe = dict(stored.pop("recipe"))
        recipe["lr_scale"] = tuple((pattern, factor) for pattern, factor in recipe["lr_scale"])
        if not isinstance(recipe["class_weights"], str):
            recipe["class_weights"] = tuple(recipe["class_weights"])
        stored |= {"workdir": str(folder), "debug": False, "dry_run": False}
        changes = {k: v for k, v in (stored | recipe).items() if k in known and k != "model"}
        return resolve(stored["model"], changes), facts
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{folder / _MARKER} describes no run of ours: {error}") from error


def save_state(folder: pathlib.Path, state: Mapping[str, np.ndarray]) -> str:
    """Stores a pipeline's fitted state whole; returns its fingerprint."""
    place = folder / "pipeline"
    place.mkdir(exist_ok=True)
    new = place / ".state.npz.new"
    array_file.write(new, state)
    os.replace(new, place / "state.npz")
    return fingerprint(state)


def load_state(folder: pathlib.Path) -> dict[str, np.ndarray] | None:
    """The fitted state that a run stored; None: it has stored none yet."""
    path = folder / "pipeline" / "state.npz"
    if not path.exists():
        return None
    try:
        return array_file.read(path)
    except (ValueError, OSError) as error:
        raise ArtefactError(f"{path} is damaged: {error}") from error


def fingerprint(arrays: Mapping[str, np.ndarray]) -> str:
    """A short hash of named arrays: their names, types, shapes and content."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}:{array.dtype}:{array.shape};".encode())
        if array.dtype == object:  # texts: its bytes would be addresses
            for text in array.ravel().tolist():
                digest.update(len(text).to_bytes(8, "little") + text)
        else:
            digest.update(array.data)
    return digest.hexdigest()[:16]


def data_fingerprint(pipeline: Pipeline) -> str:
    """A short hash of all rows of a prepared pipeline and of its state."""
    digest = hashlib.sha256(fingerprint(pipeline.state).encode())
    for split, rows in sorted(pipeline.rows.items()):
        digest.update(f"{split}:{rows.num_rows};".encode())
        if rows.table is not None:
            digest.update(fingerprint(rows.table).encode())
    return digest.hexdigest()[:16]


def _recorded(folder: pathlib.Path) -> dict[str, Any] | None:
    """What run.json says; None where there is none. ArtefactError: it is none of ours."""
    facts = read_json(folder / _MARKER)
    if facts is None:
        return None
    wrong = [word for word, kind in _RECORDED.items() if not isinstance(facts.get(word), kind)]
    if wrong or not all(isinstance(start, dict) for start in facts["starts"]):
        raise ArtefactError(f"{folder / _MARKER} is damaged: see {', '.join(wrong) or 'starts'}")
    return facts


def _differences(then: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> list[str]:
    """What is not the same, each with its value then and now."""
    found = []
    for field in sorted({*then, *now}):
        was, is_ = then.get(field), now.get(field)
        if isinstance(was, Mapping) and isinstance(is_, Mapping):
            found += _differences(was, is_, f"{path}{field}.")
        elif was != is_:
            found.append(f"{path}{field} {was!r} -> {is_!r}")
    return found


def _identity(settings: Settings, precision: str) -> dict[str, Any]:
    return settings.identity() | {"precision": precision}
