"""A run's folder is used by one process at a time, and for nothing but runs."""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

from trainers.errors import BusyError, UsageError
from trainers.store import files, untrusted

_MARKER = "run.json"


@contextlib.contextmanager
def claim(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Locks the run's folder for this process; the kernel unlocks it however the process ends.

    Raises:
        UsageError: the folder has other things in it.
        BusyError: another process has locked it.
        ArtefactError: it holds more than plain files and folders (`untrusted.check_plain`).
        OSError: it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--workdir={folder} is a file")
    if folder.is_dir() and not os.path.lexists(folder / _MARKER):
        others = _others(folder)
        if others:
            raise UsageError(
                f"--workdir={folder} already contains other files ({', '.join(others[:3])}): "
                "choose an empty folder"
            )
    folder.mkdir(parents=True, exist_ok=True)
    with files.open_plain(folder / ".lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read(20).decode(errors="replace").strip()
            raise BusyError(f"{folder} is in use by process {holder or '?'}") from error
        untrusted.check_plain(folder)
        lock.truncate(0)
        lock.write(str(os.getpid()).encode())
        lock.flush()
        for name in ("", "pipeline", "predictions"):
            files.clear(folder / name)
        yield folder


def _others(folder: pathlib.Path) -> list[str]:
    """The files in a folder without a record that are not left over from an interrupted run."""
    own = {".lock", *(path.name for path in files.unfinished(folder))}
    fitted = folder / "pipeline"
    if fitted.is_dir():
        begun = {"state.npz", *(path.name for path in files.unfinished(fitted))}
        if begun.issuperset(os.listdir(fitted)):
            own.add("pipeline")
    return sorted(path.name for path in folder.iterdir() if path.name not in own)
