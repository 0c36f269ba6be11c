"""Full disks, used-up limits and memory, told apart whoever reports them. Standard library only.

TensorFlow has one error for a full disk, for too many open files and for memory, and array_record
raises RuntimeError for all; both quote the system's own words.
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

# Error number -> what it means, where the system's own words do not say what to do.
_MEANINGS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EMFILE: "too many open files: raise the limit (ulimit -n)",
    errno.ENFILE: "too many open files on this machine",
    errno.EFBIG: os.strerror(errno.EFBIG),  # ulimit -f, or more than the file system takes
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
_LONGEST = 200  # characters of somebody else's message


class Fault(NamedTuple):
    """What the system could not do."""

    number: int  # of errno
    where: str  # a path, or the message that spoke of it


def fault_of(error: BaseException) -> Fault | None:
    """The fault of a disk or a limit that `error`, or what caused it, speaks of."""
    while error is not None:
        text = str(error)
        if isinstance(error, OSError) and error.errno is not None:
            if error.errno in _MEANINGS:
                return Fault(error.errno, str(error.filename or "") or text[:_LONGEST])
        elif words := _WORDS.search(text):
            path = _PATH.search(text)
            where = path[0] if path else " ".join(text.split())[:_LONGEST]
            return Fault(_BY_WORDS[words[0]], where)
        error = error.__cause__
    return None


def described(error: BaseException) -> str:
    """One line for a fault of disk, limits or memory; empty: the error is none of these."""
    fault = fault_of(error)
    if fault is not None:
        return f"{_MEANINGS[fault.number]}: {fault.where}"
    if is_out_of_memory(error):
        text = " ".join(str(error).split())[:_LONGEST]
        return f"out of memory: choose a smaller --batch_size{f' ({text})' if text else ''}"
    return ""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory, of the machine or of a GPU, was not enough."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    name, module = type(error).__name__, type(error).__module__
    if not module.startswith("tensorflow"):  # by name: a refusal must not import it
        return False
    return name == "ResourceExhaustedError" or bool(_OUT_OF_MEMORY.search(str(error)))


def is_exhausted(error: BaseException) -> bool:
    """Whether memory or open files were not enough, which says nothing of the file being read."""
    fault = fault_of(error)
    return is_out_of_memory(error) or (
        fault is not None and fault.number in (errno.EMFILE, errno.ENFILE)
    )


@contextlib.contextmanager
def as_os_error() -> Iterator[None]:
    """A block in which such faults of disks and limits are an OSError, whoever raises them."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        fault = fault_of(error)
        if fault is None:
            raise
        raise OSError(fault.number, _MEANINGS[fault.number], fault.where) from error
