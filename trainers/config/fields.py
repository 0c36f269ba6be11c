"""Reads, writes and checks settings by the metadata of their fields.

The fields of Recipe and Settings are made by `zoo.spec.setting`.
"""

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from trainers.config.codecs import CODECS, Codec, python
from trainers.errors import UsageError
from zoo.spec import nearest

Field = dataclasses.Field


def parse(field: Field, text: Any) -> Any:
    """The value of a flag's text, not yet checked. UsageError: it is malformed."""
    codec = _codec(field)
    try:
        return codec.parse(text)
    except ValueError as error:
        message = f"--{field.name} takes {codec.expected}, received {text!r}"
        raise UsageError(message) from error


def accept(field: Field, value: Any) -> Any:
    """A value as the field holds it, from a flag, from Python or from run.json.

    Raises:
        UsageError: its type is wrong, it is none of the choices, or it is out of bounds.
    """
    codec, metadata = _codec(field), field.metadata
    try:
        accepted = codec.accept(python(value))
    except (TypeError, ValueError) as error:
        detail = f": {error}" if isinstance(error, ValueError) and str(error) else ""
        raise UsageError(
            f"--{field.name} takes {codec.expected}, received {value!r}{detail}"
        ) from error
    if metadata["choices"] and accepted != field.default:
        check_name(field.name, accepted, metadata["choices"])
    if isinstance(accepted, int | float) and not isinstance(accepted, bool):
        bounds = (metadata[key] for key in ("at_least", "more_than", "less_than"))
        _check_bounds(f"--{field.name}", accepted, *bounds)
    return accepted


def text(field: Field, value: Any) -> str:
    """The value as the text of its flag."""
    return _codec(field).write(value)


def default(field: Field) -> Any:
    """The value that the field has without a flag; None if the flag is required."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def as_json(value: Any) -> Any:
    """A value as it is read back from JSON."""
    return json.loads(json.dumps(value))


def check_name(kind: str, name: str, choices: Iterable[str]) -> None:
    """UsageError unless the name is one of the choices; it names the nearest."""
    choices = list(choices)
    if name in choices:
        return
    close = nearest(name, choices)
    hint = f"nearest: {', '.join(close)}; " if close else ""
    raise UsageError(f"unknown {kind} {name!r}; {hint}known: {', '.join(choices) or 'none'}")


def check_option(
    label: str, value: Any, default: Any, limits: Sequence[float | None] = (None, None)
) -> None:
    """Checks an option by its default and limits.

    Args:
        label: its name in the message: "--hparams: units".
        default: the value has its type; None: any.
        limits: the lowest allowed number and the first that is too high; None: no limit.

    Raises:
        UsageError: the type is wrong, or the value is out of bounds.
    """
    kind = type(default)
    allowed = {float: (float, int), tuple: (tuple, list)}.get(kind, kind)
    right = isinstance(value, allowed) and isinstance(value, bool) == (kind is bool)
    if default is not None and not right:
        raise UsageError(f"{label} takes {kind.__name__} like {default!r}, received {value!r}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = limits
        at_least = -math.inf if low is None else low
        _check_bounds(label, value, at_least, -math.inf, math.inf if high is None else high)


def _check_bounds(
    label: str, value: float, at_least: float, more_than: float, less_than: float
) -> None:
    # Comparisons with NaN are false.
    if at_least <= value and more_than < value and value < less_than:
        return
    bounds = [
        f"{relation} {bound}"
        for relation, bound in (
            ("at least", at_least),
            ("more than", more_than),
            ("less than", less_than),
        )
        if math.isfinite(bound)
    ]
    raise UsageError(f"{label} must be {' and '.join(bounds) or 'finite'}, received {value}")


def _codec(field: Field) -> Codec:
    return CODECS[field.metadata["kind"] or field.type.__name__]
