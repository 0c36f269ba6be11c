"""Files that are whole or absent, and the hashes of files and of named arrays."""

import contextlib
import errno
import hashlib
import os
import pathlib
import secrets
import shutil
import stat
from collections.abc import Callable, Mapping
from typing import BinaryIO

import numpy as np

from trainers.errors import ArtefactError

_TEMPORARY = ".writing-"
_NOT_PLAIN = (errno.ELOOP, errno.ENXIO, errno.EISDIR)  # opening a link, a socket, a folder


def temporary_path(path: pathlib.Path) -> pathlib.Path:
    """A random name beside `path` for a file or folder that is incomplete or is being removed."""
    return path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")


def replace_whole(path: pathlib.Path, content: bytes | Callable[[BinaryIO], object]) -> None:
    """Writes a file under another name, syncs it to disk, and renames it to `path`.

    Args:
        content: the bytes, or a function that writes them to an open file.

    Raises:
        OSError: disk full or not writable; an earlier file at `path` is unchanged.
    """
    new = temporary_path(path)
    # O_EXCL refuses anything that already has this name, also a link.
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
    try:
        with open(handle, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        raise


def unfinished(folder: pathlib.Path) -> list[pathlib.Path]:
    """Files and folders that a killed process has left half written in this folder."""
    return sorted(folder.glob(f"{_TEMPORARY}*"))


def clear(folder: pathlib.Path) -> None:
    """Removes what a killed process has left half written in this folder."""
    for left in unfinished(folder):
        remove(left)


def remove(path: pathlib.Path) -> None:
    """Removes a file, or a folder with its content; never the target of a link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def open_plain(path: pathlib.Path) -> BinaryIO:
    """Opens a file for reading and appending; creates it if there is none.

    Raises:
        ArtefactError: it is a link, has other names (hard links), or is not a file: writing to it
            would change something else.
        OSError: not writable.
    """
    # O_NONBLOCK: opening a FIFO without a reader would block.
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        handle = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno not in _NOT_PLAIN:
            raise
        raise ArtefactError(f"{path} is not a plain file: remove it") from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(handle)
        raise ArtefactError(f"{path} is not a plain file of one name: remove it")
    return open(handle, "ab+")


def sha256(path: pathlib.Path) -> str:
    """Hash of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: pathlib.Path) -> None:
    """Makes a file's content or a folder's entries durable, so that they survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fingerprint(arrays: Mapping[str, np.ndarray]) -> str:
    """A short hash of named arrays: their names, types, shapes and content."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}:{array.dtype}:{array.shape};".encode())
        if array.dtype == object:  # texts: the array's own bytes are addresses
            for text in array.ravel().tolist():
                digest.update(len(text).to_bytes(8, "little") + text)
        else:
            digest.update(array.data)
    return digest.hexdigest()[:16]
