"""Hashes of the content of large files, cached for as long as the files are not touched."""

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
_LENGTH = 32  # hexadecimal digits of a hash
_YOUNG = 2 * 10**9  # nanoseconds in which a file may change again without a new time stamp


def digests(paths: Sequence[pathlib.Path], cache: str) -> list[str]:
    """A hash of the whole content of each file, read on all cores.

    A file is not read again while its size, inode, mtime and ctime are the same: copying or
    touching a file cannot set its ctime.

    Args:
        cache: folder of the cached hashes, if it is writable.
    """
    path = caches.folder(cache) / _REMEMBERED
    known = _read(path)
    new: dict[str, list] = {}

    def digest(path: pathlib.Path) -> str:
        with open(path, "rb") as file:
            before = status(file.fileno())
            entry = known.get(os.fspath(path))
            if isinstance(entry, list) and entry[:-1] == before:
                return entry[-1]
            began = time.time_ns()
            hashed = hashlib.file_digest(file, "sha256").hexdigest()[:_LENGTH]
            if is_settled(before, began) and status(file.fileno()) == before:
                new[os.fspath(path)] = [*before, hashed]
        return hashed

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        label = "identifying the files of the data set"
        hashes = list(progress(pool.map(digest, paths), len(paths), label))
    if new:
        _write(path, known | new)
    return hashes


def remembered(paths: Sequence[str], cache: str) -> dict[str, str]:
    """The cached hashes of those files that were not touched since; none of them is opened."""
    hashes = {}
    known = _read(caches.folder(cache) / _REMEMBERED)
    for path in paths:
        entry = known.get(path)
        if isinstance(entry, list) and entry[:-1] == status(path):
            hashes[path] = str(entry[-1])
    return hashes


def remember(entries: Mapping[str, tuple[Sequence[int], str]], cache: str) -> None:
    """Caches the hashes of files that were read.

    Args:
        entries: path -> its status, which was the same before and after it was read, and its hash.
        cache: folder of the cached hashes, if it is writable.
    """
    path = caches.folder(cache) / _REMEMBERED
    if entries:
        new = {path: [*status, digest] for path, (status, digest) in entries.items()}
        _write(path, _read(path) | new)


def is_settled(status: Sequence[int], began: int) -> bool:
    """Whether any change of a file with this status after `began` gives it a new time stamp.

    Args:
        began: time in nanoseconds when the reading of the file began.
    """
    return began - max(status[1:3]) > _YOUNG


def digest_of(content: bytes) -> str:
    """The hash of a file's whole content."""
    return hashlib.sha256(content).hexdigest()[:_LENGTH]


def status(file: int | str) -> list[int]:
    """Size, mtime, ctime and inode of a file; empty: there is no such file."""
    try:
        result = os.stat(file)
    except OSError:
        return []
    return [result.st_size, result.st_mtime_ns, result.st_ctime_ns, result.st_ino]


def _read(path: pathlib.Path) -> dict[str, list]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # never written, or damaged: everything is read again
        return {}
    return known if isinstance(known, dict) else {}


def _write(path: pathlib.Path, known: dict[str, list]) -> None:
    """Writes the file completely or not at all; after a full disk the next run hashes again."""
    temporary = path.with_name(f"{_REMEMBERED}.{uuid.uuid4().hex}")
    with contextlib.suppress(OSError):
        try:
            with open(temporary, "x", encoding="utf-8") as file:
                json.dump(known, file)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
