"""Folders with one text per file: lists the files with their classes and splits."""

import itertools
import logging
import os
import pathlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from pipelines.core.pipeline import DataError, Rows, Schema
from pipelines.files import class_folders, split_folders, texts
from pipelines.files.folders import Kind, is_system, subfolders
from pipelines.files.shown import shown
from pipelines.files.table import Cut
from pipelines.files.texts import Texts

TEXTS = Kind(
    "texts",
    "pos/*.txt",
    lambda path: path.suffix.lower() == ".txt",
    ("unsup", "unsupervised", "unlabeled", "unlabelled"),
)
_Chosen = pathlib.Path | Mapping[str, list[pathlib.Path]]
MORE = "more"  # instead of a split: for texts in folders without labels
_HELD = 1000  # most texts without a label in validation, and in test
_FEW, _SEVERAL = 3, 20  # files per class; fewer are too few for the splits, or suspiciously few
_LONG = 20  # mean lines per file; from here on, each line may be a text
_TABLES = (".csv", ".tsv", ".jsonl", ".json", ".ndjson")

_log = logging.getLogger(__name__)


class File(NamedTuple):
    """One file with a text."""

    split: str  # or MORE
    label: str  # empty: it has none
    path: pathlib.Path


class Listing(NamedTuple):
    """The files of a folder, in order."""

    files: list[File]
    remarks: list[str]  # for the log


def labelled(data_files: str) -> Listing:
    """The files of each class and split.

    Raises:
        DataError: as `class_folders.scan`; or there are files, but no folders of classes.
    """
    chosen = _chosen(data_files)
    if isinstance(chosen, pathlib.Path):
        _check_is_not_flat(chosen)
    folder = class_folders.scan(data_files, TEXTS)
    files = [File(f.split, folder.class_names[f.label], f.path) for f in folder.files]
    remarks = [*folder.remarks, *_skipped(folder.others)]
    folders, _ = _folders(chosen)
    more = list(_in_folders(filter(_has_no_label, folders["train"]), Counter()))
    if more:
        remarks.append(f"{len(more)} texts of folders without labels are for --task=masked_lm")
    return Listing(files, remarks)


def unlabelled(data_files: str) -> Listing:
    """All files by split, whatever their class, and those of folders without labels.

    Raises:
        DataError: there are none, or it is not clear whether the folders are splits or classes.
    """
    folders, remarks = _folders(_chosen(data_files))
    others: Counter = Counter()
    files = [
        File(MORE if _has_no_label(folder) else split, "", path)
        for split, of_split in folders.items()
        for folder in of_split
        if split == "train" or not _has_no_label(folder)
        for path in _in_folders([folder], others)
    ]
    if all(file.split == MORE for file in files):  # then they are texts like any others
        files = [file._replace(split="train") for file in files]
    if not any(file.split == "train" for file in files):
        raise DataError(
            f"{shown(data_files)} has no texts to train on: expected .txt files, a text in each"
        )
    return Listing(files, [*remarks, *_skipped(others)])


def _folders(chosen: _Chosen) -> tuple[dict[str, list[pathlib.Path]], tuple[str, ...]]:
    """Split -> folders of texts, of any class or without labels; and remarks for the log."""
    if isinstance(chosen, pathlib.Path):
        chosen = {k: [v] for k, v in split_folders.without_classes(chosen).items()} or chosen
    if not isinstance(chosen, pathlib.Path) or not subfolders(chosen):
        tops = {"train": [chosen]} if isinstance(chosen, pathlib.Path) else chosen
        inside = {top: _inside(top) for paths in tops.values() for top in paths}
        folders = {k: [*itertools.chain(*map(inside.get, paths))] for k, paths in tops.items()}
        return folders, _left_out(top for top in inside if inside[top] != [top])
    layout = split_folders.layout(chosen, TEXTS)
    if len(layout.classes) == 1 and _is_flat(chosen):  # texts of one split
        return {"train": [chosen]}, layout.remarks
    folders = {
        split: [path for paths in of_split.values() for path in paths]
        for split, of_split in layout.classes.items()
    }
    beside = filter(_has_no_label, subfolders(chosen).values())
    folders["train"] += [path for path in beside if path not in folders["train"]]
    return folders, (*layout.remarks, *_left_out(layout.above))


def _inside(top: pathlib.Path) -> list[pathlib.Path]:
    """The folders of texts in a folder that was named for a split; itself if it is one."""
    return [top] if _is_flat(top) else [*subfolders(top).values()] or [top]


def _is_flat(top: pathlib.Path) -> bool:
    """Whether a folder has more texts in itself than in folders below it."""
    folders, number, below = subfolders(top), len(_here(top)), 0
    for folder in folders.values():
        below += len([*itertools.islice(_in_folders([folder], Counter()), number)])
    return number > below


def _here(top: pathlib.Path) -> list[pathlib.Path]:
    """The texts in a folder itself."""
    paths = (path for path in sorted(top.iterdir()) if not is_system(path.name))
    return [path for path in paths if path.is_file() and TEXTS.holds(path)]


def _left_out(above: Iterable[pathlib.Path]) -> tuple[str, ...]:
    """A remark on texts that are beside the folders of texts, such as lists of addresses."""
    paths = [path for top in above for path in _here(top)]
    if not paths:
        return ()
    return (f"left out, beside folders of texts: {len(paths)} files, such as {shown(paths[0])}",)


def rows_without_labels(
    all_texts: Texts, source: str, cut: Cut, remarks: Iterable[str]
) -> tuple[dict[str, Rows], Schema]:
    """The rows of every split, as from `texts.unlabelled` if there are no texts of `MORE`.

    Otherwise those are used for training too, and validation and test are taken from them. Texts
    that a classifier is validated or tested on are left out, and so are copies of them.
    """
    is_more = np.array(all_texts.split_of) == MORE
    if not is_more.any():
        return texts.unlabelled(all_texts, source, cut, remarks)
    rows, digest = texts.by_split(*_part(all_texts, ~is_more), cut)
    held_out = np.concatenate([digest["validation"], digest["test"]])
    copied = is_more & np.isin(all_texts.digest, held_out)
    bare, more = _part(all_texts, is_more & ~copied)
    each = (min(fraction, _HELD / max(1, bare.num_rows)) for fraction in (cut.validation, cut.test))
    more = more._replace(separate=(), split_of=["train"] * bare.num_rows)
    further, of_further = texts.by_split(bare, more, Cut(cut.seed, *each))
    train = [part["train"].table[texts.FIELD] for part in (rows, further)]
    of_train = np.concatenate([digest["train"], of_further["train"]])
    lines = [
        *texts.summary(all_texts, source, {**of_further, "train": of_train}),
        f"{is_more.sum()} texts are of folders without labels: validation and test are some of "
        f"them, and what a classifier is validated or tested on, {len(held_out)} texts and "
        f"{copied.sum()} copies of them, is left out",
    ]
    _log.info("\n".join([*lines, *remarks]))
    return {**further, "train": texts.bare(np.concatenate(train))}, texts.without_target()


def check_lines(source: str, all_texts: Texts) -> list[str]:
    """A remark if the texts are a few files with many lines: each line may be meant as a text.

    Raises:
        DataError: there are too few files for the splits.
    """
    number, names = len(all_texts.contents), set(all_texts.labels)
    lines = sum(content.count(b"\n") + 1 for content in all_texts.contents.tolist())
    if number >= _SEVERAL * len(names) or lines < _LONG * number:
        return []
    folder = "put the files into one folder, each with the name of its class, and "
    message = (
        f"{shown(source)}: {number} files with {lines} lines are {number} texts: if each line is a "
        f"text, {'' if names == {''} else folder}write --pipeline=text_lines"
    )
    if number < _FEW * len(names):
        raise DataError(message)
    return [message]


def _part(all_texts: Texts, chosen: np.ndarray) -> tuple[Rows, Texts]:
    index = np.flatnonzero(chosen)
    part = all_texts._replace(
        contents=all_texts.contents[index],
        digest=all_texts.digest[index],
        split_of=[all_texts.split_of[i] for i in index],
    )
    return texts.bare(part.contents), part


def _chosen(data_files: str) -> _Chosen:
    if os.path.isfile(os.path.expanduser(data_files)):
        table = pathlib.Path(data_files).suffix.lower() in _TABLES
        kind = (
            "a column of texts is for --pipeline=text_table"
            if table
            else ("a text on each line is for --pipeline=text_lines")
        )
        raise DataError(
            f"data_files={shown(data_files)} is a file, expected a folder with a file for each "
            f"text; {kind}"
        )
    return class_folders.chosen(data_files)


def _check_is_not_flat(top: pathlib.Path) -> None:
    """DataError: there are texts, but no folders of classes."""
    here = any(path.is_file() and TEXTS.holds(path) for path in top.iterdir())
    if not here or not all(map(_has_no_label, subfolders(top).values())):
        return
    raise DataError(
        f"{shown(top)} has no folders of classes: expected {shown(top)}/{TEXTS.example}; if each "
        "file is a class with a text on each line, write --pipeline=text_lines; texts without "
        "labels are for --task=masked_lm"
    )


def _has_no_label(folder: pathlib.Path) -> bool:
    return folder.name.lower() in TEXTS.without_label


def _in_folders(folders: Iterable[pathlib.Path], others: Counter) -> Iterator[pathlib.Path]:
    for folder in folders:
        yield from class_folders.files_below(folder, TEXTS, others)


def _skipped(others: Counter) -> list[str]:
    if not others:
        return []
    kinds = ", ".join(f"{number} {shown(kind, 20)}" for kind, number in others.most_common(20))
    return [f"skipped, not texts or not in a folder of texts: {kinds}"]
