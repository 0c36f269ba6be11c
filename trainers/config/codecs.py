"""How a flag's text becomes a value and back: one codec for each kind of value."""

import ast
import math
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

_BETWEEN_PATTERNS = re.compile(r",(?![^{]*\})(?![^\[]*\])(?![^(]*\))")
# A pair ends at the comma before the next `name=`; commas within quotes belong to the value.
_PAIR = re.compile(
    r"""([^,=()\[\]]*)=('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|.*?)(?:,(?=[^,=()\[\]'"]+=)|\Z)""",
    re.DOTALL,
)
# A factor ends at `=number`: commas, "=" and brackets before it belong to the regular expression.
_FACTOR = re.compile(
    r"\s*(.*?)=\s*([-+]?(?:[0-9.]+(?:e[-+]?[0-9]+)?|inf|nan))\s*(?:,|\Z)", re.DOTALL | re.IGNORECASE
)


class Codec(NamedTuple):
    """The two forms of a kind of value: the text of its flag, and what the program holds."""

    expected: str  # completes "--flag takes ..."
    parse: Callable[[str], Any]  # of the flag's text. ValueError
    accept: Callable[[Any], Any]  # of a value from Python or JSON. ValueError, TypeError
    write: Callable[[Any], str] = str  # the text that `parse` reads back


def _exactly(kind: type) -> Callable[[Any], Any]:
    def accept(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError
        return value

    return accept


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _text(value: Any) -> str:
    return _exactly(str)(os.fspath(value) if isinstance(value, os.PathLike) else value)


def _truth(text: Any) -> bool:
    if text in (True, "true", "1"):
        return True
    if text in (False, "false", "0"):
        return False
    raise ValueError("expected true or false")


def _pairs(pattern: re.Pattern[str], text: str) -> list[tuple[str, str]]:
    """The two groups of each match; the matches follow one another without a gap."""
    pairs, position = [], 0
    while position < len(text):
        match = pattern.match(text, position)
        if not match:
            raise ValueError(f"expected name=value, received {text[position:]!r}")
        pairs.append((match[1].strip(), match[2]))
        position = match.end()
    return pairs


def _parse_options(text: str) -> dict[str, Any]:
    """The pairs of `name=value,other=value`; a value is a Python literal, or else text."""
    options = {}
    for key, value in _pairs(_PAIR, text):
        try:
            options[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            options[key] = value
    return options


def _parse_factors(text: str) -> list[tuple[str, float]]:
    return [(pattern, float(factor)) for pattern, factor in _pairs(_FACTOR, text)]


def _options(value: Any) -> dict[str, Any]:
    """A copy with tuples in place of lists, as in the options' defaults."""
    if value is None:
        return {}
    if not (isinstance(value, Mapping) and all(isinstance(key, str) for key in value)):
        raise TypeError
    return {key: _tuples(part) for key, part in value.items()}


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else python(value)


def python(value: Any) -> Any:
    """A NumPy scalar as a Python number: a run is recorded as JSON."""
    return value.item() if getattr(value, "shape", None) == () else value


def _write_options(value: Mapping[str, Any]) -> str:
    return ",".join(f"{key}={part!r}" for key, part in value.items())


def _factors(value: Any) -> tuple[tuple[str, float], ...]:
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in value):
        raise TypeError
    pairs = tuple((_text(pattern), _number(factor)) for pattern, factor in value)
    for pattern, factor in pairs:
        if not 0 <= factor < math.inf:
            raise ValueError(f"a multiplier is at least 0, not {factor}")
        _regular_expression(pattern)
    return pairs


def _regular_expression(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error


def _write_factors(value: tuple[tuple[str, float], ...]) -> str:
    return ",".join(f"{pattern}={factor!r}" for pattern, factor in value)


def _parse_class_weights(text: str) -> str | tuple[float, ...]:
    if text == "balanced":
        return text
    return tuple(float(part) for part in text.split(",") if part)


def _class_weights(value: Any) -> str | tuple[float, ...]:
    if isinstance(value, str):
        if value not in ("", "balanced"):
            raise ValueError
        return value or ()
    weights = tuple(map(_number, value))
    if not all(0 <= weight < math.inf for weight in weights):
        raise ValueError("a weight is at least 0")
    if weights and not any(weights):
        raise ValueError("with all weights 0 nothing would be learnt")
    return weights


def _write_class_weights(value: str | tuple[float, ...]) -> str:
    return value if isinstance(value, str) else ",".join(map(repr, value))


def _parse_names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _parse_patterns(text: str) -> tuple[str, ...]:
    """Expressions in order; commas within {}, [] and () belong to them."""
    return tuple(part.strip() for part in _BETWEEN_PATTERNS.split(text) if part.strip())


def _names(value: Any) -> tuple[str, ...]:
    """Texts in order; a single text is one name, even if it has commas."""
    if isinstance(value, str | os.PathLike):
        return (_text(value),) if value else ()
    return tuple(map(_text, value))


def _patterns(value: Any) -> tuple[str, ...]:
    patterns = _names(value)
    for pattern in patterns:
        _regular_expression(pattern)
    return patterns


def _parse_paths(text: str) -> tuple[str, ...]:
    """Paths in order; an existing path with commas in its name stays whole."""
    parts, paths = text.split(","), []
    while parts:
        joined = (
            n
            for n in range(len(parts), 1, -1)
            if os.path.exists(os.path.expanduser(",".join(parts[:n])))
        )
        taken = next(joined, 1)
        paths.append(",".join(parts[:taken]))
        parts = parts[taken:]
    return tuple(path for path in paths if path)


CODECS = {
    "bool": Codec(
        "true or false", _truth, _exactly(bool), lambda value: "true" if value else "false"
    ),
    "int": Codec("an integer", int, _exactly(int)),
    "float": Codec("a number", float, _number, repr),
    "str": Codec("text", str, _text),
    "options": Codec("name=value pairs", _parse_options, _options, _write_options),
    "factors": Codec("pattern=multiplier pairs", _parse_factors, _factors, _write_factors),
    "class_weights": Codec(
        "'balanced' or numbers", _parse_class_weights, _class_weights, _write_class_weights
    ),
    "names": Codec("names", _parse_names, _names, ",".join),
    "patterns": Codec("regular expressions", _parse_patterns, _patterns, ",".join),
    "paths": Codec("paths", _parse_paths, _names, ",".join),
}
