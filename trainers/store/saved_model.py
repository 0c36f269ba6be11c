"""The one place that opens SavedModels, which are programs: only whole ones, as they were written.

Beside each export lies `assets.extra/sha256.json`, the hash of every file of its version. It finds
damage, by a copy or a disk; who can write a file there can write its hash too.
"""

import hashlib
import json
import pathlib
from typing import Any

from trainers.errors import ArtefactError
from trainers.store import untrusted

_SEAL = pathlib.Path("assets.extra", "sha256.json")


def seal(folder: pathlib.Path) -> None:
    """Writes the hashes of all files that an export has."""
    hashes = {name: _sha256(folder / name) for name in _files(folder)}
    (folder / _SEAL).write_text(json.dumps(hashes, indent=1), encoding="utf-8")


def load(folder: pathlib.Path) -> Any:
    """Loads a SavedModel, checked against its hashes where it has any.

    Raises:
        ArtefactError: a file is damaged, missing or was added, or TensorFlow cannot load it.
    """
    import tensorflow as tf

    try:
        if (folder / _SEAL).exists():
            _check(folder, untrusted.read_json(folder / _SEAL))
        model = tf.saved_model.load(str(folder))
        model.signatures["serving_default"]
    except (OSError, ValueError, LookupError, AttributeError, tf.errors.OpError) as error:
        raise ArtefactError(f"{folder} cannot be loaded: {error}") from error
    return model


def _check(folder: pathlib.Path, hashes: dict[str, Any]) -> None:
    there = _files(folder)
    for name in sorted({*hashes, *there}):
        if name not in there:
            raise ValueError(f"{name} is missing")
        if name not in hashes:
            raise ValueError(f"{name} is not part of the export")
        if _sha256(folder / name) != hashes[name]:
            raise ValueError(f"{name} is not as it was written")


def _files(folder: pathlib.Path) -> list[str]:
    """All files of the export but the hashes, relative to it; a link is a file here."""
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    names = (path.relative_to(folder) for path in paths)
    return sorted(name.as_posix() for name in names if name != _SEAL)


def _sha256(path: pathlib.Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
