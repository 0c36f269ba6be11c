"""The registry of data sets: names and options, read without importing TensorFlow.

A file of this package with a function `pipeline(**options) -> Pipeline` is a data set, named after
the file. A literal `LIMITS` in it bounds its numeric options, `CHOICES` lists the values of others.
A literal `SHARED` names a file, such as "steps/augmented.py": `pipeline` also takes the options of
that file's function of the same name, passes them on, and has that file's limits and choices too.
"""

import ast
import dataclasses
import functools
import importlib
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from pipelines.core.pipeline import Pipeline
from zoo.spec import nearest

_FOLDER = pathlib.Path(__file__).parents[1]
_LITERALS = ("LIMITS", "CHOICES", "SHARED")


class Listing(NamedTuple):
    """The facts about a data set that are read from its file without importing it."""

    summary: str
    options: Mapping[str, Any]  # keyword -> default
    required: tuple[str, ...]  # keywords without a default
    limits: Mapping[str, tuple[float, float | None]]  # option -> (minimum, exclusive maximum)
    choices: Mapping[str, tuple[str, ...]] = {}  # option -> its allowed values


def get(name: str, **options: Any) -> Pipeline:
    """The pipeline of `pipelines/<name>.py`; imports the file, and with it TensorFlow."""
    defaults = describe(name).options
    options = {k: accepted(value, defaults.get(k)) for k, value in options.items()}
    pipeline = importlib.import_module(f"pipelines.{name}").pipeline(**options)
    return dataclasses.replace(pipeline, options={**defaults, **options})


def accepted(value: Any, default: Any) -> Any:
    """The value of an option; a number becomes a string if the default is one: missing=-999.

    Several values become one string with commas: ignore=0,1, where pandas has numbered the columns.
    """
    parts = value if isinstance(value, tuple) else (value,)
    if not isinstance(default, str) or not parts:
        return value
    plain = all(type(part) in (int, float, str) for part in parts)
    return ",".join(map(str, parts)) if plain else value


def describe(name: str) -> Listing:
    """The listing of one data set, without importing its file. ValueError: unknown name."""
    if name not in listing():
        close = ", ".join(nearest(name, names()) or names())
        raise ValueError(f"unknown pipeline {name!r}; nearest: {close}; all: --list")
    return listing()[name]


def names() -> list[str]:
    """The names of all data sets, sorted."""
    return sorted(listing())


@functools.cache
def listing() -> Mapping[str, Listing]:
    """Every data-set file of this package, by name."""
    return {
        path.stem: entry
        for path in sorted(_FOLDER.glob("*.py"))
        if (entry := _read(path)) is not None
    }


def _read(path: pathlib.Path) -> Listing | None:
    declared = _declared(path, "pipeline")
    if declared is None:
        return None
    summary, options, literals = declared
    limits, choices = literals.get("LIMITS", {}), literals.get("CHOICES", {})
    if "SHARED" in literals:
        shared = path.parent / literals["SHARED"]
        _, shared_options, shared_literals = _declared(shared, shared.stem)
        options = {**options, **shared_options}
        limits = {**limits, **shared_literals.get("LIMITS", {})}
        choices = {**choices, **shared_literals.get("CHOICES", {})}
    return Listing(
        summary=summary,
        options={k: ast.literal_eval(v) for k, v in options.items() if v is not None},
        required=tuple(k for k, v in options.items() if v is None),
        limits=limits,
        choices=choices,
    )


def _declared(path: pathlib.Path, name: str) -> tuple[str, dict, dict[str, Any]] | None:
    """Summary, keywords with their defaults, and literals of a file; None: no such function."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    function, literals = None, {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            function = node
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in _LITERALS:
            literals[ast.unparse(node.targets[0])] = ast.literal_eval(node.value)
    if function is None:
        return None
    pairs = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    options = {argument.arg: default for argument, default in pairs}
    return (ast.get_docstring(tree) or "").partition("\n")[0], options, literals
