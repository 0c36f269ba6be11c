"""Class folders: the files of each class and split, before any image is read."""

import collections
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pipelines.core.pipeline import SPLITS, DataError, MissingDataError
from pipelines.files import photo, split_folders, text_files
from pipelines.files.shown import shown
from pipelines.files.split_folders import is_system, subfolders
from pipelines.files.table_file import quoted


class File(NamedTuple):
    """One image file."""

    path: pathlib.Path
    label: int
    split: str  # "train" if there are no folders for splits


class Folder(NamedTuple):
    """The classes and files of a folder."""

    path: pathlib.Path  # that all files are below
    class_names: tuple[str, ...]
    files: tuple[File, ...]
    separate: tuple[str, ...]  # validation or test, where it has a folder of its own
    others: collections.Counter  # suffix -> number of files that are not images
    remarks: tuple[str, ...] = ()  # about the folders, for the log


def scan(data_files: str | os.PathLike) -> Folder:
    """Classes and files of a folder, sorted by name; no image is read.

    Args:
        data_files: the folder, or one for each split: "train=photos/Training,test=photos/Testing".

    Raises:
        DataError: a folder does not exist, has fewer than two classes, a class has no images, or
            the folders may be splits as well as classes.
    """
    chosen = _chosen(os.fspath(data_files))
    if isinstance(chosen, pathlib.Path):
        found = split_folders.layout(chosen)
    else:
        found = split_folders.explicit(chosen)
    class_names = tuple(found.classes["train"])
    _check_classes(found.above[0], found.classes["train"])
    files, others = [], collections.Counter()
    for split in (name for name in SPLITS if name in found.classes):
        of_split = _files(found.classes[split], class_names, split, others)
        if not of_split:
            raise DataError(f"{split} has no images in folders of classes")
        files += of_split
    for folder in found.above:
        inside = list(folder.iterdir())
        kinds = (_kind(p) for p in inside if p.is_file() and not is_system(p.name))
        others.update([*kinds, *("system folder" for p in inside if _is_system_folder(p))])
    separate = tuple(name for name in ("validation", "test") if name in found.classes)
    above = pathlib.Path(os.path.commonpath(found.above))
    return Folder(above, class_names, tuple(files), separate, others, found.remarks)


def _chosen(data_files: str) -> pathlib.Path | dict[str, list[pathlib.Path]]:
    """The folder whose layout is to be found out, or the folders that were named for splits."""
    whole = os.path.expanduser(data_files)
    if os.path.isdir(whole):
        return pathlib.Path(whole)
    named = {} if os.path.exists(whole) else text_files.by_split(data_files)
    chosen = {split: [os.path.expanduser(p) for p in paths] for split, paths in named.items()}
    for path in [path for paths in chosen.values() for path in paths] or [whole]:
        if not os.path.isdir(path):  # False too where pathlib raises: a name of 5 000 characters
            there = os.path.exists(path)
            kind = DataError if there else MissingDataError
            raise kind(f"data_files={shown(path)} {'is a file' if there else 'does not exist'}")
    return {split: [pathlib.Path(path) for path in paths] for split, paths in chosen.items()}


def _check_classes(top: pathlib.Path, classes: Mapping[str, Sequence[pathlib.Path]]) -> None:
    """DataError: fewer than two classes."""
    if not classes:
        raise DataError(
            f"{shown(top)} has no folders: expected one for each class, {shown(top)}/cat/*.jpg"
        )
    if len(classes) == 1:
        [(name, (folder, *_))] = classes.items()
        hint = f"; did you mean data_files={shown(folder)}?" if len(subfolders(folder)) > 1 else ""
        raise DataError(
            f"{shown(folder.parent)} has one class only, {quoted(name)}; expected more{hint}"
        )


def _files(
    classes: Mapping[str, Sequence[pathlib.Path]],
    class_names: Sequence[str],
    split: str,
    others: collections.Counter,
) -> list[File]:
    """The image files of a split. DataError: a class that train has not, or of train, without."""
    files = []
    for name, folders in classes.items():
        if name not in class_names:
            raise DataError(
                f"{shown(folders[0])}: class {quoted(name)} is not in train, which has "
                f"{', '.join(shown(known, 60) for known in class_names[:10])}"
            )
        beside: collections.Counter = collections.Counter()
        label = class_names.index(name)
        of_class = [
            File(path, label, split) for top in folders for path in _image_files(top, beside)
        ]
        if not of_class and split == "train":
            kinds = ", ".join(f"{number} {kind}" for kind, number in beside.most_common(5))
            there = f", only {kinds}" if kinds else ""
            raise DataError(
                f"{shown(folders[0])} has no images{there}: class {quoted(name)} would be empty"
            )
        others.update(beside)
        files += of_class
    return files


def _image_files(top: pathlib.Path, others: collections.Counter) -> Iterator[pathlib.Path]:
    """Image files of a folder and those below it, links followed; counts the other files."""
    seen = set()
    for here, folders, names in os.walk(top, followlinks=True):
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        others["system folder"] += sum(map(is_system, folders))
        folders[:] = sorted(name for name in folders if not is_system(name))
        for path in (pathlib.Path(here, name) for name in sorted(names) if not is_system(name)):
            if path.exists() and not path.is_file():
                others["not a file"] += 1  # a pipe or a socket: reading would block
            elif path.suffix.lower() in photo.SUFFIXES or _begins_as_image(path):
                yield path
            else:
                others[_kind(path)] += 1
    others += collections.Counter()  # drops what was counted zero times


def _begins_as_image(path: pathlib.Path) -> bool:
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return photo.looks_like_image(file.read(12))


def _kind(path: pathlib.Path) -> str:
    return path.suffix.lower() or "without ending"


def _is_system_folder(path: pathlib.Path) -> bool:
    return is_system(path.name) and path.is_dir()
