"""Schemas as JSON: what was written comes back, anything else is refused."""

import json

import pytest

from pipelines import Schema
from trainers.store import schema
from zoo.spec import Field

SCHEMAS = {
    "classes": Schema(
        {"image": Field((None, None, 3), "uint8")},
        "classification",
        Field((), "int64", ids=3),
        ("cat", "dog", "狗"),
        3,
        "label",
    ),
    "no target": Schema({"text": Field((), "string")}, "language_model", None, outputs=8000),
    "columns": Schema(
        {"a": Field((4,), "int32", ids=(3, 4, 5, 6)), "b": Field((9,), "int32", ids=7, length=9)},
        "regression",
        Field((), "float32"),
        target_name="price",
    ),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_comes_back_from_json(name):
    text = json.dumps(schema.to_json(SCHEMAS[name]))
    assert schema.from_json(json.loads(text)) == SCHEMAS[name]


def changed(*path, to):
    content = schema.to_json(SCHEMAS["columns"])
    part = content
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = to
    return content


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        changed("raw", to=[1]),
        changed("raw", "a", to=None),
        changed("raw", "a", "dtype", to="object"),
        changed("raw", "a", "dtype", to=5),
        changed("raw", "a", "shape", to=[-1]),
        changed("raw", "a", "shape", to=["4"]),
        changed("raw", "a", "shape", to=[10**20]),
        changed("raw", "a", "ids", to=[1, None]),
        changed("raw", "b", "length", to=1.5),
        changed("task", to=None),
        changed("class_names", to=[1]),
        changed("class_names", to="ab"),
        changed("outputs", to=True),
        changed("target", to="label"),
    ],
)
def test_anything_else_is_refused(content):
    with pytest.raises(ValueError, match="schema"):
        schema.from_json(content)
