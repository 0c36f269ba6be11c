"""Asks an exported model about files: images, tables, texts and JSON requests."""

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.files.table_file import LARGEST
from trainers.errors import ArtefactError, UsageError
from trainers.serving import examples
from trainers.serving.examples import Batch
from trainers.store import saved_model, untrusted
from zoo.spec import Field

_SHOWN = 5  # classes whose probability is printed


def predict(exported: pathlib.Path, files: list[pathlib.Path]) -> Iterator[dict[str, Any]]:
    """One dictionary of answers for each example in the files, asked in batches.

    Raises:
        UsageError: a file does not hold what the model takes; after the answers before it.
        ArtefactError: the export cannot be loaded.
    """
    model, card = saved_model.load(exported), exported / "assets.extra" / "model.json"
    try:
        content = untrusted.read_json(card)
        names = list(content["class_names"])
        fields = {
            name: Field(tuple(f["shape"]), tf.as_dtype(f["dtype"]).name)
            for name, f in content["inputs"].items()
        }
        signature = content.get("signature", "serving_default")
        serve = model.signatures[signature]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ArtefactError(f"{card} does not describe the model's inputs: {error}") from error
    for batch in examples.batches(files, fields, signature):
        raw = {name: tf.constant(batch.columns[name], f.dtype) for name, f in fields.items()}
        outputs = {name: value.numpy() for name, value in serve(**raw).items()}
        yield from _answers(batch, outputs, names)


def _answers(
    batch: Batch, outputs: Mapping[str, np.ndarray], class_names: list[str]
) -> Iterator[dict[str, Any]]:
    """The answer for each row, without the logits.

    Raises:
        UsageError: a number is missing, or counts as missing, without which there is no answer.
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
            if without:
                raise UsageError(f"{where}: the model has no answer without {', '.join(without)}")
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
    return _texts(value.tolist()) if value.dtype == object else value.tolist()


def _texts(value: Any) -> Any:
    """Bytes, or lists of them, as text."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return [_texts(part) for part in value]
