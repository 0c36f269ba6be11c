"""Class folders: the files of each class and split, before any image is read."""

import collections
import os
import pathlib
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from pipelines.core.pipeline import SPLITS, DataError, MissingDataError
from pipelines.files import photo

_NAMES = {name: name for name in SPLITS} | {"valid": "validation", "val": "validation"}
_CLUTTER = ("thumbs.db", "desktop.ini", "__macosx")  # of Windows and macOS


class File(NamedTuple):
    """One image file."""

    path: pathlib.Path
    label: int
    split: str  # "train" if there are no folders for splits


class Folder(NamedTuple):
    """The classes and files of a folder."""

    path: pathlib.Path
    class_names: tuple[str, ...]
    files: tuple[File, ...]
    separate: tuple[str, ...]  # validation or test, where it has a folder of its own
    others: collections.Counter  # suffix -> number of files that are not images


def scan(top: pathlib.Path) -> Folder:
    """Classes and files of a folder, sorted by name; no image is read.

    Raises:
        DataError: the folder does not exist, has fewer than two classes, or a class has no images.
    """
    if not top.is_dir():
        kind = DataError if top.exists() else MissingDataError
        raise kind(f"data_files={top} {'is a file' if top.exists() else 'does not exist'}")
    others = collections.Counter()
    tops = _split_folders(top)
    classes = {name: _subfolders(path) for name, path in (tops or {"train": top}).items()}
    class_names = tuple(classes["train"])
    if not class_names:
        raise DataError(f"{top} has no folders: expected one for each class, {top}/cat/*.jpg")
    if len(class_names) == 1:
        [below] = classes["train"].values()
        hint = f"; did you mean data_files={below}?" if len(_subfolders(below)) > 1 else ""
        raise DataError(f"{top} has one class only, {class_names[0]!r}; expected more{hint}")
    files = []
    for name in SPLITS:
        for class_name, path in classes.get(name, {}).items():
            if class_name not in class_names:
                raise DataError(f"{path}: class {class_name!r} is not in {tops['train']}")
            label = class_names.index(class_name)
            images = [File(file, label, name) for file in _image_files(path, others)]
            if not images and name == "train":
                raise DataError(f"{path} has no images: class {class_name!r} would be empty")
            files += images
        if name in tops and not any(file.split == name for file in files):
            raise DataError(f"{tops[name]} has no images in folders of classes")
    for folder in {top, *tops.values()}:
        others.update(_kind(p) for p in folder.iterdir() if p.is_file() and not _is_clutter(p.name))
    separate = tuple(name for name in ("validation", "test") if name in tops)
    return Folder(top, class_names, tuple(files), separate, others)


def _split_folders(top: pathlib.Path) -> dict[str, pathlib.Path]:
    """Split -> its folder; empty if the folders are classes."""
    parts = [(_NAMES.get(name.lower()), path) for name, path in _subfolders(top).items()]
    tops = dict(parts)
    # A class may be called "train" too: its folder has images and no folders in it.
    if None in tops or "train" not in tops or not _subfolders(tops["train"]):
        return {}
    if len(tops) < len(parts):
        raise DataError(f"{top} has two folders for one split")
    return tops


def _subfolders(top: pathlib.Path) -> dict[str, pathlib.Path]:
    """Folders in a folder, by their names in composed Unicode (macOS decomposes accents)."""
    paths = sorted(p for p in top.iterdir() if p.is_dir() and not _is_clutter(p.name))
    for path in paths:
        try:
            path.name.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"folder {os.fsencode(path)!r}: its name is not UTF-8") from error
    named = {unicodedata.normalize("NFC", path.name): path for path in paths}
    if len(named) < len(paths):
        raise DataError(f"{top}: two folders have the same name in different spellings")
    return dict(sorted(named.items()))


def _image_files(top: pathlib.Path, others: collections.Counter) -> Iterator[pathlib.Path]:
    """Image files of a folder and those below it, links followed; counts the other files."""
    seen = set()
    for here, folders, names in os.walk(top, followlinks=True):
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not _is_clutter(name))
        for path in (pathlib.Path(here, name) for name in sorted(names) if not _is_clutter(name)):
            if path.exists() and not path.is_file():
                others["not a file"] += 1  # a pipe or a socket: reading would block
            elif path.suffix.lower() in photo.SUFFIXES or _begins_as_image(path):
                yield path
            else:
                others[_kind(path)] += 1


def _begins_as_image(path: pathlib.Path) -> bool:
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return photo.looks_like_image(file.read(12))


def _kind(path: pathlib.Path) -> str:
    return path.suffix.lower() or "without ending"


def _is_clutter(name: str) -> bool:
    return name.startswith(".") or name.lower() in _CLUTTER
