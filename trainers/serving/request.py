"""Requests of TensorFlow Serving's REST interface: writes an export's example, reads JSON files.

Each value in a file is checked against its field. This is stricter than TensorFlow Serving, which
may use another value than was sent: it takes 300 for a uint8 and keeps the lower eight bits.
"""

import base64
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pipelines.files.shown import shown
from trainers.errors import UsageError
from zoo.spec import Field

LARGEST_REQUEST = 64 * 2**20  # bytes; 50 images of 320x320 pixels. Parsed, at most 1.8 GB.


def request(signature: str, arguments: Mapping[str, np.ndarray], rows: int = 1) -> dict[str, Any]:
    """The first rows of a signature's arguments as JSON."""
    instances = [
        {name: _in_json(column[i]) for name, column in arguments.items()} for i in range(rows)
    ]
    return {"signature_name": signature, "instances": instances}


def _in_json(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value.tolist()
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}  # TensorFlow Serving's form


def instances(
    path: pathlib.Path, fields: Mapping[str, Field], signature: str
) -> Iterator[tuple[str, tuple[np.ndarray, ...]]]:
    """("file:number", a value for each field) of every instance in a JSON file.

    Raises:
        UsageError: the file is too large, is not a request, names another signature, or holds a
            value that its field cannot hold; the message names instance and field.
    """
    for i, instance in enumerate(_parsed(path, signature)):
        where = f"{path}:{i}"
        if not isinstance(instance, dict):
            raise UsageError(f"{where} is {_brief(instance)}, expected {{{', '.join(fields)}}}")
        missing = [name for name in fields if instance.get(name) is None]
        unknown = [shown(repr(name), 40) for name in instance if name not in fields]
        for names, fault in ((missing, "missing"), (unknown[:5], "not taken")):
            if names:
                raise UsageError(
                    f"{where}: {', '.join(names)} {fault}; the model takes {', '.join(fields)}"
                )
        yield where, tuple(tensor(f"{where}: {k}", instance[k], f) for k, f in fields.items())


def tensor(where: str, value: Any, field: Field) -> np.ndarray:
    """A value of parsed JSON in the type and shape of its field.

    As in TensorFlow Serving, a text is a string or {"b64": ...}, and a whole number is written
    without a decimal point. NaN is a missing number.

    Raises:
        UsageError: the field cannot hold it.
    """
    shape, leaves = _flat(where, value)
    as_expected = len(shape) == len(field.shape) and all(
        declared in (None, size) for declared, size in zip(field.shape, shape, strict=True)
    )
    if not as_expected:
        raise UsageError(f"{where} has shape {shown(shape, 60)}, expected {field.shape}")
    if field.dtype == "string":
        array = np.empty(len(leaves), object)
        array[:] = [_text(where, leaf) for leaf in leaves]
        return array.reshape(shape)
    dtype = np.dtype(field.dtype)
    holds, expected = _rule(dtype)
    wrong = next((i for i, leaf in enumerate(leaves) if not holds(leaf)), None)
    if wrong is not None:
        position = [int(i) for i in np.unravel_index(wrong, shape)] if shape else ""
        hint = _hint(leaves) if dtype.kind in "iu" else ""
        raise UsageError(f"{where}{position} is {_brief(leaves[wrong])}, expected {expected}{hint}")
    return np.array(leaves, dtype).reshape(shape)


def _parsed(path: pathlib.Path, signature: str) -> list[Any]:
    with open(path, "rb") as file:
        content = file.read(LARGEST_REQUEST + 1)
    if len(content) > LARGEST_REQUEST:
        raise UsageError(f"{path} has more than {LARGEST_REQUEST} bytes: send several requests")
    try:
        parsed = json.loads(content, object_pairs_hook=_no_key_twice)
    except RecursionError as error:
        raise UsageError(f"{path} is not a request: it is nested too deeply") from error
    except ValueError as error:  # also bytes that are not text
        raise UsageError(f"{path} is not a request: {error}") from error
    if not isinstance(parsed, dict) or not isinstance(parsed.get("instances"), list):
        raise UsageError(f"{path} is not a request: expected {{'instances': [{{...}}, ...]}}")
    if not parsed["instances"]:
        raise UsageError(f"{path} is not a request: it has no instances")
    if parsed.get("signature_name", signature) != signature:
        received = _brief(parsed["signature_name"])
        raise UsageError(f"{path} names the signature {received}, expected {signature!r}")
    return parsed["instances"]


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    if len(parsed) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{shown(repr(twice), 40)} is twice in one object")
    return parsed


def _flat(where: str, value: Any) -> tuple[tuple[int, ...], list[Any]]:
    """The shape of nested lists, and their values in order."""
    shape, level = [], [value]
    while level and all(isinstance(part, list) for part in level):
        if len({len(part) for part in level}) > 1:
            raise UsageError(f"{where} has lists of different lengths")
        shape.append(len(level[0]))
        level = [item for part in level for item in part]
    if any(isinstance(part, list) for part in level):
        raise UsageError(f"{where} has values beside lists")
    return tuple(shape), level


def _rule(dtype: np.dtype) -> tuple[Any, str]:
    """Which values of parsed JSON this type can hold: a function to check one, and as text."""
    if dtype.kind == "b":
        return lambda leaf: isinstance(leaf, bool), "true or false"
    if dtype.kind in "iu":
        low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
        # type, not isinstance: true is an int in Python.
        return lambda leaf: type(leaf) is int and low <= leaf <= high, (
            f"whole numbers {low} to {high}"
        )
    largest = float(np.finfo(dtype).max)
    return lambda leaf: type(leaf) in (int, float) and not abs(leaf) > largest, (
        f"numbers up to {largest:.2g}, or NaN for one that is missing"
    )


def _hint(leaves: list[Any]) -> str:
    if any(isinstance(leaf, bool) or not isinstance(leaf, (int, float)) for leaf in leaves):
        return ""
    fractions = all(0 <= leaf <= 1 for leaf in leaves) and any(0 < leaf < 1 for leaf in leaves)
    return "; these look like fractions of 0 to 1" if fractions else ""


def _text(where: str, leaf: Any) -> bytes:
    try:
        if isinstance(leaf, dict) and list(leaf) == ["b64"]:
            return base64.b64decode(leaf["b64"], validate=True)
        if isinstance(leaf, str):
            return leaf.encode()
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where} is {_brief(leaf)}: {shown(error, 80)}") from error
    raise UsageError(f"{where} is {_brief(leaf)}, expected string or {{'b64': ...}}")


def _brief(value: Any) -> str:
    """A value of parsed JSON in a message."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    return shown(repr(value) if isinstance(value, str) else json.dumps(value), 40)
