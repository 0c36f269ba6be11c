"""Asks an exported model about files: images, tables, texts and JSON requests."""

import base64
import json
import logging
import math
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines import DataError
from pipelines.files import photo, table_file, text_files
from trainers.errors import ArtefactError, UsageError
from trainers.store import saved_model, untrusted
from zoo.spec import Field

TABLES = (".csv", ".tsv")
_SHOWN = 5  # classes whose probability is printed

logger = logging.getLogger(__name__)


def predict(exported: pathlib.Path, files: list[pathlib.Path]) -> Iterator[dict[str, Any]]:
    """One dictionary of answers for each example in the files.

    Raises:
        UsageError: a file does not hold what the model takes.
        ArtefactError: the export cannot be loaded.
    """
    model, card = saved_model.load(exported), exported / "assets.extra" / "model.json"
    try:
        content = untrusted.read_json(card)
        names = list(content["class_names"])
        fields = {
            name: Field(tuple(f["shape"]), f["dtype"]) for name, f in content["inputs"].items()
        }
        serve = model.signatures[content.get("signature", "serving_default")]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ArtefactError(f"{card} does not describe the model's inputs: {error}") from error
    for path in files:
        for where, example in _read(path, fields):
            raw = {
                name: _tensor(f"{where}: {name}", example[name], f)[None]
                for name, f in fields.items()
            }
            outputs = {name: value[0].numpy() for name, value in serve(**raw).items()}
            missing = [k for k, v in raw.items() if v.dtype.is_floating and np.isnan(v).any()]
            if missing and not all(_finite(value) for value in outputs.values()):
                raise UsageError(f"{where}: the model has no answer without {', '.join(missing)}")
            yield {"input": where, **_readable(outputs, names)}


def _finite(value: Any) -> bool:
    value = np.asarray(value)
    return not np.issubdtype(value.dtype, np.floating) or bool(np.isfinite(value).all())


def _tensor(where: str, value: Any, field: Field) -> Any:
    """One field of an example; in JSON a text may be {"b64": ...}, as TensorFlow Serving has it."""
    try:
        if isinstance(value, dict):
            value = base64.b64decode(value["b64"], validate=True)
        tensor = tf.cast(tf.constant(value), field.dtype)
    except (KeyError, TypeError, ValueError, tf.errors.OpError) as error:
        raise UsageError(f"{where} is {value!r:.40}, expected {field.dtype}") from error
    if not tensor.shape.is_compatible_with(field.shape):
        raise UsageError(f"{where} is {tensor.shape}, expected {field.shape}")
    return tensor


def _read(
    path: pathlib.Path, fields: Mapping[str, Field]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    kind = path.suffix.lower()
    if kind == ".json":
        try:
            instances = json.loads(path.read_text(encoding="utf-8"))["instances"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{path} is not a request: expected {{'instances': [...]}} ({error})"
            ) from error
        for i, instance in enumerate(instances):
            yield f"{path}:{i}", _checked(f"{path}:{i}", instance, fields)
    elif kind in TABLES:
        yield from _rows(path, fields)
    elif kind == ".txt":
        if [field.dtype for field in fields.values()] != ["string"]:
            raise UsageError(f"{path}: this model takes {', '.join(fields)}, not a text")
        lines = text_files.lines(str(path), text_files.encoding_of(str(path)))
        for i, line in enumerate(lines, start=1):
            if line.strip():
                yield f"{path}:{i}", {name: line.strip() for name in fields}
    else:
        yield str(path), {"image": _image(path, fields)}


def _checked(
    where: str, example: Mapping[str, Any], fields: Mapping[str, Field]
) -> Mapping[str, Any]:
    missing = [name for name in fields if example.get(name) is None]
    if missing:
        raise UsageError(
            f"{where}: {', '.join(missing)} missing; the model takes {', '.join(fields)}"
        )
    return example


def _rows(
    path: pathlib.Path, fields: Mapping[str, Field]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The columns that the model takes, read as in training; other columns are ignored."""
    table = table_file.open_table(str(path))
    names = [name if name in fields else table_file.field_name(name) for name in table.names]
    missing = [name for name in fields if name not in names]
    if missing:
        raise UsageError(f"{path}:1: {', '.join(missing)} missing; it has {', '.join(names)}")
    for line, cells in table_file.rows(table):
        where, row = f"{path}:{line}", dict(zip(names, cells, strict=True))
        yield where, {name: _cell(where, name, row[name], f) for name, f in fields.items()}


def _cell(where: str, name: str, cell: str, field: Field) -> str | float:
    if field.dtype == "string":
        return cell  # preprocessing knows how a missing one is written
    value = table_file.number(cell)
    if value is None or (math.isnan(value) and not field.dtype.startswith("float")):
        raise UsageError(f"{where}: column {name}: {cell!r} is not a number")
    return value


def _image(path: pathlib.Path, fields: Mapping[str, Field]) -> Any:
    if list(fields) != ["image"]:
        raise UsageError(f"{path}: this model takes {', '.join(fields)}, not an image")
    height, width, channels = fields["image"].shape
    try:
        image = photo.decode(path.read_bytes(), channels)
    except DataError as error:
        raise UsageError(f"{path} is not an image: {error}") from error
    if None not in (height, width) and image.shape[:2] != (height, width):
        was = f"{image.shape[0]}x{image.shape[1]}"
        logger.info("%s: resized from %s to %dx%d", path, was, height, width)
        image = tf.image.resize(image, (height, width), antialias=True)
        image = tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)
    return image


def _readable(outputs: Mapping[str, Any], class_names: list[str]) -> dict[str, Any]:
    """Outputs of one example with class names instead of indices, without the logits."""
    answer: dict[str, Any] = {}
    for name, value in sorted(outputs.items()):
        if name == "logits":
            continue
        if name == "probabilities" and class_names:
            best = value.argsort()[::-1][:_SHOWN]
            answer[name] = {class_names[i]: round(float(value[i]), 6) for i in best}
        else:
            answer[name] = _texts(value) if _has_texts(value) else value.tolist()
    return answer


def _has_texts(value: Any) -> bool:
    return isinstance(value, bytes) or value.dtype == object


def _texts(value: Any) -> Any:
    """Bytes, or an array of them, as text."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return [_texts(part) for part in value]
