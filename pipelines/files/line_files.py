"""Files with one text per line, with or without a label before it.

A line of another form is an error that names file and line, and what to write instead.
"""

import csv
import glob
import itertools
import json
import logging
import os
import pathlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pipelines.core.pipeline import DataError
from pipelines.core.rows import RAM_BUDGET
from pipelines.files import text_files
from pipelines.files.shown import shown
from pipelines.files.texts import Text

UNLABELLED = "texts without labels are for --task=masked_lm"
_SUFFIXES = (".txt", ".tsv")
_MOSTLY = 0.9  # with at least this fraction of labelled lines, the others are errors, as in tables
_MAX_CLASSES = 1000  # as in tables
# Column names that a header line may have, in lower case.
_LABEL_NAMES = {
    *("label", "labels", "class", "category", "target", "sentiment", "topic", "type", "y"),
    *("intent", "tag", "language", "lang", "genre", "author", "emotion", "polarity", "rating"),
}
_TEXT_NAMES = {
    *("text", "texts", "sentence", "review", "comment", "message", "content", "body", "tweet"),
    *("title", "document", "description", "headline", "utterance", "question", "x", "sms", "news"),
}
_WHOLE = "--pipeline_options=lines=texts"
_OF_TEXTS = "for a column of texts write --pipeline=text_table"
_log = logging.getLogger(__name__)


class Source(NamedTuple):
    """A file, and the split and folder that it was named for."""

    split: str
    path: str
    of_folder: bool  # whether a folder was named; then each whole line is a text


def sources(data_files: str) -> list[Source]:
    """All files. DataError: there are none, or they are too large."""
    files = []
    for split, patterns in text_files.by_split(data_files).items():
        for pattern in patterns:
            of_folder = os.path.isdir(os.path.expanduser(pattern))
            if of_folder:
                _check_depth(pattern)
            paths = text_files.expanded(pattern, _SUFFIXES[:1] if of_folder else _SUFFIXES)
            files += [Source(split, path, of_folder) for path in paths]
    text_files.check_size([source.path for source in files], RAM_BUDGET, "texts")
    return files


def _check_depth(folder: str) -> None:
    """DataError: most texts of the folder are in folders below it."""
    top = glob.escape(os.path.expanduser(folder))
    here = len(glob.glob(f"{top}/*.txt"))
    below = itertools.chain(glob.iglob(f"{top}/*/*.txt"), glob.iglob(f"{top}/*/*/*.txt"))
    if sum(1 for _ in itertools.islice(below, here + 1)) > here:
        raise DataError(
            f"{shown(folder)} has its .txt files in folders below it: if each file is a text, "
            f"write --pipeline=text_folder --data_files={shown(folder)}; else move them elsewhere"
        )


def labelled(source: Source, encoding: str, otherwise: str = UNLABELLED) -> Iterator[Text]:
    """The texts of a file with their labels.

    Args:
        otherwise: what else can be done with a line without a label, for the error message.
    """
    path, number, header = source.path, 0, True
    for i, line in text_files.filled(path, encoding):
        label, tab, content = ("", "", line) if source.of_folder else line.partition("\t")
        label = pathlib.Path(path).stem if source.of_folder else label.strip()
        if not source.of_folder and not (tab and label):
            raise DataError(f"{path}:{i}: {_not_a_text(line, path, otherwise)}")
        if header and not source.of_folder and _is_header(label, content):
            _log.info("%s:%d: taken as a header: %s", path, i, shown(line.strip(), 60))
            header = False
            continue
        header = False
        if content.strip():
            number += 1
            yield Text(source.split, label, content.strip().encode(), path, i)
    if not number:
        raise DataError(f"{path} has no text in it")


def without_labels(source: Source, encoding: str, dropped: bool, lines: str) -> Iterator[Text]:
    """The texts of a file without labels; with `dropped`, labels before a tab are removed."""
    if dropped and not source.of_folder:
        texts = labelled(source, encoding, f"take each line whole with {_WHOLE}")
        yield from (text._replace(label="") for text in texts)
        return
    path, number = source.path, 0
    for i, line in text_files.filled(path, encoding):
        if not number and not source.of_folder:
            other = "" if lines else _other_form(line.strip(), path)
            if other:
                raise DataError(f"{path}:{i}: {other}, or take each line as a text with {_WHOLE}")
            if line.strip().lower() in _TEXT_NAMES:
                _log.info("%s:%d: taken as a header: %s", path, i, line.strip())
                continue
        number += 1
        yield Text(source.split, "", line.strip().encode(), path, i)
    if not number:
        raise DataError(f"{path} has no text in it")


class _Counted(NamedTuple):
    """Counts of lines with a label, a tab and a text, and of others."""

    labels: Mapping[str, int]
    labelled: int  # lines
    others: int
    first: tuple[str, str] = ("", "")  # of the others: "file:line", and the text of the line


def have_labels(data_files: str, sources: Sequence[Source], encoding: str, lines: str) -> bool:
    """Whether each line of the files begins with a label and a tab, by the same rule as in tables.

    True if all lines do, with few distinct labels. False if there are many labels, or if fewer than
    nine in ten lines have one.

    Raises:
        DataError: nearly all lines have one; or `lines` is neither texts nor labelled.
    """
    if lines not in ("", "texts", "labelled"):
        raise DataError(f"lines={shown(lines)}: expected texts or labelled, or nothing")
    files = [source for source in sources if not source.of_folder]
    if lines or not files:
        return lines == "labelled"
    counted = _counted(files, encoding)
    if not counted.labelled:
        return False
    every = counted.labelled + counted.others
    if not counted.others and len(counted.labels) <= max(2, min(_MAX_CLASSES, every / 2)):
        _log.info(
            "%s: each of %d lines has one of %d labels before a tab: the labels are dropped; "
            "lines=texts takes each line whole",
            *(data_files, every, len(counted.labels)),
        )
        return True
    if counted.others and counted.labelled >= _MOSTLY * every:
        where, line = counted.first
        raise DataError(
            f"{where}: expected a label, a tab and a text, as in {counted.labelled} other lines, "
            f"received {shown(repr(line[:60]))}: correct it, and labels are dropped; or take each "
            f"line whole, labels too, with {_WHOLE}"
        )
    _log.info(
        "%s: %d of %d lines have a tab with something before it%s: each line is taken whole; "
        "lines=labelled drops what is before the tab",
        *(data_files, counted.labelled, every),
        "" if counted.others else f", {len(counted.labels)} different ones",
    )
    return False


def _counted(files: Sequence[Source], encoding: str) -> _Counted:
    labels, others, first = Counter(), 0, ("", "")
    for source in files:
        for i, line in text_files.filled(source.path, encoding):
            label, tab, _ = line.partition("\t")
            if tab and label.strip():
                labels[label.strip()] += 1
                continue
            others += 1
            first = first if first[0] else (f"{source.path}:{i}", line.strip())
    return _Counted(labels, labels.total(), others, first)


def _is_header(label: str, content: str) -> bool:
    """Whether the first line of a file names its columns: label, text."""
    first, second = label.lower(), content.strip().lower()
    return first in _LABEL_NAMES and second in _TEXT_NAMES


def _not_a_text(line: str, path: str, otherwise: str) -> str:
    """What is wrong with a line without a label, a tab and a text, and what to write."""
    start, received = line.strip(), shown(repr(line.strip()[:60]))
    fault = f"expected a label, a tab and a text, received {received}"
    other = _other_form(start, path)
    if not other and start.startswith('"') and len(next(csv.reader([start]), [])) > 1:
        other = f"if this is a table, {_OF_TEXTS} --data_files={shown(path)}"
        return f"{fault}: {other}; {otherwise}"
    return f"{fault}: {other}" if other else f"{fault}; {otherwise}"


def _other_form(start: str, path: str) -> str:
    """The kind of file that a line looks like, and what to write for it; empty: no other kind."""
    if start.startswith("__label__"):
        return r"this is fastText's form; write it with sed -E 's/^__label__([^ ]+) /\1\t/'"
    if start.startswith("{") and _is_json(start):
        return f"these are JSON lines; {_OF_TEXTS} --data_files={shown(path)}"
    if path.lower().endswith(".csv"):
        return f"this is a table; {_OF_TEXTS} --data_files={shown(path)}"
    return ""


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
