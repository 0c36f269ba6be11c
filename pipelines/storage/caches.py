"""The folder in which what was made of a data set is kept for the next run."""

import contextlib
import os
import pathlib
import stat
import tempfile


def folder(beside: str) -> pathlib.Path:
    """`beside` where it can be written; else a folder of this user's own among temporary files.

    Other users can write among temporary files too: what they put there under our name is not used.

    Args:
        beside: the folder of the data set; empty: none.
    """
    if beside and os.access(beside, os.W_OK | os.X_OK):
        return pathlib.Path(beside)
    own = pathlib.Path(tempfile.gettempdir()) / f"keras-tfds-zoo-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        own.mkdir(mode=0o700)
    status = own.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        return pathlib.Path(tempfile.mkdtemp(prefix="keras-tfds-zoo-"))
    return own
