"""Predicts from files with an exported model: images, tables, texts and JSON requests."""

import codecs
import logging
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from pipelines import DataError
from pipelines.files.shown import shown
from pipelines.files.table_file import LARGEST, NAME
from pipelines.storage.progress import progress
from trainers.errors import ArtefactError, UsageError
from trainers.serving import examples, unseen
from trainers.serving.examples import Batch
from trainers.store import saved_model, untrusted
from zoo.spec import Field

_LOG = logging.getLogger(__name__)
_REFUSED = re.compile(r"assertion failed: (.*)")  # by a function of the export itself
_SHOWN = 5  # classes whose probability is printed; columns that are named


class _Export(NamedTuple):
    """An export's description of itself, and its signatures."""

    class_names: list[str]
    fields: Mapping[str, Field]
    signature: str
    serve: Callable
    faults: Callable | None  # which values training never had; None: the export does not tell
    expected: Mapping[str, str]  # field -> what training had there
    encoding: str  # of the training files; empty: UTF-8, or by their byte order mark


def predict(
    exported: pathlib.Path, files: list[pathlib.Path], *, strict: bool = False
) -> Iterator[dict[str, Any]]:
    """One dictionary of answers for each example in the files, predicted in batches.

    At the end it warns of values that training never had, or that cannot be read.

    Args:
        strict: refuse such values before the first answer. The files are then read twice.

    Raises:
        UsageError: a file does not hold what the model takes; raised after the answers before it.
        DataError: `strict`, and a value is unknown to training or cannot be read.
        ArtefactError: the export cannot be loaded.
    """
    export = _loaded(exported)
    if strict:
        _refuse_unseen(export, exported, files)
    counts: unseen.Counts = {}
    rows = 0
    try:
        for batch in _batches(export, files):
            raw = _raw(export, batch)
            outputs = _outputs(export, batch, raw)
            rows += len(batch.where)
            if export.faults is not None and np.any(outputs.get("unknown", 0)):
                _add(counts, export, batch, raw)
            yield from _answers(batch, outputs, export.class_names)
    finally:
        for line in unseen.lines(counts, rows, export.expected):
            _LOG.warning(line)


def _outputs(export: _Export, batch: Batch, raw: Mapping[str, tf.Tensor]) -> dict[str, np.ndarray]:
    """The outputs. UsageError: the model refuses a value, as a generator does an unknown class."""
    try:
        return {name: value.numpy() for name, value in export.serve(**raw).items()}
    except tf.errors.InvalidArgumentError as error:
        match = _REFUSED.search(error.message)
        why = shown(match[1] if match else " ".join(error.message.split()), 200)
        last = f" to {batch.where[-1]}" if len(batch.where) > 1 else ""
        raise UsageError(
            f"{batch.where[0]}{last}: the model refuses these values: {why}"
        ) from error


def _loaded(exported: pathlib.Path) -> _Export:
    model, card = saved_model.load(exported), exported / "assets.extra" / "model.json"
    try:
        content = untrusted.read_json(card)
        names = list(content["class_names"])
        fields = {
            name: Field(tuple(f["shape"]), tf.as_dtype(f["dtype"]).name)
            for name, f in content["inputs"].items()
        }
        signature = content.get("signature", "serving_default")
        expected = {str(k): str(v) for k, v in content.get("expected", {}).items()}
        serve = model.signatures[signature]
        faults = model.signatures.get(unseen.SIGNATURE)
        encoding = content.get("encoding", "")
        codecs.lookup(encoding or "utf-8")
        return _Export(names, fields, signature, serve, faults, expected, encoding)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ArtefactError(f"{card} does not describe the model's inputs: {error}") from error


def _batches(export: _Export, files: Sequence[pathlib.Path]) -> Iterator[Batch]:
    return examples.batches(files, export.fields, export.signature, export.encoding)


def _raw(export: _Export, batch: Batch) -> dict[str, tf.Tensor]:
    return {name: tf.constant(batch.columns[name], f.dtype) for name, f in export.fields.items()}


def _refuse_unseen(export: _Export, exported: pathlib.Path, files: Sequence[pathlib.Path]) -> None:
    """Raises DataError if a value in the files is unknown to training or cannot be read."""
    if export.faults is None:
        raise UsageError(
            f"--strict: {exported} does not tell which values training had; it is for tables, "
            "exported by this version (trainers.export exports a finished run once more)"
        )
    counts: unseen.Counts = {}
    rows = 0
    for batch in progress(_batches(export, files), None, "check"):
        _add(counts, export, batch, _raw(export, batch))
        rows += len(batch.where)
    if counts:
        [line, *_] = unseen.lines(counts, rows, export.expected)
        _, *others = (shown(name, NAME) for name, _ in counts)
        also = f"; also in {', '.join(others[:_SHOWN])}" if others else ""
        raise DataError(f"{line}{also}{' and others' if len(others) > _SHOWN else ''}")


def _add(
    counts: unseen.Counts, export: _Export, batch: Batch, raw: Mapping[str, tf.Tensor]
) -> None:
    faults = {name: value.numpy() for name, value in export.faults(**raw).items()}
    columns = {name: batch.columns[name] for name in export.fields}
    unseen.add(counts, faults, columns, batch.where)


def _answers(
    batch: Batch, outputs: Mapping[str, np.ndarray], class_names: list[str]
) -> Iterator[dict[str, Any]]:
    """The answer for each row, without the logits.

    Raises:
        UsageError: there is no answer, since a number is missing, counts as missing or is too
            large.
    """
    finite = _each_finite(outputs, len(batch.where))
    readable = {
        name: _readable(name, value, class_names)
        for name, value in sorted(outputs.items())
        if name != "logits"
    }
    for i, where in enumerate(batch.where):
        if not finite[i]:
            without = [name for name, column in batch.columns.items() if _missing(column[i])]
            why = f"without {', '.join(without)}" if without else "that is a finite number"
            raise UsageError(f"{where}: the model has no answer {why}")
        yield {"input": where, **{name: column[i] for name, column in readable.items()}}


def _each_finite(outputs: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
    finite = np.ones(rows, bool)
    for value in outputs.values():
        if np.issubdtype(value.dtype, np.floating):
            finite &= np.isfinite(value.reshape(rows, -1)).all(axis=1)
    return finite


def _missing(value: Any) -> bool:
    value = np.asarray(value)
    return np.issubdtype(value.dtype, np.floating) and not (np.abs(value) <= LARGEST).all()


def _readable(name: str, value: np.ndarray, class_names: list[str]) -> list[Any]:
    """One output of all rows, with class names instead of indices."""
    if name == "probabilities" and class_names:
        best = value.argsort(axis=-1)[:, ::-1][:, :_SHOWN]
        return [
            {class_names[i]: round(float(row[i]), 6) for i in indices}
            for row, indices in zip(value, best, strict=True)
        ]
    if name == "labels" and class_names:  # (rows, labels), true or false
        return [[class_names[i] for i in row.nonzero()[0]] for row in value]
    return _texts(value.tolist()) if value.dtype == object else value.tolist()


def _texts(value: Any) -> Any:
    """Bytes, or lists of them, as text."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return [_texts(part) for part in value]
