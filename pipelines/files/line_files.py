"""Files with a text on each line, with a label before it or without.

A line that does not fit is refused by file and line, with what to write.
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
_MOSTLY = 0.9  # fraction of lines with a label from which on the others are errors, as in tables
_MOST_CLASSES = 1000  # as in tables
# Names of columns in a first line, in lower case.
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
    of_folder: bool  # then each of its lines is a text, whatever is in it


def sources(data_files: str) -> list[Source]:
    """All files. DataError: there are none, or they have too many bytes."""
    found = []
    for split, patterns in text_files.by_split(data_files).items():
        for pattern in patterns:
            of_folder = os.path.isdir(os.path.expanduser(pattern))
            if of_folder:
                _check_depth(pattern)
            paths = text_files.expanded(pattern, _SUFFIXES[:1] if of_folder else _SUFFIXES)
            found += [Source(split, path, of_folder) for path in paths]
    text_files.check_size([source.path for source in found], RAM_BUDGET, "texts")
    return found


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
        otherwise: what else can be done with a line without a label, for its refusal.
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
    """The texts of a file without labels; `dropped`: those before a tab are left out."""
    if dropped and not source.of_folder:
        found = labelled(source, encoding, f"take each line whole with {_WHOLE}")
        yield from (text._replace(label="") for text in found)
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
    """Lines with a label, a tab and a text, and others."""

    labels: Mapping[str, int]
    labelled: int  # lines
    others: int
    first: tuple[str, str] = ("", "")  # of the others: its place, and the line


def have_labels(data_files: str, sources: Sequence[Source], encoding: str, lines: str) -> bool:
    """Whether each line of the files begins with a label and a tab; decided as tables are.

    All lines do, and the labels are few: they are dropped. Fewer than nine in ten do: they have
    none.

    Raises:
        DataError: nearly all lines have one; or `lines` is neither texts nor labelled.
    """
    if lines not in ("", "texts", "labelled"):
        raise DataError(f"lines={shown(lines)}: expected texts or labelled, or nothing")
    files = [source for source in sources if not source.of_folder]
    if lines or not files:
        return lines == "labelled"
    found = _counted(files, encoding)
    if not found.labelled:
        return False
    every = found.labelled + found.others
    if not found.others and len(found.labels) <= max(2, min(_MOST_CLASSES, every / 2)):
        _log.info(
            "%s: each of %d lines has one of %d labels before a tab: the labels are dropped; "
            "lines=texts takes each line whole",
            *(data_files, every, len(found.labels)),
        )
        return True
    if found.others and found.labelled >= _MOSTLY * every:
        where, line = found.first
        raise DataError(
            f"{where}: expected a label, a tab and a text, as in {found.labelled} other lines, "
            f"received {shown(repr(line[:60]))}: correct it, and labels are dropped; or take each "
            f"line whole, labels too, with {_WHOLE}"
        )
    _log.info(
        "%s: %d of %d lines have a tab with something before it%s: each line is taken whole; "
        "lines=labelled drops what is before the tab",
        *(data_files, found.labelled, every),
        "" if found.others else f", {len(found.labels)} different ones",
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
    """What a file of another kind is, by a line of it, and what to write; empty: it is none."""
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
