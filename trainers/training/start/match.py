"""Matches a source's weights to a model's by path and shape, with the model's exceptions."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from trainers.errors import ArtefactError


class Matched(NamedTuple):
    """Values for a model's variables, and lines about them for the log."""

    values: dict[str, np.ndarray]  # by path
    lines: list[str]


def exactly(variables: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Matched:
    """The arrays for variables that are still unset. ValueError: one has another shape."""
    values = {path: array for path, array in arrays.items() if path in variables}
    for path, array in values.items():
        if np.shape(array) != tuple(variables[path].shape):
            raise ValueError(f"{path} is {tuple(variables[path].shape)}, received {array.shape}")
    return Matched(values, [f"sets {', '.join(sorted(values))}"] if values else [])


def all_or_refused(
    source: str,
    variables: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    *,
    head: Sequence[str] = (),
    positions: Sequence[str] = (),
    grids: Sequence[str] = (),
    init_new: Sequence[str] = (),
) -> Matched:
    """A value for every variable except those that may keep their random values.

    Args:
        source: its name, for messages.
        variables: of the model, by path.
        arrays: of the source, by path; what the model lacks is ignored.
        head: patterns of paths that may be absent or of another shape: they keep random values.
        positions: patterns of paths whose first axis is cut or extended.
        grids: those of `positions` whose first axis is a square of patches: it is resampled.
        init_new: patterns of more paths that may be absent or of another shape.

    Raises:
        ArtefactError: another path is absent or of another shape, or nothing fits at all.
    """
    values, new, lines, refused = {}, [], [], []
    for path, variable in variables.items():
        array, shape = arrays.get(path), tuple(variable.shape)
        fitted = _fitted(path, array, variable, positions, grids)
        if fitted is not None:
            values[path], changes = fitted
            lines += changes
        elif _any(head, path) or _any(init_new, path):
            new.append(path)
        else:
            refused.append(f"{path} {'absent' if array is None else f'{array.shape} for {shape}'}")
    if refused:
        more = " and others" if len(refused) > 5 else ""
        raise ArtefactError(
            f"--init_from={source} does not fit: {', '.join(refused[:5])}{more}; "
            "--init_new=PATTERN lets weights whose path matches begin anew"
        )
    if variables and not values:
        raise ArtefactError(f"--init_from={source} has none of the weights {', '.join(new[:5])}")
    if new:
        lines.append(f"new: {', '.join(new)}")
    return Matched(values, [f"{len(values)} of {len(variables)} weights", *lines])


def _is_numeric(array: np.ndarray) -> bool:
    return array.dtype.kind in "iuf" or array.dtype.name == "bfloat16"


def _any(patterns: Iterable[str], path: str) -> bool:
    return any(re.search(pattern, path) for pattern in patterns)


def _fitted(
    path: str,
    array: np.ndarray | None,
    variable: Any,
    positions: Sequence[str],
    grids: Sequence[str],
) -> tuple[np.ndarray, list[str]] | None:
    """The array in the variable's shape, and what was changed; None: it does not fit."""
    shape = tuple(variable.shape)
    if array is None or not _is_numeric(array):
        return None
    if array.shape == shape:
        return array, []
    resizable = array.ndim == len(shape) >= 1 and len(array) > 0 and array.shape[1:] == shape[1:]
    if not (resizable and _any(positions, path)):
        return None
    if not _any(grids, path):
        change = "cut" if len(array) > shape[0] else "extended"
        line = f"{path} {change} from {len(array)} to {shape[0]} positions"
        return _resized(array, variable.numpy()), [line]
    old, new = math.isqrt(len(array)), math.isqrt(shape[0])
    tokens = len(array) - old**2  # class tokens before the patches
    if tokens not in (0, 1) or tokens != shape[0] - new**2:
        return None
    line = f"{path} resampled from {old}x{old} to {new}x{new} patches"
    return _resampled(array, old, new), [line]


def _resized(array: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The first rows of `array`, then those of `drawn` that it lacks."""
    return np.concatenate([array[: len(drawn)], drawn[len(array) :]])


def _resampled(array: np.ndarray, old: int, new: int) -> np.ndarray:
    """Positions (tokens + old^2, width) to (tokens + new^2, width), bicubic; a token keeps its own.

    Vision Transformers are fine-tuned at another image size like this (Dosovitskiy et al. 2020,
    section 3.2).
    """
    import keras

    width, tokens = array.shape[1], len(array) - old**2
    grid = array[tokens:].astype(np.float32).reshape(old, old, width)
    grid = keras.ops.image.resize(grid, (new, new), interpolation="bicubic", antialias=True)
    grid = keras.ops.convert_to_numpy(grid).reshape(new**2, width)
    return np.concatenate([array[:tokens].astype(np.float32), grid])
