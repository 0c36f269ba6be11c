"""Checkpoints that are whole or absent: `checkpoints/step-00001200/{state.npz, meta.json}`.

Written to a temporary folder, synced, renamed; hashes, keys and shapes are checked on load. NumPy
arrays and JSON only: nothing in a checkpoint can execute.

A checkpoint that is saved again is first renamed to `.replaced-step-00001200`, and counts as that
step's until the new one has its name. One that was found damaged is renamed to
`.damaged-step-00001200`, no longer counts, and stays until the next save. A checkpoint is renamed
before it is removed, so that a killed process leaves no part of it under a name that counts.
"""

import contextlib
import hashlib
import json
import logging
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from trainers.errors import ArtefactError
from trainers.store import arrays as array_file
from trainers.store import files, untrusted

FORMAT = 2  # of meta.json; 1: the same without `format`
_LOG = logging.getLogger(__name__)
_REPLACED, _DAMAGED = ".replaced-", ".damaged-"
_STEP = re.compile(rf"(?:{re.escape(_REPLACED)})?step-(\d{{8,}})")
# Prefix of a metric variable's key for the values of each replica, (replicas, ...). If only their
# sum were saved, the order of additions and so the last digit of a logged mean would change.
SHARES = "shares/"
_LAST = 2  # checkpoints kept besides the best


class Checkpoint(NamedTuple):
    """The state of a run after `step` steps."""

    step: int
    arrays: Mapping[str, np.ndarray]
    meta: Mapping[str, Any]


def variables_of(model) -> dict[str, Any]:
    """Every variable of a compiled and built model by group and path: the state of a run.

    Raises:
        ValueError: two variables share a path (a layer with weights lacks a name).
    """
    groups = {
        "model": model.variables,  # weights, batch statistics and states of random generators
        "optimizer": model.optimizer.variables,
        "metrics": [variable for metric in model.metrics for variable in metric.variables],
    }
    variables: dict[str, Any] = {}
    for group, members in groups.items():
        for variable in members:
            key = f"{group}/{variable.path}"
            if key in variables:
                raise ValueError(f"two variables are called {key!r}: name the layers that own them")
            variables[key] = variable
    return variables


def begin(folder: pathlib.Path) -> None:
    """Creates the folder, and completes or removes what killed processes left in it."""
    folder.mkdir(exist_ok=True)
    files.clear(folder)
    for replaced in folder.glob(f"{_REPLACED}*"):
        final = folder / replaced.name.removeprefix(_REPLACED)
        if final.exists():
            _remove(replaced)
        else:
            os.rename(replaced, final)


def save(folder: pathlib.Path, checkpoint: Checkpoint, *, best_step: int | None) -> None:
    """Writes one checkpoint and removes all except it, the one before and the best.

    Args:
        folder: has to exist (`begin`): if it was removed during the run, it is not created again.

    Raises:
        OSError: disk full, not writable or gone; the earlier checkpoints are untouched.
    """
    final = _path(folder, checkpoint.step)
    temporary = files.temporary_path(final)
    try:
        temporary.mkdir()
        # NumPy reads bfloat16 back as raw bytes: it is stored as integers, its type in meta.json.
        array_file.write(
            temporary / "state.npz", {key: _plain(a) for key, a in checkpoint.arrays.items()}
        )
        meta = {
            "format": FORMAT,
            "step": checkpoint.step,
            "sha256": files.sha256(temporary / "state.npz"),
            "dtypes": {key: array.dtype.name for key, array in checkpoint.arrays.items()},
            **checkpoint.meta,
        }
        text = json.dumps({**meta, "meta_sha256": _digest(meta)}, indent=1)
        files.replace_whole(temporary / "meta.json", text.encode())
        files.sync(temporary)
        _rename_into_place(temporary, final)
    except OSError:
        with contextlib.suppress(OSError):
            files.remove(temporary)
        raise
    saved = steps(folder)
    last = [step for step in saved if step <= checkpoint.step][-_LAST:]
    # The one before is used if the newest is damaged: its best has to be there too.
    kept = {*last, best_step, *(_best_of(folder, step) for step in last)}
    for step in saved:
        if step not in kept:
            _remove(_path(folder, step))
    for damaged in folder.glob(f"{_DAMAGED}*"):
        _remove(damaged)


def meta_of(folder: pathlib.Path, step: int) -> Mapping[str, Any] | None:
    """The meta.json of a checkpoint, without reading its arrays; None: it is damaged."""
    path = _path(folder, step)
    try:
        path = path if path.exists() else _replaced(path)  # killed between the two renames
        meta = untrusted.read_json(path / "meta.json")
        return meta if meta.pop("meta_sha256") == _digest(meta) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _best_of(folder: pathlib.Path, step: int) -> int | None:
    """The best step that a checkpoint records; None: it has none, or is damaged."""
    try:
        return untrusted.read_json(_path(folder, step) / "meta.json")["progress"]["best_step"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def load(folder: pathlib.Path, step: int) -> Checkpoint:
    """Reads one checkpoint and checks it against its hashes.

    Raises:
        ArtefactError: it is missing or damaged; the message says which file and how.
    """
    path = _path(folder, step)
    if not path.exists() and _replaced(path).exists():  # killed between the two renames
        path = _replaced(path)
    try:
        meta = untrusted.read_json(path / "meta.json")
        if meta.pop("meta_sha256") != _digest(meta) or meta["step"] != step:
            raise ValueError("meta.json is not as it was written")
        if files.sha256(path / "state.npz") != meta["sha256"]:
            raise ValueError("state.npz is not the file that meta.json describes")
        stored = array_file.read(path / "state.npz")
        arrays = {key: array.view(_dtype(meta["dtypes"][key])) for key, array in stored.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ArtefactError(f"checkpoint {path} is damaged: {error}") from error
    if meta.get("format", 1) not in range(1, FORMAT + 1):
        raise ArtefactError(
            f"checkpoint {path} has format {meta['format']}; this version reads up to {FORMAT}"
        )
    return Checkpoint(step, arrays, meta)


def load_newest(folder: pathlib.Path) -> Checkpoint | None:
    """The newest checkpoint that is not damaged; None where there is none at all.

    Damaged ones are skipped with a warning.

    Raises:
        ArtefactError: there are checkpoints, and all are damaged.
    """
    saved = steps(folder)
    for step in reversed(saved):
        try:
            return load(folder, step)
        except ArtefactError as error:
            _LOG.warning("%s; using the one before", error)
    if saved:
        raise ArtefactError(
            f"all {len(saved)} checkpoints in {folder} are damaged: remove it to begin anew"
        )
    return None


def mark_damaged(folder: pathlib.Path, *, after: int) -> None:
    """Renames the checkpoints of later steps, which were found damaged, so that none counts.

    Otherwise the last of `steps` would be one of them until the next save, which removes them.
    """
    for step in reversed(steps(folder)):
        if step > after:
            damaged = folder / f"{_DAMAGED}{_path(folder, step).name}"
            files.remove(damaged)
            os.rename(_path(folder, step), damaged)


def check_run(folder: pathlib.Path, saved: Checkpoint, number: str) -> None:
    """Raises ArtefactError if a checkpoint in the folder is not of the run with this number."""
    if saved.meta.get("run") != number:
        raise ArtefactError(
            f"the checkpoint of step {saved.step} in {folder} is of another run: remove it"
        )


def restore(variables: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Puts saved arrays into variables of the same names, shapes and types; all of them, or none.

    Raises:
        ArtefactError: as for `check_fits`.
    """
    check_fits(variables, arrays)
    for key, variable in variables.items():
        variable.assign(arrays[key])


def check_fits(variables: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Checks that saved arrays fit the variables that they are to be restored to.

    Shares of metrics are left out: the number of replicas may have changed.

    Raises:
        ArtefactError: names, shapes or types differ; the message lists them.
    """
    arrays = {key: array for key, array in arrays.items() if not key.startswith(SHARES)}
    missing, unknown = sorted(set(variables) - set(arrays)), sorted(set(arrays) - set(variables))
    kinds = {
        key: (_kind(arrays[key]), _kind(variables[key])) for key in set(variables) & set(arrays)
    }
    wrong = sorted(f"{key} {was} for {now}" for key, (was, now) in kinds.items() if was != now)
    if missing or unknown or wrong:
        raise ArtefactError(
            f"the checkpoint is of another model: missing {missing}, unknown {unknown}, "
            f"other shape or type {wrong}"
        )


def steps(folder: pathlib.Path) -> list[int]:
    """The steps of all checkpoints in the folder, in order."""
    if not folder.is_dir():
        return []
    matches = (_STEP.fullmatch(entry.name) for entry in folder.iterdir())
    return sorted({int(match[1]) for match in matches if match})


def _path(folder: pathlib.Path, step: int) -> pathlib.Path:
    return folder / f"step-{step:08d}"


def _replaced(final: pathlib.Path) -> pathlib.Path:
    return final.with_name(f"{_REPLACED}{final.name}")


def _rename_into_place(temporary: pathlib.Path, final: pathlib.Path) -> None:
    """Gives a checkpoint its name; an older one of the same step is removed only afterwards."""
    replaced, again = _replaced(final), final.exists()
    if again:
        os.rename(final, replaced)
    try:
        os.rename(temporary, final)
    except OSError:
        if again:
            os.rename(replaced, final)
        raise
    files.sync(final.parent)
    if again:
        _remove(replaced)


def _remove(path: pathlib.Path) -> None:
    """Renames a checkpoint, then removes it: if the process is killed, no part of it counts."""
    removed = files.temporary_path(path)
    os.rename(path, removed)
    files.remove(removed)


def _digest(meta: Mapping[str, Any]) -> str:
    """Hash of the content of a meta.json, whatever its layout."""
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def _kind(array: Any) -> str:
    dtype = array.dtype if isinstance(array.dtype, str) else array.dtype.name
    return f"{dtype} {tuple(array.shape)}"


def _plain(array: np.ndarray) -> np.ndarray:
    return array if array.dtype.isbuiltin else array.view(f"u{array.dtype.itemsize}")


def _dtype(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name, name))
