"""Folders of classes: lists the files of each class and split without reading them."""

import collections
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, NoReturn

from pipelines.core.pipeline import SPLITS, DataError, MissingDataError
from pipelines.files import photo, split_folders, text_files
from pipelines.files.folders import Kind, is_system, subfolders
from pipelines.files.shown import shown
from pipelines.files.table_file import quoted

_Paths = Sequence[pathlib.Path]


class File(NamedTuple):
    """One file of the wanted kind."""

    path: pathlib.Path
    label: int
    split: str  # "train" if there are no folders for splits


class Folder(NamedTuple):
    """The classes and files of a folder."""

    path: pathlib.Path  # the common parent of all files
    class_names: tuple[str, ...]
    files: tuple[File, ...]
    separate: tuple[str, ...]  # validation or test, where it has a folder of its own
    others: collections.Counter  # suffix -> number of files of other kinds
    remarks: tuple[str, ...] = ()  # about the folders, for the log


def _is_image(path: pathlib.Path) -> bool:
    return path.suffix.lower() in photo.SUFFIXES or photo.begins_as_image(path)


IMAGES = Kind("images", "cat/*.jpg", _is_image)


def scan(data_files: str | os.PathLike, kind: Kind = IMAGES) -> Folder:
    """Classes and files of a folder, sorted by name; no file is read as a whole.

    Args:
        data_files: the folder, or one for each split: "train=photos/Training,test=photos/Testing".
        kind: the files to look for.

    Raises:
        DataError: a folder does not exist or has fewer than two classes, a class has no such files,
            or it is not clear whether the folders are splits or classes.
    """
    folders = layout(chosen(data_files), kind)
    classes = {split: _labelled(of_split, kind) for split, of_split in folders.classes.items()}
    class_names = tuple(classes["train"])
    _check_classes(folders.above[0], classes["train"], kind)
    files, others = [], collections.Counter()
    for split in (name for name in SPLITS if name in classes):
        of_split = _files(classes[split], class_names, split, kind, others)
        if not of_split:
            raise DataError(f"{split} has no {kind.noun} in folders of classes")
        files += of_split
    for folder in folders.above:
        inside = list(folder.iterdir())
        kinds = (_kind(p) for p in inside if p.is_file() and not is_system(p.name))
        others.update([*kinds, *("system folder" for p in inside if _is_system_folder(p))])
    separate = tuple(name for name in ("validation", "test") if name in folders.classes)
    above = pathlib.Path(os.path.commonpath(folders.above))
    return Folder(above, class_names, tuple(files), separate, others, folders.remarks)


def flat(data_files: str | os.PathLike, kind: Kind = IMAGES) -> Folder | None:
    """All files below a folder that has no classes, at any depth; None: it has classes.

    It has no classes if files of the kind are in the folder itself, unless its subfolders are
    splits with classes; if it has one subfolder at most; or if its subfolders are splits that hold
    only files, such as train/ and test/.

    Raises:
        DataError: the folder does not exist, or has no such files.
    """
    top = chosen(data_files)
    if isinstance(top, pathlib.Path):
        tops = {k: [v] for k, v in split_folders.without_classes(top).items()}
        beside = (path for path in top.iterdir() if not is_system(path.name))
        loose = any(path.is_file() and kind.holds(path) for path in beside)
        if not tops and len(subfolders(top)) > 1 and (not loose or _has_splits(top, kind)):
            return None
        tops = tops or {"train": [top]}
    elif any(subfolders(path) for paths in top.values() for path in paths):
        return None
    else:
        tops = top
    others: collections.Counter = collections.Counter()
    files = [
        File(path, 0, split)
        for split in (name for name in SPLITS if name in tops)
        for folder in tops[split]
        for path in files_below(folder, kind, others)
    ]
    if not any(file.split == "train" for file in files):
        raise DataError(f"{shown(data_files)} has no {kind.noun} to train on")
    above = pathlib.Path(os.path.commonpath([path for paths in tops.values() for path in paths]))
    separate = tuple(name for name in ("validation", "test") if name in tops)
    return Folder(above, (), tuple(files), separate, others)


def _has_splits(top: pathlib.Path, kind: Kind) -> bool:
    """Whether its subfolders are splits with classes; files beside them belong to no split."""
    try:
        return len(split_folders.layout(top, kind).classes) > 1
    except DataError:  # unclear; with labels this is an error
        return False


def layout(
    chosen: pathlib.Path | Mapping[str, list[pathlib.Path]], kind: Kind
) -> split_folders.Layout:
    """The folders of each class and split, including those of `kind.without_label`."""
    if isinstance(chosen, pathlib.Path):
        return split_folders.layout(chosen, kind)
    return split_folders.explicit(chosen)


def chosen(data_files: str | os.PathLike) -> pathlib.Path | dict[str, list[pathlib.Path]]:
    """The folder whose layout has to be inferred, or the folders that were named for splits.

    Raises:
        DataError: there is no such folder.
    """
    data_files = os.fspath(data_files)
    whole = os.path.expanduser(data_files)
    if os.path.isdir(whole):
        return pathlib.Path(whole)
    named = {} if os.path.exists(whole) else text_files.by_split(data_files)
    expanded = {split: [os.path.expanduser(p) for p in paths] for split, paths in named.items()}
    for path in [path for paths in expanded.values() for path in paths] or [whole]:
        if not os.path.isdir(path):  # False too where pathlib raises: a name of 5 000 characters
            there = os.path.exists(path)
            kind = DataError if there else MissingDataError
            raise kind(f"data_files={shown(path)} {'is a file' if there else 'does not exist'}")
    # All absolute or all relative: os.path.commonpath takes no mixture.
    absolute = any(os.path.isabs(path) for paths in expanded.values() for path in paths)
    return {
        split: [pathlib.Path(path).absolute() if absolute else pathlib.Path(path) for path in paths]
        for split, paths in expanded.items()
    }


def _labelled(classes: Mapping[str, _Paths], kind: Kind) -> dict[str, _Paths]:
    return {
        name: paths for name, paths in classes.items() if name.lower() not in kind.without_label
    }


def _check_classes(top: pathlib.Path, classes: Mapping[str, _Paths], kind: Kind) -> None:
    """DataError: fewer than two classes."""
    if not classes:
        raise DataError(
            f"{shown(top)} has no folders: expected one for each class, {shown(top)}/{kind.example}"
        )
    if len(classes) == 1:
        [(name, (folder, *_))] = classes.items()
        hint = f"; did you mean data_files={shown(folder)}?" if len(subfolders(folder)) > 1 else ""
        raise DataError(
            f"{shown(folder.parent)} has one class only, {quoted(name)}; expected more{hint}"
        )


def _files(
    classes: Mapping[str, _Paths],
    class_names: Sequence[str],
    split: str,
    kind: Kind,
    others: collections.Counter,
) -> list[File]:
    """The files of a split. DataError: a class that train lacks, or one of train without files."""
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
            File(path, label, split) for top in folders for path in files_below(top, kind, beside)
        ]
        if not of_class and split == "train":
            kinds = ", ".join(f"{number} {other}" for other, number in beside.most_common(5))
            there = f", only {kinds}" if kinds else ""
            raise DataError(
                f"{shown(folders[0])} has no {kind.noun}{there}: class {quoted(name)} would be "
                "empty"
            )
        others.update(beside)
        files += of_class
    return files


def files_below(
    top: pathlib.Path, kind: Kind, others: collections.Counter
) -> Iterator[pathlib.Path]:
    """Files of a kind at any depth below a folder, following links; counts the others by suffix.

    DataError: a folder cannot be read; to skip it would lose its files silently.
    """
    seen = set()
    for here, folders, names in os.walk(top, onerror=_refuse, followlinks=True):
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:  # reached a second time, through a link
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        others["system folder"] += sum(map(is_system, folders))
        folders[:] = sorted(name for name in folders if not is_system(name))
        for path in (pathlib.Path(here, name) for name in sorted(names) if not is_system(name)):
            if path.exists() and not path.is_file():
                others["not a file"] += 1  # a pipe or a socket: reading would block
            elif kind.holds(path):
                yield path
            else:
                others[_kind(path)] += 1
    others += collections.Counter()  # drops zero counts


def _refuse(error: OSError) -> NoReturn:
    raise DataError(f"{shown(error.filename)} cannot be read: {error.strerror}") from error


def _kind(path: pathlib.Path) -> str:
    return path.suffix.lower() or "without ending"


def _is_system_folder(path: pathlib.Path) -> bool:
    return is_system(path.name) and path.is_dir()
