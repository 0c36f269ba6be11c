"""Your own texts: --pipeline=text_lines --data_files=reviews.tsv, or a folder of files."""

import csv
import logging
import os
import pathlib
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pipelines import SPLITS, DataError, Pipeline, Rows, Schema, classes
from pipelines.core import splits
from pipelines.files import text_files
from pipelines.files.shown import shown
from pipelines.steps import text
from pipelines.steps.ngrams import ngrams_form
from pipelines.storage.progress import progress
from zoo.spec import Field

LIMITS = {
    "vocab_size": (6, None),  # five pieces are special
    "max_length": (2, None),
    "num_ngrams": (1, 1_073_741_824),
    "split_seed": (0, 2_147_483_648),
}
_SUFFIXES = (".txt", ".tsv")
_FEW = 20  # texts, of which a class may have one
# Names of columns in a first line, in lower case.
_LABEL_NAMES = {
    *("label", "labels", "class", "category", "target", "sentiment", "topic", "type", "y"),
    *("intent", "tag", "language", "lang", "genre", "author", "emotion", "polarity", "rating"),
}
_TEXT_NAMES = {
    *("text", "texts", "sentence", "review", "comment", "message", "content", "body", "tweet"),
    *("title", "document", "description", "headline", "utterance", "question", "x", "sms", "news"),
}


_log = logging.getLogger(__name__)


class Line(NamedTuple):
    """One text with its class and its position."""

    split: str
    label: str
    text: str
    where: str  # file:line


def pipeline(
    *,
    data_files: str,
    vocab_size: int = 8_000,
    max_length: int = 256,
    ngrams: str = "auto",
    num_ngrams: int = 800_000,
    hash_ngrams: bool = False,
    encoding: str = "",
    split_seed: int = 0,
    validation: float = 0.1,
    test: float = 0.2,
) -> Pipeline:
    """A file with a label, a tab and a text on each line, or a folder with one file per class.

    In a folder each `.txt` file is a class of the same name, and each of its lines a text. Blank
    lines are skipped. A split without files of its own is cut from train by content.

    Args:
        data_files: files or folders separated by commas, or one for each split:
            "train=a.tsv,test=b.tsv".
        vocab_size: largest number of pieces in the vocabulary, which the training texts define.
        max_length: largest number of pieces of a text; longer texts lose their middle.
        ngrams: words (1 to 3), characters within words (1 to 5), both, or auto: both up to 4 MB.
        num_ngrams: largest number of n-grams of each kind: those in the most training texts.
        hash_ngrams: an n-gram's id is its hash among `num_ngrams`, and none are counted.
        encoding: of files that are neither UTF-8 nor UTF-16 with a mark, such as cp1252.
        split_seed: another seed gives another split by content.
        validation: fraction of the texts, as is `test`.

    Raises:
        DataError: (when it is read) no such file, a line without a tab, bytes that are not text,
            or only one class.
    """
    fractions = {"seed": split_seed, "validation": validation, "test": test}

    def read() -> tuple[dict[str, Rows], Schema]:
        lines, names, separate = _lines(data_files, encoding)
        parts = ("train", *separate)
        rows = {
            name: _rows([line for line in lines if line.split == name], names) for name in parts
        }
        digest = {k: splits.digests(r.table["text"].tolist()) for k, r in rows.items()}
        if len(separate) < 2:
            train, own = rows["train"], digest["train"]
            rows |= splits.by_content(train, own, separate=separate, **fractions)
        _log.info("\n".join(_summary(data_files, names, rows, lines)))
        return rows, classes({"text": Field((), "string")}, names)

    return Pipeline(
        name="text_lines",
        source=data_files,
        read=read,
        forms={
            "pieces": text.pieces_form(vocab_size, max_length),
            "ngrams": ngrams_form(ngrams, num_ngrams, hash_ngrams),
        },
    )


def _lines(data_files: str, encoding: str) -> tuple[list[Line], tuple[str, ...], list[str]]:
    """All lines, the classes, and the splits besides train that have files of their own."""
    paths = text_files.by_split(data_files)
    found = (line for name in paths for path in paths[name] for line in _read(path, name, encoding))
    lines = list(progress(found, None, "reading texts"))
    names = tuple(sorted({line.label for line in lines if line.split == "train"}))
    if len(names) < 2:
        raise DataError(f"{data_files}: expected two classes or more, received {', '.join(names)}")
    for line in lines:
        if line.label not in names:
            raise DataError(f"{line.where}: label {line.label!r} is not in the training texts")
    return lines, names, [name for name in SPLITS[1:] if name in paths]


def _read(pattern: str, name: str, encoding: str) -> Iterator[Line]:
    folder = os.path.isdir(os.path.expanduser(pattern))
    for path in text_files.expanded(pattern, _SUFFIXES[:1] if folder else _SUFFIXES):
        number, header = 0, True
        for i, line in enumerate(
            text_files.lines(path, text_files.encoding_of(path, encoding)), start=1
        ):
            if not line.strip():
                continue
            label, tab, content = ("", "", line) if folder else line.partition("\t")
            label = pathlib.Path(path).stem if folder else label.strip()
            if not folder and not (tab and label):
                raise DataError(f"{path}:{i}: {_not_a_text(line, path)}")
            if header and not folder and _is_header(label, content):
                _log.info("%s:%d: taken as a header: %s", path, i, shown(line.strip(), 60))
                header = False
                continue
            header = False
            if content.strip():
                number += 1
                yield Line(name, label, content.strip(), f"{path}:{i}")
        if not number:
            raise DataError(f"{path} has no text in it")


def _is_header(label: str, content: str) -> bool:
    """Whether the first line of a file names its columns: label, text."""
    first, second = label.lower(), content.strip().lower()
    return first in _LABEL_NAMES and second in _TEXT_NAMES


def _not_a_text(line: str, path: str) -> str:
    """What is wrong with a line without a label, a tab and a text, and what to write."""
    start, received = line.strip(), shown(repr(line.strip()[:60]))
    fault = f"expected a label, a tab and a text, received {received}"
    if start.startswith("__label__"):
        return (
            f"{fault}: this is fastText's form; write it with sed -E "
            r"'s/^__label__([^ ]+) /\1\t/'"
        )
    if start.startswith("{"):
        return f"{fault}: these are JSON lines; write a label, a tab and a text in each line"
    cells = next(csv.reader([start]), [])
    if path.lower().endswith(".csv") or (len(cells) > 1 and start.startswith('"')):
        return (
            f"{fault}: this is a table; columns are for --pipeline=csv, a column of texts is to be "
            "written here as a label, a tab and a text in each line"
        )
    return fault


def _rows(lines: list[Line], names: tuple[str, ...]) -> Rows:
    ids = {name: i for i, name in enumerate(names)}
    table = {
        "text": np.array([line.text.encode() for line in lines], object),
        "label": np.array([ids[line.label] for line in lines], np.int64),
    }
    fields = {"text": Field((), "string"), "label": Field((), "int64")}
    return Rows(len(lines), fields, "label", table=table)


def _summary(
    source: str, names: tuple[str, ...], rows: dict[str, Rows], read: list[Line]
) -> Iterator[str]:
    counts = Counter(line.label for line in read)
    yield f"{source}: {len(read)} texts, {len(names)} classes"
    yield ", ".join(f"{name} {counts[name]}" for name in names[:20])
    yield ", ".join(f"{rows[name].num_rows} {name}" for name in SPLITS)
    first = next(line for line in read if line.split == "train")
    if counts[first.label] == 1 and len(read) >= _FEW:
        yield (
            f"warning: {first.where}: class {shown(repr(first.label), 60)} has this text only, "
            f"{shown(repr(first.text), 60)}: delete the line if it is a header"
        )
    labels: dict[str, list[Line]] = {}
    for line in read:
        labels.setdefault(line.text, []).append(line)
    copies = len(read) - len(labels)
    if copies:
        yield f"{copies} texts are copies of an earlier one"
    double = [lines for lines in labels.values() if len({line.label for line in lines}) > 1]
    if double:
        first = double[0][0]
        other = next(line for line in double[0] if line.label != first.label)
        yield (
            f"{len(double)} texts have two labels, such as {first.where} ({first.label}) and "
            f"{other.where} ({other.label})"
        )
    digest = {name: splits.digests(part.table["text"].tolist()) for name, part in rows.items()}
    for name, number in splits.duplicates(digest).items():
        yield f"{number} texts of {name} are in train too: its figures flatter the model"
