"""The folder in which results derived from a data set are cached for the next run."""

import contextlib
import os
import pathlib
import stat
import tempfile


def folder(preferred: str) -> pathlib.Path:
    """`preferred` if it is writable; else a folder of this user in the system's temporary folder.

    Other users can write to the temporary folder too: a folder that is theirs, or that they can
    write to, is not used; a new one is made instead.

    Args:
        preferred: the folder of the data set; empty: none.
    """
    if preferred and os.access(preferred, os.W_OK | os.X_OK):
        return pathlib.Path(preferred)
    own = pathlib.Path(tempfile.gettempdir()) / f"keras-tfds-zoo-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        own.mkdir(mode=0o700)
    status = own.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        return pathlib.Path(tempfile.mkdtemp(prefix="keras-tfds-zoo-"))
    return own
