"""Reads files as batches of the examples that a model takes: images, tables, texts, JSON requests.

Files are read when their batches are needed. The examples before a faulty one are in an earlier
batch, so that their answers are printed.
"""

import decimal
import itertools
import logging
import pathlib
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from pipelines import DataError
from pipelines.files import photo, table_file, text_files
from pipelines.files.shown import shown
from trainers.errors import UsageError
from trainers.serving import request
from zoo.spec import Field

TABLES = (".csv", ".tsv")
ROWS = 256  # per batch: larger batches are not faster per row
_BYTES = 32 * 2**20  # per batch, unless one row has more
_LARGEST_IMAGE = 512 * 2**20  # bytes; the pixels that Pillow opens are at most 268 MB in colour

logger = logging.getLogger(__name__)


class Batch(NamedTuple):
    """Some examples of one shape."""

    where: list[str]  # file, or file:line, of each
    columns: Mapping[str, np.ndarray]  # by field, (B, ...)


class _Row(NamedTuple):
    where: str
    values: Sequence[Any]  # of each field: an array, or a cell or line as text
    shape: Hashable  # rows of different shapes are not in one batch
    size: int  # approximate bytes


def batches(
    files: Iterable[pathlib.Path], fields: Mapping[str, Field], signature: str, encoding: str = ""
) -> Iterator[Batch]:
    """The examples in the files, in order.

    Args:
        signature: the only one that a request may name.
        encoding: of tables and texts that are not UTF-8 and have no byte order mark, as in
            training.

    Raises:
        UsageError: a file does not hold what the model takes.
    """
    rows = itertools.chain.from_iterable(_read(path, fields, signature, encoding) for path in files)
    held: list[_Row] = []
    size, fault = 0, None
    while True:
        row = None
        try:
            row = next(rows, None)
        except Exception as error:  # raised below, after the rows before it
            fault = error
        if held and (
            row is None
            or row.shape != held[0].shape
            or len(held) == ROWS
            or size + row.size > _BYTES
        ):
            yield from _batches_of(held, fields)
            held, size = [], 0
        if row is None:
            break
        held.append(row)
        size += row.size
    if isinstance(fault, DataError):
        raise UsageError(str(fault)) from fault
    if fault is not None:
        raise fault


def _batches_of(rows: Sequence[_Row], fields: Mapping[str, Field]) -> Iterator[Batch]:
    """One batch; if a cell is faulty, one batch for each row before it."""
    try:
        made: Iterable[Batch] = [_batch(rows, fields)]
    except UsageError:
        made = (_batch([row], fields) for row in rows)
    yield from made


def _batch(rows: Sequence[_Row], fields: Mapping[str, Field]) -> Batch:
    where = [row.where for row in rows]
    values = zip(*(row.values for row in rows), strict=True)
    columns = {
        name: _parsed(where, name, of_all, field)
        if isinstance(of_all[0], str)
        else np.stack(of_all)
        for (name, field), of_all in zip(fields.items(), values, strict=True)
    }
    return Batch(where, columns)


def _parsed(where: Sequence[str], name: str, cells: Sequence[str], field: Field) -> np.ndarray:
    """Cells of one column."""
    if field.dtype == "string":
        return np.array([cell.encode() for cell in cells], object)  # preprocessing knows MISSING
    values = [table_file.number(cell) for cell in cells]
    dtype = np.dtype(field.dtype)
    if None in values:
        wrong, expected = values.index(None), "a number"
    elif dtype.kind not in "iub":
        return np.array(values).astype(dtype)
    else:
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        whole = [_whole(cell, value) for cell, value in zip(cells, values, strict=True)]
        holds = [number is not None and low <= number <= high for number in whole]
        if all(holds):
            return np.array(whole, dtype)
        wrong, expected = holds.index(False), f"a whole number {low} to {high}"
    raise UsageError(f"{where[wrong]}: column {name}: {cells[wrong]!r:.60} is not {expected}")


def _whole(cell: str, value: float) -> int | None:
    """The whole number in a cell that is a number; None: it is missing, or has a fraction.

    Large numbers, such as seeds, are read from their digits: float64 is not exact beyond 2^53.
    """
    if not value.is_integer():  # nor is NaN
        return None
    if abs(value) < table_file.EXACT:
        return int(value)
    exact = decimal.Decimal(cell)
    return int(exact) if exact == exact.to_integral_value() else None


def _read(
    path: pathlib.Path, fields: Mapping[str, Field], signature: str, encoding: str
) -> Iterator[_Row]:
    kind = path.suffix.lower()
    if kind == ".json":
        for where, values in request.instances(path, fields, signature):
            yield _row(where, values)
    elif kind in TABLES:
        yield from _table(path, fields, _encoding(path, encoding))
    elif kind == ".txt":
        yield from _lines(path, fields, _encoding(path, encoding))
    else:
        yield _row(str(path), [_image(path, fields)])


def _encoding(path: pathlib.Path, of_training: str) -> str:
    """The encoding of training if a file is not UTF-8; text in an 8-bit encoding hardly ever is."""
    if of_training:
        try:
            for _ in text_files.lines(str(path), text_files.encoding_of(str(path))):
                pass
        except DataError:
            return of_training
    return ""


def _row(where: str, values: Sequence[np.ndarray]) -> _Row:
    texts = [text for value in values if value.dtype == object for text in value.flat]
    size = sum(value.nbytes for value in values) + sum(map(len, texts))
    return _Row(where, values, tuple(value.shape for value in values), size)


def _table(path: pathlib.Path, fields: Mapping[str, Field], encoding: str) -> Iterator[_Row]:
    """The columns that the model takes, read as in training; other columns are ignored."""
    table = table_file.open_table(str(path), encoding)
    names = [name if name in fields else table_file.field_name(name) for name in table.names]
    missing = [name for name in fields if name not in names]
    if missing:
        raise UsageError(f"{path}:1: {_some(missing)} missing; it has {_some(names)}")
    positions = [names.index(name) for name in fields]
    for line, cells in table_file.rows(table):
        values = [cells[position] for position in positions]
        yield _Row(f"{path}:{line}", values, "cells", sum(map(len, values)))


def _some(names: Sequence[str]) -> str:
    return ", ".join(shown(name) for name in names[:20]) + (
        f" and {len(names) - 20} more" if len(names) > 20 else ""
    )


def _lines(path: pathlib.Path, fields: Mapping[str, Field], encoding: str) -> Iterator[_Row]:
    if [(field.dtype, field.shape) for field in fields.values()] != [("string", ())]:
        raise UsageError(f"{path}: this model takes {', '.join(fields)}, not a text")
    lines = text_files.lines(str(path), text_files.encoding_of(str(path), encoding))
    for i, line in enumerate(lines, start=1):
        text = line.strip()
        if text:
            yield _Row(f"{path}:{i}", (text,), "cells", len(text))


def _image(path: pathlib.Path, fields: Mapping[str, Field]) -> np.ndarray:
    [field, *others] = fields.values()
    if others or field.dtype == "string" or len(field.shape) != 3:
        raise UsageError(f"{path}: this model takes {', '.join(fields)}, not an image")
    if path.stat().st_size > _LARGEST_IMAGE:
        raise UsageError(f"{path} is not an image: it has more than {_LARGEST_IMAGE} bytes")
    height, width, channels = field.shape
    if channels not in (1, 3):
        raise UsageError(
            f"{path}: this model takes images of {channels} channels: send pixels in a .json file"
        )
    kind = "uint16" if field.dtype == "uint16" else "uint8"
    try:
        image = photo.decode(photo.read(path), channels, kind)
    except DataError as error:
        raise UsageError(f"{path} is not an image: {error}") from error
    if None not in (height, width) and image.shape[:2] != (height, width):
        was = f"{image.shape[0]}x{image.shape[1]}"
        logger.info("%s: resized from %s to %dx%d", path, was, height, width)
        image = tf.image.resize(image, (height, width), antialias=True)
        image = tf.clip_by_value(tf.round(image), 0, np.iinfo(kind).max).numpy()
    return image.astype(field.dtype)
