"""Opens SavedModels, which are programs: only complete, unchanged ones. No other module opens them.

Each export has `assets.extra/sha256.json`, the hash of every file of its version. It detects damage
by copying or by a disk, not tampering: whoever can write a file there can write its hash too.
"""

import contextlib
import json
import pathlib
import re
import tempfile
from collections.abc import Iterator
from typing import Any

from trainers.errors import ArtefactError
from trainers.store import files, untrusted

_SEAL = pathlib.Path("assets.extra", "sha256.json")
_PATTERN = re.compile(r"[*?\[\]\\]")  # TensorFlow takes a path with these as a pattern


def seal(folder: pathlib.Path) -> None:
    """Writes the hash of every file of an export beside them."""
    hashes = {name: files.sha256(folder / name) for name in _files(folder)}
    files.replace_whole(folder / _SEAL, json.dumps(hashes, indent=1).encode())


def load(folder: pathlib.Path) -> Any:
    """Loads a SavedModel, checked against its hashes where it has any.

    Raises:
        ArtefactError: a file is damaged, missing or was added, or TensorFlow cannot load it.
    """
    import tensorflow as tf

    check(folder)
    try:
        with plain_name(folder) as name:
            model = tf.saved_model.load(name)
        if not model.signatures:
            raise ValueError("it has no signatures")
    except (OSError, ValueError, LookupError, AttributeError, tf.errors.OpError) as error:
        raise ArtefactError(f"{folder} cannot be loaded: {error}") from error
    return model


@contextlib.contextmanager
def plain_name(folder: pathlib.Path) -> Iterator[str]:
    """An absolute path of a folder without pattern characters, valid within the context.

    TensorFlow takes `*`, `?` and brackets in the path of a SavedModel for a pattern: it would not
    find the weights in `runs [1]`, or would find those of another folder.
    """
    whole = str(folder.resolve())
    if not _PATTERN.search(whole):
        yield whole
        return
    with tempfile.TemporaryDirectory() as beside:
        link = pathlib.Path(beside, "model")
        link.symlink_to(whole)
        yield str(link)


def check(folder: pathlib.Path) -> None:
    """Compares every file of an export with its hash, if it has hashes.

    Raises:
        ArtefactError: a file is damaged, missing or was added.
    """
    try:
        if (folder / _SEAL).exists():
            _compare(folder, untrusted.read_json(folder / _SEAL))
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{folder} cannot be loaded: {error}") from error


def _compare(folder: pathlib.Path, hashes: dict[str, Any]) -> None:
    present = _files(folder)
    for name in sorted({*hashes, *present}):
        if name not in present:
            raise ValueError(f"{name} is missing")
        if name not in hashes:
            raise ValueError(f"{name} is not part of the export")
        if files.sha256(folder / name) != hashes[name]:
            raise ValueError(f"{name} is not as it was written")


def _files(folder: pathlib.Path) -> list[str]:
    """All files of the export except the hashes, relative to it; a link counts as a file."""
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    names = (path.relative_to(folder) for path in paths)
    return sorted(name.as_posix() for name in names if name != _SEAL)
