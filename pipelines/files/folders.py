"""The subfolders of a folder, and the kind of files to look for in them."""

import os
import pathlib
import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

from pipelines.core.pipeline import DataError
from pipelines.files.shown import shown

# Of Windows, macOS, Synology, QNAP, Linux, Python. Names that begin with "." or "@" count too.
_SYSTEM = {
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "$extend", "recycler", "recycled"),
    *("system volume information", "__macosx", "network trash folder", "temporary items"),
    *("#recycle", "#snapshot", "lost+found", "__pycache__", "icon\r", "$winreagent"),
}
_FOUND = re.compile(r"found\.[0-9]{3}")  # folders that chkdsk makes


class Kind(NamedTuple):
    """A kind of files: its name in messages, and a test whether a file is of this kind."""

    noun: str  # in the plural
    example: str  # of one class: cat/*.jpg
    holds: Callable[[pathlib.Path], bool]
    # Names of folders, in lower case, whose files belong to no class.
    without_label: tuple[str, ...] = ()


def subfolders(top: pathlib.Path) -> dict[str, pathlib.Path]:
    """Subfolders by name, in composed Unicode (macOS decomposes accents)."""
    try:
        paths = sorted(p for p in top.iterdir() if not is_system(p.name) and p.is_dir())
    except OSError as error:
        raise DataError(f"{shown(top)} cannot be read: {error.strerror}") from error
    for path in paths:
        try:
            path.name.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"folder {os.fsencode(path)!r}: its name is not UTF-8") from error
    named = {unicodedata.normalize("NFC", path.name): path for path in paths}
    if len(named) < len(paths):
        raise DataError(f"{top}: two folders have the same name in different spellings")
    return dict(sorted(named.items()))


def is_system(name: str) -> bool:
    """Whether a file or folder belongs to the system: @eaDir, $RECYCLE.BIN, Thumbs.db."""
    small = name.lower()
    return name.startswith((".", "@")) or small in _SYSTEM or bool(_FOUND.fullmatch(small))
