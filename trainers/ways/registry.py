"""The ways to take a training step by name, read without importing TensorFlow."""

import ast
import functools
import importlib
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from trainers.errors import UsageError
from trainers.ways.way import Way
from zoo.spec import nearest


class Listing(NamedTuple):
    """The facts about a way that are read from its file without importing it."""

    summary: str
    options: Mapping[str, Any]  # name -> default: the literal OPTIONS
    limits: Mapping[str, tuple[float | None, float | None]]  # the literal LIMITS
    batch_divisor: str | None  # the literal BATCH_DIVISOR: an option that divides a replica's share


def names() -> list[str]:
    """The names of all ways, sorted."""
    return sorted(listing())


def describe(name: str) -> Listing:
    """The listing of a way, without importing its file. ValueError: unknown name."""
    if name not in listing():
        raise ValueError(
            f"unknown way {name!r}; nearest: {', '.join(nearest(name, names()) or names())}"
        )
    return listing()[name]


@functools.cache
def listing() -> Mapping[str, Listing]:
    """Every file of this package with a function `way`, by name."""
    ways = {}
    folders = [pathlib.Path(folder) for folder in importlib.import_module(__package__).__path__]
    for path in sorted(path for folder in folders for path in folder.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        if any(isinstance(node, ast.FunctionDef) and node.name == "way" for node in tree.body):
            ways[path.stem] = _read(tree)
    return ways


def options_of(ways: Sequence[str], options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The options of each way in order, with defaults for those that are not in `options`.

    Args:
        options: by "way.option"; `config.settings` has checked names, types and limits.
    """
    return {
        name: {
            option: options.get(f"{name}.{option}", default)
            for option, default in describe(name).options.items()
        }
        for name in ways
    }


def batch_divisor(ways: Sequence[str], options: Mapping[str, Any]) -> int:
    """The number of parts into which the ways together divide each replica's share of a batch."""
    return math.prod(
        chosen[describe(name).batch_divisor]
        for name, chosen in options_of(ways, options).items()
        if describe(name).batch_divisor
    )


def get(ways: Sequence[str], options: Mapping[str, Any]) -> tuple[Way, ...]:
    """The ways in order, with their options bound; imports their files, and with them TensorFlow.

    Raises:
        UsageError: two ways give the whole step or a plan, or one the step and another gradients.
    """
    made = {
        name: importlib.import_module(f"trainers.ways.{name}").way(**chosen)
        for name, chosen in options_of(ways, options).items()
    }

    def giving(part: str) -> list[str]:
        return [name for name, way in made.items() if getattr(way, part) is not None]

    for part in ("step", "plan"):
        if len(giving(part)) > 1:
            raise UsageError(f"--way: {' and '.join(giving(part))} each bring a {part}: use one")
    if giving("step") and giving("gradients"):
        raise UsageError(
            f"--way: {giving('step')[0]} takes the whole step and leaves no gradients to "
            f"{' and '.join(giving('gradients'))}: use one"
        )
    return tuple(made.values())


def finished(ways: Sequence[Way], weights: Mapping[str, Any]) -> dict[str, Any]:
    """Weights by path after the `finish` of each way, in order, for test and export."""
    for way in ways:
        if way.finish is not None:
            weights = way.finish(weights)
    return dict(weights)


def _read(tree: ast.Module) -> Listing:
    literals = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    values = {
        name: ast.literal_eval(literals[name])
        for name in ("OPTIONS", "LIMITS", "BATCH_DIVISOR")
        if name in literals
    }
    return Listing(
        (ast.get_docstring(tree) or "").partition("\n")[0],
        values.get("OPTIONS", {}),
        values.get("LIMITS", {}),
        values.get("BATCH_DIVISOR"),
    )
