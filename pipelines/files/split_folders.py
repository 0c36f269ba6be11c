"""Infers from their names which folders are splits and which are classes; reads no file."""

import os
import pathlib
import re
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from pipelines.core.pipeline import SPLITS, DataError
from pipelines.files.folders import Kind, is_system, subfolders
from pipelines.files.shown import shown

Folders = Mapping[str, pathlib.Path]  # name in composed Unicode -> path

_WORDS = {
    **dict.fromkeys(("train", "training", "trainings"), "train"),
    **dict.fromkeys(("validation", "validate", "validating", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "tests"), "test"),
}
_EITHER = ("eval", "evaluation", "holdout")  # validation or test, whichever has no other folder
_FILLERS = {
    *("set", "sets", "data", "dataset", "split", "folder", "dir", "files", "sample", "samples"),
    *("image", "images", "img", "imgs", "photo", "photos", "pic", "pics", "picture", "pictures"),
}
_SPELLED = {w: {w, *(w + filler for filler in _FILLERS)} for w in (*_WORDS, *_EITHER)}
_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_A-Za-z]+")


class Layout(NamedTuple):
    """The folders of every class."""

    classes: Mapping[str, Mapping[str, tuple[pathlib.Path, ...]]]  # split -> class -> folders
    above: tuple[pathlib.Path, ...]  # folders that hold folders of classes
    remarks: tuple[str, ...] = ()


class _Role(NamedTuple):
    """What the name of a folder tells about it."""

    split: str  # "": none
    rest: tuple[str, ...]  # its other words, such as seg of seg_train


def layout(top: pathlib.Path, kind: Kind) -> Layout:
    """The classes of a folder, by split if it has folders for splits; no file is opened.

    A split is recognised by a usual name (train, Training, seg_train, test_set, val2017), also if
    there is one more folder between it and its classes, or if each class has folders for splits.

    Raises:
        DataError: it is not clear whether the folders are splits or classes.
    """
    tops = {n: p for n, p in subfolders(top).items() if n.lower() not in kind.without_label}
    below = {name: subfolders(path) for name, path in tops.items()}
    roles = _roles(tops)
    if _are_splits_of_classes(below):
        return _splits_below(top, tops)
    splits = {name: role.split for name, role in roles.items() if role.split and below[name]}
    if "train" not in splits.values():
        unnamed = [n for n in tops if below[n] and n not in splits]
        like = [n for n in unnamed if any(_alike(below[n], below[m]) for m in splits)]
        if splits and len(like) == 1:  # learn/ beside test/, with the same classes
            splits[like[0]] = "train"
    train = [name for name, split in splits.items() if split == "train"]
    others = [name for name in splits if name not in train]
    inner = {name: _inner(tops[name]) for name in train}
    known = {name for folders in inner.values() for name in folders}
    inner |= {name: _inner(tops[name], known) for name in others}
    certain = any(set(inner[a]) & set(inner[b]) for a in train for b in others) or any(
        not roles[name].rest for name in train
    )
    if not (train and certain):
        _check_classes(top, tops, below, roles, kind)
        return explicit({"train": [top]})
    remarks = _check_others(top, tops, roles, splits, inner, kind)
    return _by_split(top, {name: (splits[name], inner[name]) for name in splits}, tops, remarks)


def explicit(chosen: Mapping[str, list[pathlib.Path]]) -> Layout:
    """The layout where folders of classes were named for each split."""
    classes: dict[str, dict[str, tuple[pathlib.Path, ...]]] = {}
    for split in (name for name in SPLITS if name in chosen):
        of_split = classes.setdefault(split, {})
        for path in chosen[split]:
            inner = _inner(path, classes["train"]) if len(chosen) > 1 else subfolders(path)
            for name, folder in inner.items():
                of_split[name] = (*of_split.get(name, ()), folder)
    return Layout(
        {split: dict(sorted(of_split.items())) for split, of_split in classes.items()},
        tuple(path for paths in chosen.values() for path in paths),
    )


def without_classes(top: pathlib.Path) -> dict[str, pathlib.Path]:
    """Split -> its folder, if train and others have one with only files: train/, test/."""
    tops = subfolders(top)
    roles = {name: role.split for name, role in _roles(tops).items() if role.split}
    flat = {split: tops[name] for name, split in roles.items() if not subfolders(tops[name])}
    return flat if "train" in flat and 1 < len(flat) == len(roles) else {}


def _role(name: str) -> _Role:
    split, rest = "", []
    for token in map(str.lower, _TOKEN.findall(name)):
        word = next((w for w in _SPELLED if token in _SPELLED[w]), "")
        if word and not split:
            split = _WORDS.get(word, "either")
        elif token not in _FILLERS:
            rest.append(token)
    return _Role(split, tuple(rest))


def _roles(tops: Folders) -> dict[str, _Role]:
    roles = {name: _role(name) for name in tops}
    named = {role.split for role in roles.values()}
    left = {"validation", "test"} - named
    # eval/ is the third split beside train/ and test/, or beside train/ and validation/.
    either = left.pop() if len(left) == 1 and "train" in named else ""
    return {
        name: role._replace(split=either) if role.split == "either" else role
        for name, role in roles.items()
    }


def _inner(top: pathlib.Path, known: Collection[str] = ()) -> dict[str, pathlib.Path]:
    """The class folders in a split's folder, skipping a single folder between them.

    Such as the second seg_train in seg_train/seg_train/forest.

    Args:
        known: names of classes, whose folders are not skipped.
    """
    classes = subfolders(top)
    while len(classes) == 1 and not set(classes) & set(known):
        [below] = map(subfolders, classes.values())
        if len(below) < 2 and not (below and _role(*classes).split):
            break
        classes = below
    return classes


def _alike(one: Folders, other: Folders) -> bool:
    """Whether the folders in two folders have the same names, except for a few."""
    same = set(one) & set(other)
    least, most = sorted((len(one), len(other)))
    if most < 2 or not same:
        return False  # cat/images, dog/images: splits have more than one class
    return 2 * len(same) >= len(set(one) | set(other)) or len(same) == least


def _are_splits_of_classes(below: Mapping[str, Folders]) -> bool:
    """Whether every folder contains the splits: cat/train, cat/test, dog/train, dog/test."""
    return len(below) > 1 and all(
        len(folders) > 1
        and all(_role(name).split in SPLITS and not _role(name).rest for name in folders)
        and "train" in {_role(name).split for name in folders}
        for folders in below.values()
    )


def _splits_below(top: pathlib.Path, tops: Folders) -> Layout:
    classes: dict[str, dict[str, tuple[pathlib.Path, ...]]] = {}
    for class_name, path in tops.items():
        for name, folder in subfolders(path).items():
            of_class = classes.setdefault(_role(name).split, {})
            of_class[class_name] = (*of_class.get(class_name, ()), folder)
    return Layout(classes, (top, *tops.values()))


def _check_classes(
    top: pathlib.Path,
    tops: Folders,
    below: Mapping[str, Folders],
    roles: Mapping[str, _Role],
    kind: Kind,
) -> None:
    """DataError: folders that would be classes may be splits."""
    flat = {role.split: name for name, role in roles.items() if role.split and not below[name]}
    same_rest = len({roles[name].rest for name in flat.values()}) == 1
    if "train" in flat and len(flat) > 1 and same_rest:
        names = _listed(sorted(flat.values()))
        raise DataError(
            f"{shown(top)}: {names} have no folders of classes in them: expected "
            f"{shown(tops[flat['train']])}/{kind.example}; if they are the classes themselves, "
            f"write --data_files=train={shown(top)}"
        )
    names = list(tops)
    for i, one in enumerate(names):
        alike = [n for n in names[i + 1 :] if below[one] and _alike(below[one], below[n])]
        if alike:
            both = sorted(set(below[one]) & set(below[alike[0]]))
            raise _unsure(top, tops, {one: "train", alike[0]: "test"}, _listed(both))


def _check_others(
    top: pathlib.Path,
    tops: Folders,
    roles: Mapping[str, _Role],
    splits: Mapping[str, str],
    inner: Mapping[str, Folders],
    kind: Kind,
) -> tuple[str, ...]:
    """Remarks on folders beside those of splits. DataError: they may be splits or classes."""
    if len(set(splits.values())) < len(splits):
        twice = [n for n, s in splits.items() if list(splits.values()).count(s) > 1]
        raise DataError(
            f"{shown(top)}: {_listed(twice)} are two folders for one split; name the split of "
            f"each: {_option(tops, splits)}"
        )
    remarks = []
    known = {name for folders in inner.values() for name in folders}
    for name in (n for n in tops if n not in splits):
        number = sum(1 for _ in _files(tops[name]))
        shared = known & set(subfolders(tops[name]))
        if shared:
            raise DataError(
                f"{shown(top)}: {shown(name, 60)!r} is not a split's name, but has folders of "
                f"classes in it ({_listed(sorted(shared))}); name the split of each folder that is "
                f"used: {_option(tops, splits)},train={shown(tops[name])}"
            )
        if roles[name].split and number:
            raise DataError(
                f"{shown(tops[name])} has no {kind.noun} in folders of classes; to leave it out, "
                f"write {_option(tops, splits)}"
            )
        if len(splits) == 1 and number:
            raise _unsure(top, tops, splits, _listed(list(inner[next(iter(splits))])))
        remarks.append(
            f"warning: left out, neither a split nor a class: {shown(tops[name])} ({number} files)"
        )
    return tuple(remarks)


def _by_split(
    top: pathlib.Path,
    splits: Mapping[str, tuple[str, Folders]],
    tops: Folders,
    remarks: tuple[str, ...],
) -> Layout:
    classes = {
        split: {name: (path,) for name, path in folders.items()}
        for split, folders in splits.values()
    }
    unusual = [
        f"{split}: {shown(tops[name])}" for name, (split, _) in splits.items() if name != split
    ]
    taken = (f"taken as splits: {', '.join(unusual)}",) if unusual else ()
    return Layout(classes, (top, *(tops[name] for name in splits)), (*taken, *remarks))


def _unsure(top: pathlib.Path, tops: Folders, splits: Mapping[str, str], names: str) -> DataError:
    return DataError(
        f"{shown(top)}: if its folders are splits, of the classes {names}, name them: "
        f"{_option(tops, splits)}; if {_listed(list(tops))} are the classes, write "
        f"--data_files=train={shown(top)}"
    )


def _option(tops: Folders, splits: Mapping[str, str]) -> str:
    ordered = sorted(splits, key=lambda name: SPLITS.index(splits[name]))
    return "--data_files=" + ",".join(f"{splits[name]}={shown(tops[name])}" for name in ordered)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(shown(name, 60) for name in names[:5]) + more


def _files(top: pathlib.Path) -> Iterator[str]:
    for _, folders, names in os.walk(top):
        folders[:] = [name for name in folders if not is_system(name)]
        yield from (name for name in names if not is_system(name))
