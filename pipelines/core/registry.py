"""The registry of data sets: names and options, read without importing TensorFlow.

A file of this package with a function `pipeline(**options) -> Pipeline` is a data set of its name.
"""

import ast
import difflib
import functools
import importlib
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from pipelines.core.pipeline import Pipeline

_FOLDER = pathlib.Path(__file__).parents[1]


class Listing(NamedTuple):
    """What a data-set file says of itself without being imported."""

    summary: str
    options: Mapping[str, Any]  # keyword -> default
    required: tuple[str, ...]  # keywords without a default


def get(name: str, **options: Any) -> Pipeline:
    """The pipeline in `pipelines/<name>.py`; imports it, and with it TensorFlow."""
    describe(name)
    return importlib.import_module(f"pipelines.{name}").pipeline(**options)


def describe(name: str) -> Listing:
    """What its file says of the data set `name`, without importing it. ValueError: unknown name."""
    if name not in listing():
        close = difflib.get_close_matches(name, names(), n=3, cutoff=0.4) or names()
        raise ValueError(f"unknown pipeline {name!r}; nearest: {', '.join(close)}; all: --list")
    return listing()[name]


def names() -> list[str]:
    """The names of all data sets, sorted."""
    return sorted(listing())


@functools.cache
def listing() -> Mapping[str, Listing]:
    """Every data-set file of this package, by name."""
    found = {}
    for path in sorted(_FOLDER.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == "pipeline":
                words = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                options = {word.arg: value for word, value in words}
                found[path.stem] = Listing(
                    summary=(ast.get_docstring(tree) or "").partition("\n")[0],
                    options={k: ast.literal_eval(v) for k, v in options.items() if v is not None},
                    required=tuple(k for k, v in options.items() if v is None),
                )
    return found
