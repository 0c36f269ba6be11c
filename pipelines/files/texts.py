"""A user's texts as rows, with or without classes, and a summary of them."""

import logging
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipelines.core import splits
from pipelines.core.pipeline import SPLITS, DataError, Rows, Schema, classes
from pipelines.files.shown import shown
from pipelines.files.table import Cut
from pipelines.files.table_file import NAME
from zoo.spec import Field

_log = logging.getLogger(__name__)
FIELD = "text"  # what a client of the exported model sends, unless a column has another name
_DIGEST = "\0digest"  # a temporary column of rows that are being split
_SHOWN = 20  # classes whose counts are printed


class Text(NamedTuple):
    """One text with its class and its location."""

    split: str
    label: str  # empty: there is none
    content: bytes  # in UTF-8
    path: str
    line: int = 0  # in the file; 0: the text is the whole file


class Texts(NamedTuple):
    """Texts of all splits, by column."""

    contents: np.ndarray  # (N,) of bytes; or of paths, where they do not fit into memory
    digest: np.ndarray  # (N,) int64, of the contents
    labels: Sequence[str]  # of each
    split_of: Sequence[str]  # of each
    where: Callable[[int], str]  # index of a text -> "file:line"
    separate: tuple[str, ...]  # splits besides train that have files of their own


def gathered(texts: Iterable[Text], separate: Collection[str], *, keep: bool = True) -> Texts:
    """The texts by column, which takes less memory than one object per text.

    Args:
        keep: whether contents are kept in memory; otherwise only the path of each.
    """
    contents, labels, split_of, paths, lines = [], [], [], [], array("q")

    def each() -> Iterator[bytes]:
        for text in texts:
            contents.append(text.content if keep else text.path.encode("utf-8", "surrogateescape"))
            labels.append(text.label)
            split_of.append(text.split)
            paths.append(text.path)
            lines.append(text.line)
            yield text.content

    digest = splits.digests(each())

    def where(i: int) -> str:
        return f"{paths[i]}:{lines[i]}" if lines[i] else paths[i]

    own = tuple(name for name in SPLITS[1:] if name in separate)
    return Texts(column(contents), digest, labels, split_of, where, own)


def labelled(
    texts: Texts, source: str, cut: Cut, remarks: Iterable[str] = ()
) -> tuple[dict[str, Rows], Schema]:
    """The rows of every split with the classes of the training texts; logs a summary.

    Args:
        remarks: further lines of the summary.

    Raises:
        DataError: there is only one class, or a label does not occur in the training texts.
    """
    pairs = zip(texts.labels, texts.split_of, strict=True)
    names = tuple(sorted({label for label, split in pairs if split == "train"}))
    if len(names) < 2:
        raise DataError(f"{source}: expected two classes or more, received {', '.join(names)}")
    ids = {name: i for i, name in enumerate(names)}
    for i, label in enumerate(texts.labels):
        if label not in ids:
            raise DataError(f"{texts.where(i)}: label {label!r} is not in the training texts")
    target = np.array([ids[label] for label in texts.labels], np.int64)
    fields = {FIELD: Field((), "string"), "label": Field((), "int64")}
    table = {FIELD: texts.contents, "label": target}
    rows, digest = by_split(Rows(len(target), fields, "label", table=table), texts, cut)
    _log.info("\n".join([*summary(texts, source, digest), *remarks]))
    return rows, classes({FIELD: fields[FIELD]}, names)


def unlabelled(
    texts: Texts, source: str, cut: Cut, remarks: Iterable[str] = (), *, field: str = FIELD
) -> tuple[dict[str, Rows], Schema]:
    """The rows of every split without labels; logs a summary.

    Each text is in the same split as in `labelled`: texts that a classifier is tested on are not
    used for training here either.
    """
    rows, digest = by_split(bare(texts.contents, field), texts, cut)
    _log.info("\n".join([*summary(texts, source, digest), *remarks]))
    return rows, without_target(field)


def bare(contents: np.ndarray, field: str = FIELD) -> Rows:
    """Rows of texts (N,) without a target."""
    return Rows(len(contents), {field: Field((), "string")}, None, table={field: contents})


def without_target(field: str = FIELD) -> Schema:
    """The schema of texts without labels."""
    return Schema({field: Field((), "string")}, "masked_lm", None)


def by_split(rows: Rows, texts: Texts, cut: Cut) -> tuple[dict[str, Rows], dict[str, np.ndarray]]:
    """The rows of each split, from its files or cut from train by content hash; their digests."""
    whole = rows._replace(table={**rows.table, _DIGEST: texts.digest})
    split_of = np.array(texts.split_of)
    parts = {
        name: splits.select(whole, np.flatnonzero(split_of == name))
        for name in ("train", *texts.separate)
    }
    if len(texts.separate) < 2:
        train = parts["train"]
        parts |= splits.by_content(
            train, train.table[_DIGEST], separate=texts.separate, **cut._asdict()
        )
    digest = {name: parts[name].table[_DIGEST] for name in SPLITS}
    columns = {name: {k: parts[name].table[k] for k in rows.table} for name in SPLITS}
    return {name: parts[name]._replace(table=columns[name]) for name in SPLITS}, digest


def summary(texts: Texts, source: str, digest: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Lines about the numbers of texts, copies, and texts with two labels."""
    counts = Counter(label for label in texts.labels if label)
    of = f", {len(counts)} classes" if counts else ""
    yield f"{source}: {len(texts.contents)} texts{of}"
    if counts:
        more = f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else ""
        named = (f"{shown(name, NAME)} {counts[name]}" for name in sorted(counts)[:_SHOWN])
        yield ", ".join(named) + more
    yield ", ".join(f"{len(digest[name])} {name}" for name in SPLITS)
    yield from copies(texts.digest, texts.labels, texts.where)
    for name, number in splits.duplicates(digest).items():
        yield f"{number} texts of {name} are in train too: its figures flatter the model"


def copies(
    digest: np.ndarray, labels: Sequence[str], where: Callable[[int], str], what: str = "texts"
) -> Iterator[str]:
    """A line about texts that occur again, and one about those that have two labels.

    Args:
        what: the name of the examples, in the plural.
    """
    first: dict[int, int] = {}
    double: dict[int, tuple[int, int]] = {}
    for i, content in enumerate(digest.tolist()):
        earlier = first.setdefault(content, i)
        if labels[i] != labels[earlier]:
            double.setdefault(content, (earlier, i))
    number = len(digest) - len(first)
    if number:
        yield f"{number} {what} are copies of an earlier one"
    if double:
        one, other = next(iter(double.values()))
        yield (
            f"{len(double)} {what} have two labels, such as {shown(where(one))} "
            f"({shown(labels[one], NAME)}) and {shown(where(other))} ({shown(labels[other], NAME)})"
        )


def column(contents: Sequence[bytes]) -> np.ndarray:
    """Texts as a column: (N,) of bytes."""
    values = np.empty(len(contents), object)
    values[:] = contents
    return values
