"""A folder for each class: which files are whose, before any of them is read."""

import collections
import os
import pathlib
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from pipelines import SPLITS, DataError
from pipelines.files import photo

_NAMES = {name: name for name in SPLITS} | {"valid": "validation", "val": "validation"}
_CLUTTER = ("thumbs.db", "desktop.ini", "__macosx")  # of Windows and macOS


class File(NamedTuple):
    """One image file."""

    path: pathlib.Path
    label: int
    split: str  # as its folder says; "train" where there are no such folders


class Folder(NamedTuple):
    """What a folder holds, before any image is read."""

    place: pathlib.Path
    class_names: tuple[str, ...]
    files: tuple[File, ...]
    given: tuple[str, ...]  # of validation and test, what has a folder of its own
    others: collections.Counter  # suffix -> number of files that are no images


def scan(place: pathlib.Path) -> Folder:
    """Classes and files of a folder, sorted by name; no image is read.

    Raises:
        DataError: there is no such folder, or not two classes or more with images in each.
    """
    if not place.is_dir():
        raise DataError(f"data_files={place} is {'a file' if place.exists() else 'not there'}")
    others = collections.Counter()
    tops = _split_folders(place)
    classes = {name: _subfolders(path) for name, path in (tops or {"train": place}).items()}
    class_names = tuple(classes["train"])
    if not class_names:
        raise DataError(f"{place} has no folders: expected one for each class, {place}/cat/*.jpg")
    if len(class_names) == 1:
        [below] = classes["train"].values()
        hint = f"; did you mean data_files={below}?" if len(_subfolders(below)) > 1 else ""
        raise DataError(f"{place} has one class only, {class_names[0]!r}; expected more{hint}")
    files = []
    for name in SPLITS:
        for class_name, path in classes.get(name, {}).items():
            if class_name not in class_names:
                raise DataError(f"{path}: class {class_name!r} is not in {tops['train']}")
            label = class_names.index(class_name)
            found = [File(file, label, name) for file in _image_files(path, others)]
            if not found and name == "train":
                raise DataError(f"{path} has no images: class {class_name!r} would be empty")
            files += found
        if name in tops and not any(file.split == name for file in files):
            raise DataError(f"{tops[name]} has no images in folders of classes")
    for top in {place, *tops.values()}:
        others.update(_kind(p) for p in top.iterdir() if p.is_file() and not _is_clutter(p.name))
    given = tuple(name for name in ("validation", "test") if name in tops)
    return Folder(place, class_names, tuple(files), given, others)


def _split_folders(place: pathlib.Path) -> dict[str, pathlib.Path]:
    """Split -> its folder; empty where the folders are those of classes."""
    parts = [(_NAMES.get(name.lower()), path) for name, path in _subfolders(place).items()]
    tops = dict(parts)
    # A class may be called "train" too: then it has images in it, and no folders.
    if None in tops or "train" not in tops or not _subfolders(tops["train"]):
        return {}
    if len(tops) < len(parts):
        raise DataError(f"{place} has two folders for one split")
    return tops


def _subfolders(place: pathlib.Path) -> dict[str, pathlib.Path]:
    """Folders in a folder, by their names in composed Unicode (macOS stores accents apart)."""
    found = sorted(p for p in place.iterdir() if p.is_dir() and not _is_clutter(p.name))
    for path in found:
        try:
            path.name.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"folder {os.fsencode(path)!r}: its name is not UTF-8") from error
    named = {unicodedata.normalize("NFC", path.name): path for path in found}
    if len(named) < len(found):
        raise DataError(f"{place}: two folders have the same name in different spellings")
    return dict(sorted(named.items()))


def _image_files(place: pathlib.Path, others: collections.Counter) -> Iterator[pathlib.Path]:
    """Image files of a folder and those below it, links followed; counts what is none."""
    seen = set()
    for here, folders, names in os.walk(place, followlinks=True):
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not _is_clutter(name))
        for path in (pathlib.Path(here, name) for name in sorted(names) if not _is_clutter(name)):
            if path.exists() and not path.is_file():
                others["no file"] += 1  # a pipe or a socket: reading would wait for ever
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
