"""A pipeline's schema as JSON, kept in run.json so that a run can be served without its data."""

from collections.abc import Mapping
from typing import Any

from pipelines import Schema
from zoo.spec import Field

_DTYPES = {
    *("bool", "string", "uint8", "uint16", "int8", "int16", "int32", "int64"),
    *("float16", "bfloat16", "float32", "float64"),
}


def to_json(schema: Schema) -> dict[str, Any]:
    """The schema of prepared data, whose `outputs` is a number."""
    return {
        "raw": {name: _field_to_json(field) for name, field in schema.raw.items()},
        "task": schema.task,
        "target": None if schema.target is None else _field_to_json(schema.target),
        "class_names": list(schema.class_names),
        "outputs": schema.outputs,
        "target_name": schema.target_name,
    }


def from_json(content: Any) -> Schema:
    """The schema that `to_json` wrote. ValueError: it is something else."""
    if not isinstance(content, dict):
        raise ValueError(f"schema is {content!r:.40}, expected an object")
    raw, target, names = (content.get(key) for key in ("raw", "target", "class_names"))
    if not isinstance(raw, dict):
        raise ValueError(f"schema: raw is {raw!r:.40}, expected an object")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("schema: class_names is not a list of texts")
    for key in ("task", "target_name"):
        if not isinstance(content.get(key), str):
            raise ValueError(f"schema: {key} is {content.get(key)!r:.40}, expected a text")
    return Schema(
        raw={name: _field_from_json(name, field) for name, field in raw.items()},
        task=content["task"],
        target=None if target is None else _field_from_json("target", target),
        class_names=tuple(names),
        outputs=_whole("outputs", content.get("outputs")),
        target_name=content["target_name"],
    )


def _field_to_json(field: Field) -> dict[str, Any]:
    return {key: value for key, value in field._asdict().items() if value is not None}


def _field_from_json(name: str, content: Any) -> Field:
    if not isinstance(content, Mapping) or not isinstance(content.get("shape"), list):
        raise ValueError(f"schema: {name} is {content!r:.40}, expected a field")
    if content.get("dtype") not in _DTYPES:
        raise ValueError(f"schema: {name} has dtype {content.get('dtype')!r:.40}")
    shape, ids, length = content["shape"], content.get("ids"), content.get("length")
    if isinstance(ids, list):
        ids = tuple(_whole(name, number) for number in ids)
    elif ids is not None:
        ids = _whole(name, ids)
    return Field(
        shape=tuple(None if size is None else _whole(name, size) for size in shape),
        dtype=content["dtype"],
        ids=ids,
        length=None if length is None else _whole(name, length),
    )


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise ValueError(f"schema: {name} has {value!r:.40}, expected a number of at least 0")
    return value
