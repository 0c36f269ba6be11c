"""Recognises full disks, used-up limits and lack of memory in errors. Standard library only.

TensorFlow has a single error for a full disk, too many open files and lack of memory, and
array_record raises RuntimeError for all of them; both quote the operating system's message.
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

# Error number -> what to report: the system's own message where it is clear.
_MEANINGS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EMFILE: "too many open files: raise the limit (ulimit -n)",
    errno.ENFILE: "too many open files on this machine",
    errno.EFBIG: os.strerror(errno.EFBIG),  # ulimit -f, or the file system's limit
    errno.EROFS: os.strerror(errno.EROFS),
    errno.EIO: os.strerror(errno.EIO),
}
_BY_WORDS = {os.strerror(number): number for number in _MEANINGS}
_WORDS = re.compile("|".join(map(re.escape, _BY_WORDS)))
_PATH = re.compile(r"(?<![\w.])/[^;:,'\"\s]+")
_OUT_OF_MEMORY = re.compile(
    r"(?i)\boom\b|out[ _]of[ _]memory|failed to allocate|unable to allocate|cannot allocate memory"
    r"|alloc_failed|dst tensor is not initialized"
)
_LONGEST = 200  # characters quoted from another library's message


class Fault(NamedTuple):
    """A fault of a disk or a limit."""

    number: int  # of errno
    where: str  # a path, or the message that reports the fault


def fault_of(error: BaseException) -> Fault | None:
    """The fault of a disk or a limit that `error`, or one of its causes, reports."""
    while error is not None:
        text = str(error)
        if isinstance(error, OSError) and error.errno is not None:
            if error.errno in _MEANINGS:
                return Fault(error.errno, str(error.filename or "") or text[:_LONGEST])
        elif match := _WORDS.search(text):
            path = _PATH.search(text)
            where = path[0] if path else " ".join(text.split())[:_LONGEST]
            return Fault(_BY_WORDS[match[0]], where)
        error = error.__cause__
    return None


def described(error: BaseException) -> str:
    """One line about a fault of disk, limits or memory; empty: the error is another one."""
    fault = fault_of(error)
    if fault is not None:
        return f"{_MEANINGS[fault.number]}: {fault.where}"
    if is_out_of_memory(error):
        text = " ".join(str(error).split())[:_LONGEST]
        return f"out of memory: choose a smaller --batch_size{f' ({text})' if text else ''}"
    return ""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the machine or a GPU ran out of memory."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    name, module = type(error).__name__, type(error).__module__
    if not module.startswith("tensorflow"):  # by name: an error message must not import it
        return False
    return name == "ResourceExhaustedError" or bool(_OUT_OF_MEMORY.search(str(error)))


def is_exhausted(error: BaseException) -> bool:
    """Whether memory or open files ran out, which says nothing about the file being read."""
    fault = fault_of(error)
    return is_out_of_memory(error) or (
        fault is not None and fault.number in (errno.EMFILE, errno.ENFILE)
    )


@contextlib.contextmanager
def as_os_error() -> Iterator[None]:
    """A context that turns such faults of disks and limits into OSError, whatever their type."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        fault = fault_of(error)
        if fault is None:
            raise
        raise OSError(fault.number, _MEANINGS[fault.number], fault.where) from error
