"""Checks of a file before it is trusted: its kind, a bounded size and plain names."""

import json
import os
import pathlib
import stat
import zipfile
from typing import Any

from trainers.errors import ArtefactError

# A run's own files have 10 KB, the config.json of Keras's largest application (ResNet152V2) 0.5 MB.
# Parsed JSON takes at most 28 times its bytes.
_MAX_JSON_BYTES = 4 * 2**20
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_plain(folder: pathlib.Path) -> None:
    """Refuses a folder that holds anything but plain files and folders, at any depth.

    A link could lead out of it, and opening a FIFO may block for ever. Nothing is opened and no
    link is followed here; `folder` itself and its parents may be links.

    Raises:
        ArtefactError: it holds something else; the message names the first three.
        OSError: a folder in it cannot be listed.
    """
    strange, pending = [], [str(folder)]
    while pending:
        for entry in _entries(pending.pop()):
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
            elif not entry.is_file(follow_symlinks=False):
                kind = _kind(entry)
                if kind is not None:
                    strange.append((os.path.relpath(entry.path, folder), kind))
    if strange:
        # repr: names may hold line breaks and control characters.
        named = ", ".join(f"{name!r:.80} ({kind})" for name, kind in sorted(strange)[:3])
        raise ArtefactError(
            f"{folder} holds more than plain files and folders: {named}; remove them: no link "
            "below a --workdir is followed"
        )


def _entries(folder: str) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []  # it does not exist, or a running process has just removed it


def _kind(entry: os.DirEntry) -> str | None:
    """The kind of an entry in words; None: it has just been removed."""
    try:
        return _KINDS.get(stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode), "no file")
    except FileNotFoundError:
        return None


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        ValueError: it holds something else, or is larger or deeper than any of our files.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        return parse_json(file.read(_MAX_JSON_BYTES + 1), path.name)


def parse_json(content: bytes, name: str) -> dict[str, Any]:
    """The object in some JSON text. ValueError: as for `read_json`, with `name`."""
    if len(content) > _MAX_JSON_BYTES:
        raise ValueError(f"{name} has more than {_MAX_JSON_BYTES} bytes")
    try:
        parsed = json.loads(content)
    except RecursionError as error:
        raise ValueError(f"{name} is nested too deeply") from error
    if not isinstance(parsed, dict):
        raise ValueError(f"{name} holds a {type(parsed).__name__}, not an object")
    return parsed


def stored_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members of a zip file in which all are stored without compression.

    So reading all of them takes no more memory than the file has bytes.

    Raises:
        ValueError: a member is compressed, overlaps others, occurs twice, is a link, or has a name
            that leads out of the folder.
    """
    members = archive.infolist()
    seen: set[str] = set()
    for member in members:
        name = member.filename
        if name in seen:
            raise ValueError(f"{name!r} is twice in it")
        seen.add(name)
        if leads_out(name):
            raise ValueError(f"{name!r} leads out of it")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ValueError(f"{name!r} is a link")
        if member.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{name!r} is compressed")
    declared = sum(member.file_size for member in members)
    present = archive.fp.seek(0, 2)
    if declared > present:
        raise ValueError(f"its members declare {declared} bytes, the file has {present}")
    return members


def leads_out(name: str) -> bool:
    """Whether unpacking a member of this name would write outside the target folder."""
    return name.startswith("/") or "\\" in name or ".." in name.split("/")
