"""File locks: one process works while others wait; the kernel frees the lock of one that dies."""

import contextlib
import errno
import logging
import pathlib
from collections.abc import Iterator

import filelock

_log = logging.getLogger(__name__)
_POLL = 0.2  # seconds between two tries
# Of file systems without flock. The last two are one number on Linux, and two on macOS.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)


@contextlib.contextmanager
def alone(path: pathlib.Path, what: str) -> Iterator[bool]:
    """Holds a lock file, and leaves it in place; logs a line before it waits for another process.

    Args:
        what: what is prepared under the lock, for the log.

    Yields:
        Whether the lock is held; False, with a warning, on a file system without locks.

    Raises:
        OSError: the file cannot be written.
    """
    # Writable by other users too, whatever the umask. filelock's fallback, a marker file, would
    # outlive a killed process.
    lock = filelock.FileLock(path, mode=0o666, poll_interval=_POLL, fallback_to_soft=False)
    try:
        yield _acquired(lock, what)
    finally:
        lock.release()


@contextlib.contextmanager
def if_free(path: pathlib.Path) -> Iterator[bool]:
    """Holds the lock file if it exists and is free; yields whether it is held."""
    lock = filelock.FileLock(path, mode=0o666, fallback_to_soft=False)
    free = False
    if path.exists():
        with contextlib.suppress(OSError):  # includes Timeout: another process holds it
            lock.acquire(timeout=0)
            free = True
    try:
        yield free
    finally:
        lock.release()


def _acquired(lock: filelock.BaseFileLock, what: str) -> bool:
    try:
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            _log.info("waiting for another process that prepares %s", what)
            lock.acquire()
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _log.warning("%s cannot be locked: other processes may do the same work", lock.lock_file)
        return False
    return True
