"""What is in large files, as hashes that are remembered as long as nobody touches the files."""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import time
import uuid
from collections.abc import Mapping, Sequence

from pipelines.storage import caches
from pipelines.storage.progress import progress

_REMEMBERED = ".content-hashes.json"
_LENGTH = 32  # digits of a hash
_YOUNG = 2 * 10**9  # nanoseconds in which a file may change again without another time


def digests(paths: Sequence[pathlib.Path], cache: str) -> list[str]:
    """A hash of the whole content of each file, read on all cores.

    One that was read before is not read again while its size, inode and both of its times are the
    same: the time of its last change of status cannot be set by copying or touching it.

    Args:
        cache: folder in which they are remembered, if it can be written.
    """
    path = caches.folder(cache) / _REMEMBERED
    known = _read(path)
    new: dict[str, list] = {}

    def digest(path: pathlib.Path) -> str:
        with open(path, "rb") as file:
            before = status(file.fileno())
            earlier = known.get(os.fspath(path))
            if isinstance(earlier, list) and earlier[:-1] == before:
                return earlier[-1]
            began = time.time_ns()
            found = hashlib.file_digest(file, "sha256").hexdigest()[:_LENGTH]
            if is_settled(before, began) and status(file.fileno()) == before:
                new[os.fspath(path)] = [*before, found]
        return found

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        label = "identifying the files of the data set"
        found = list(progress(pool.map(digest, paths), len(paths), label))
    if new:
        _write(path, known | new)
    return found


def remembered(paths: Sequence[str], cache: str) -> dict[str, str]:
    """The hashes of files that nobody has touched since they were remembered; none is opened."""
    found = {}
    known = _read(caches.folder(cache) / _REMEMBERED)
    for path in paths:
        earlier = known.get(path)
        if isinstance(earlier, list) and earlier[:-1] == status(path):
            found[path] = str(earlier[-1])
    return found


def remember(found: Mapping[str, tuple[Sequence[int], str]], cache: str) -> None:
    """Remembers hashes of files that were read.

    Args:
        found: path -> its status before and after it was read, which is the same, and its hash.
        cache: folder in which they are remembered, if it can be written.
    """
    path = caches.folder(cache) / _REMEMBERED
    if found:
        new = {path: [*status, digest] for path, (status, digest) in found.items()}
        _write(path, _read(path) | new)


def is_settled(status: Sequence[int], began: int) -> bool:
    """Whether a file of this status cannot have changed since without a new time.

    Args:
        began: time in nanoseconds at which it began to be read.
    """
    return began - max(status[1:3]) > _YOUNG


def digest_of(content: bytes) -> str:
    """The hash of a file's whole content."""
    return hashlib.sha256(content).hexdigest()[:_LENGTH]


def status(file: int | str) -> list[int]:
    """Size, times and inode of a file; empty: there is none."""
    try:
        found = os.stat(file)
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _read(path: pathlib.Path) -> dict[str, list]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # never written, or damaged: everything is read again
        return {}
    return known if isinstance(known, dict) else {}


def _write(path: pathlib.Path, known: dict[str, list]) -> None:
    """Whole or not at all; a full disk only costs the next run its time."""
    aside = path.with_name(f"{_REMEMBERED}.{uuid.uuid4().hex}")
    with contextlib.suppress(OSError):
        try:
            with open(aside, "x", encoding="utf-8") as file:
                json.dump(known, file)
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
