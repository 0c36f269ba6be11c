"""JSON files with a hash of their content: a file that was damaged or edited is refused.

This detects damage and accidental edits, not tampering: whoever can write the file can write its
hash too.
"""

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from trainers.errors import ArtefactError
from trainers.store import files, untrusted

_HASH = "sha256"  # the last entry: the hash of all others


def write(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file whole or not at all, with its hash."""
    plain = json.loads(json.dumps(content, default=str))  # as it will be read: no tuples
    text = json.dumps({**plain, _HASH: _digest(plain)}, indent=1)
    files.replace_whole(path, text.encode())


def read(path: pathlib.Path) -> dict[str, Any] | None:
    """A JSON file's content without its hash; None where there is no file.

    A file without a hash is of an earlier version, or its hash was removed to keep an edit.

    Raises:
        ArtefactError: it is not JSON, or not as it was written.
    """
    if not path.exists():
        return None
    try:
        content = untrusted.read_json(path)
    except ValueError as error:
        raise ArtefactError(f"{path} is damaged: {error}") from error
    if _HASH in content and content.pop(_HASH) != _digest(content):
        raise ArtefactError(
            f"{path} is damaged or was edited: it is not as it was written (to keep an edit of "
            f"your own, remove its entry {_HASH!r})"
        )
    return content


def _digest(content: Mapping[str, Any]) -> str:
    """Hash of the content, whatever its layout in the file."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
