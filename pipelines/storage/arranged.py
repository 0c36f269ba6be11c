"""Rows of preprocessed inputs, stored without padding: in memory, or in memory-mapped files.

Each padded input is a flat array of all rows' values and an array of the rows' starts, so that
lengths are known without reading the values.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tensorflow as tf

from pipelines.core.pipeline import DataError, Rows, Table
from pipelines.storage import caches, locks, system
from zoo.spec import Field

if TYPE_CHECKING:
    from pipelines.core.prepared import Prepared

_VERSION = 1  # of the files; part of their key
_WRITING = ".arranging-"  # before the key, in the names of locks and of incomplete folders


class _Ragged(NamedTuple):
    """One padded input of all rows."""

    values: np.ndarray  # (total,)
    starts: np.ndarray  # (num_rows + 1,) int64
    length: int  # of a padded row


def key(prepared: "Prepared", rows: Rows) -> str:
    """A hash of everything that the arranged rows depend on, for the name of their folder.

    That is the format, the stored rows, the pipeline's options, the input form and its fields, and
    the fitted state, including that of the target, which is stored encoded.
    """
    options = sorted((name, repr(value)) for name, value in prepared.pipeline.options.items())
    fields = sorted(rows.fields.items()), sorted(prepared.serving_inputs.items())
    described = _VERSION, rows.identity, prepared.name, options, prepared.form, fields
    digest = hashlib.sha256(repr(described).encode())
    for part in (f"inputs/{prepared.form}", "target"):
        for name, value in sorted(prepared.state.get(part, {}).items()):
            array = np.asarray(value)
            digest.update(f"{part}/{name}:{array.dtype}:{array.shape};".encode())
            digest.update(array.astype("S").tobytes() if array.dtype == object else array.tobytes())
    return digest.hexdigest()[:16]


def in_memory(chunks: Iterable[Table], rows: Rows, lengths: Mapping[str, int]) -> Rows:
    """Rows in memory, which are read by TensorFlow operations.

    Args:
        chunks: inputs and target of all rows, in order, padded.
        rows: the stored rows.
        lengths: padded input -> its padded length.
    """
    columns: dict[str, list[np.ndarray]] = {}
    counts: dict[str, list[np.ndarray]] = {name: [] for name in lengths}
    for chunk in chunks:
        for name, values in _without_padding(chunk, counts).items():
            columns.setdefault(name, []).append(values)
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    ragged = {n: _Ragged(whole.pop(n), _starts(counts[n]), size) for n, size in lengths.items()}
    with tf.device("CPU:0"):
        table = {name: tf.constant(column) for name, column in whole.items()}
        # A zero at the end, which stands for padding.
        values = {
            name: tf.constant(np.append(p.values, p.values.dtype.type(0)))
            for name, p in ragged.items()
        }
        starts = {name: tf.constant(part.starts) for name, part in ragged.items()}

    def take(index: tf.Tensor) -> dict[str, tf.Tensor]:
        taken = {name: tf.gather(column, index) for name, column in table.items()}
        for name, size in lengths.items():
            first = tf.gather(starts[name], index)[:, None]
            position = first + tf.range(size, dtype=tf.int64)[None]  # (B, length)
            real = position < tf.gather(starts[name], index + 1)[:, None]
            position = tf.where(real, position, tf.size(values[name], tf.int64) - 1)
            taken[name] = tf.gather(values[name], position)
        return taken

    return _inputs(rows, whole, ragged)._replace(take=take)


def on_disk(
    chunks: Iterable[Table],
    rows: Rows,
    lengths: Mapping[str, int],
    name: str,
    *,
    as_many: bool = True,
) -> Rows:
    """Rows that are read from memory-mapped files, which are written if they do not exist.

    Args:
        name: of their folder in `rows.cache`, from `key`.
        as_many: whether each stored row gives one row; else the files determine their number.
    """
    cache = caches.folder(rows.cache)
    folder = cache / f"arranged-{name}"
    if not folder.is_dir():
        lock = cache / f"{_WRITING}{name}.lock"
        with locks.alone(lock, f"the inputs of {rows.num_rows} rows in {folder}") as held:
            if not folder.is_dir():  # no other process has written it meanwhile
                if held:
                    _remove_abandoned(cache, lock)
                _write_whole(folder, chunks, lengths)
    try:
        columns, ragged = _open(folder, rows.num_rows if as_many else None, lengths)
    except (OSError, ValueError, KeyError, EOFError) as error:
        if system.is_exhausted(error):  # the files may be intact
            raise
        raise DataError(f"{folder} is damaged: remove it; the next run writes it again") from error

    def read(index: np.ndarray) -> dict[str, np.ndarray]:
        taken = {name: np.asarray(column[index]) for name, column in columns.items()}
        for name, part in ragged.items():
            padded = np.zeros((len(index), part.length), part.values.dtype)
            for i, row in enumerate(index):
                first, end = part.starts[row], part.starts[row + 1]
                padded[i, : end - first] = part.values[first:end]
            taken[name] = padded
        return taken

    return _inputs(rows, columns, ragged)._replace(read=read)


def _remove_abandoned(cache: pathlib.Path, held: pathlib.Path) -> None:
    """Removes what killed processes left unfinished; `held` is this process's lock file."""
    for unfinished in cache.glob(f"{_WRITING}*-*"):
        lock = unfinished.with_name(f"{unfinished.name.rpartition('-')[0]}.lock")
        with contextlib.nullcontext(True) if lock == held else locks.if_free(lock) as free:
            if free:
                shutil.rmtree(unfinished, ignore_errors=True)


def _write_whole(folder: pathlib.Path, chunks: Iterable[Table], lengths: Mapping[str, int]) -> None:
    prefix = folder.name.replace("arranged-", _WRITING, 1)
    # Not by mkdtemp: other users of a shared data folder could not read its folders.
    writing = folder.with_name(f"{prefix}-{uuid.uuid4().hex}")
    writing.mkdir()
    try:
        _write(writing, chunks, lengths)
        _rename(writing, folder)
    finally:
        shutil.rmtree(writing, ignore_errors=True)


def _write(folder: pathlib.Path, chunks: Iterable[Table], lengths: Mapping[str, int]) -> None:
    counts: dict[str, list[np.ndarray]] = {name: [] for name in lengths}
    described: dict[str, tuple[str, tuple[int, ...]]] = {}
    files = {}
    try:
        for chunk in chunks:
            for name, values in _without_padding(chunk, counts).items():
                if values.dtype == object:
                    raise DataError(f"{name}: texts cannot be stored on disk: encode them")
                if name not in files:
                    files[name] = open(folder / f"{name}.values", "wb")  # noqa: SIM115
                    described[name] = (values.dtype.name, values.shape[1:])
                files[name].write(values.tobytes())
    finally:
        for file in files.values():
            file.close()
    for name, parts in counts.items():
        np.save(folder / f"{name}.starts.npy", _starts(parts))
    (folder / "arranged.json").write_text(json.dumps(described), encoding="utf-8")


def _rename(writing: pathlib.Path, folder: pathlib.Path) -> None:
    try:
        os.rename(writing, folder)
    except OSError:
        if not folder.is_dir():  # another process may have finished it meanwhile
            raise


def _open(
    folder: pathlib.Path, num_rows: int | None, lengths: Mapping[str, int]
) -> tuple[dict[str, np.ndarray], dict[str, _Ragged]]:
    """The columns and the padded inputs of a folder. ValueError: its files are inconsistent."""
    described = json.loads((folder / "arranged.json").read_text(encoding="utf-8"))
    columns = {
        name: _mapped(folder / f"{name}.values", dtype, shape)
        for name, (dtype, shape) in described.items()
    }
    ragged = {
        name: _Ragged(columns.pop(name), np.load(folder / f"{name}.starts.npy"), size)
        for name, size in lengths.items()
    }
    counts = [len(column) for column in columns.values()]
    counts += [len(part.starts) - 1 for part in ragged.values()]
    if any(count != (counts[0] if num_rows is None else num_rows) for count in counts):
        raise ValueError(f"{counts} rows, expected {num_rows}")
    if any(len(part.values) != part.starts[-1] for part in ragged.values()):
        raise ValueError("values are missing")
    return columns, ragged


def _mapped(path: pathlib.Path, dtype: str, shape: Iterable[int]) -> np.ndarray:
    if not path.stat().st_size:  # an empty file cannot be mapped
        return np.empty((0, *shape), dtype)
    return np.memmap(path, dtype, "r").reshape(-1, *shape)


def _without_padding(chunk: Table, counts: dict[str, list[np.ndarray]]) -> dict[str, np.ndarray]:
    """The chunk's columns, padded ones as flat values; appends their row lengths to `counts`."""
    columns = dict(chunk)
    for name in counts:
        padded = columns[name]
        position = np.arange(padded.shape[1])[None]
        length = np.where(padded != 0, position + 1, 0).max(axis=1)  # without trailing zeros
        counts[name].append(length)
        columns[name] = padded[position < length[:, None]]
    return columns


def _starts(counts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)


def _inputs(rows: Rows, columns: Mapping[str, np.ndarray], ragged: Mapping[str, _Ragged]) -> Rows:
    fields = {name: Field(c.shape[1:], c.dtype.name) for name, c in columns.items()}
    fields |= {n: Field((p.length,), p.values.dtype.name) for n, p in ragged.items()}
    if rows.target is not None:
        fields[rows.target] = rows.fields[rows.target]
    lengths = {name: np.diff(part.starts) for name, part in ragged.items()}
    return Rows(
        len(next(iter((*lengths.values(), *columns.values())))),
        fields,
        rows.target,
        are_inputs=True,
        lengths=lengths,
        identity=rows.identity,
        cache=rows.cache,
    )
