"""Flags from the fields of Recipe and Settings, one each, and flagfiles wherever they stand.

The model's recipe comes first, then flagfiles, then the command line.
"""

import ast
import dataclasses
import pathlib
import re
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

import pipelines
import zoo
from trainers.config.settings import Settings, resolve
from trainers.errors import UsageError
from zoo.spec import Recipe

RECIPES = pathlib.Path(__file__).parent / "recipes"
_USAGE = """\
Trains a model of the zoo, tests it and exports it: data in, SavedModel out.

  python -m trainers.run --model=NAME [--flagfile=NAME_OR_PATH ...] [--flag=value ...]

The model's own recipe holds unless a flagfile changes it, and flagfiles unless the command line
does. The same command again continues the run. Other commands: trainers.repeat, trainers.evaluate,
trainers.export, trainers.predict, trainers.report, trainers.doctor, pipelines.fetch.
"""


def parse(argv: Sequence[str]) -> Settings | None:
    """The settings that a command line asks for; None after `--help` or `--list`, which print.

    Raises:
        UsageError: an unknown flag or a value that cannot be meant.
    """
    values = flags.FlagValues()
    fields = {f.name: f for cls in (Settings, Recipe) for f in dataclasses.fields(cls)}
    del fields["recipe"]
    for name, field in fields.items():
        define = flags.DEFINE_boolean if field.type is bool else flags.DEFINE_string
        define(name, None, field.metadata["help"], flag_values=values)
    flags.DEFINE_boolean("list", False, "print models and data sets", flag_values=values)
    flags.DEFINE_boolean("help", False, "print this text", short_name="h", flag_values=values)
    read(values, expand_flagfiles(argv))
    if values["help"].value:
        print(_help(fields))
        return None
    if values["list"].value:
        print(listing())
        return None
    given = {
        name: _convert(name, fields[name].type, values[name].value)
        for name in fields
        if values[name].value is not None
    }
    if "model" not in given:
        raise UsageError(f"--model is missing; choose one of: {', '.join(zoo.names())}")
    return resolve(given.pop("model"), given)


def command_line(settings: Settings) -> list[str]:
    """The flags that ask for these settings without any flagfile; `parse` reads them back."""
    own = zoo.describe(settings.model).recipe
    words = [f"--model={settings.model}"]
    for part, default in ((settings.recipe, own), (settings, None)):
        for field in dataclasses.fields(part):
            if field.name in ("model", "recipe"):
                continue
            value = getattr(part, field.name)
            if (value or None) != (
                (getattr(default, field.name) if default else field.default) or None
            ):
                words.append(f"--{field.name}={_written(value)}")
    return words


def read(values: flags.FlagValues, argv: Sequence[str], *, files: bool = False) -> list[str]:
    """Sets flags from a command line whose first word is the program.

    Args:
        files: whether words that are no flags are allowed; they are returned.

    Raises:
        UsageError: a flag that is unknown or malformed, or a word that is no flag.
    """
    try:
        words = values(list(argv))[1:]
    except flags.Error as error:
        raise UsageError(str(error).removeprefix("FATAL Flags parsing error:")) from error
    if words and not files:
        raise UsageError(f"{words[0]!r} is not a flag; write --name=value")
    return words


def small_command(
    doc: str, argv: Sequence[str], *, files: bool = False, **words: str
) -> dict[str, Any] | None:
    """Flags of a command that takes a few texts: name -> value, "files" for the other words.

    Args:
        doc: what `--help` prints.
        **words: flag names and their default; one with the default `None` must be given.

    Returns:
        None after `--help`.

    Raises:
        UsageError: a flag that is unknown, malformed or missing.
    """
    values = flags.FlagValues()
    for name, default in words.items():
        flags.DEFINE_string(name, default, "", flag_values=values)
    flags.DEFINE_boolean("debug", False, "", flag_values=values)
    flags.DEFINE_boolean("help", False, "", short_name="h", flag_values=values)
    rest = read(values, argv, files=files)
    if values["help"].value:
        print(doc.strip())
        return None
    for name, default in words.items():
        if default is None and values[name].value is None:
            raise UsageError(f"--{name} is missing; see --help")
    return {name: values[name].value for name in words} | {"files": rest}


def expand_flagfiles(argv: Sequence[str]) -> list[str]:
    """The command line with the contents of its flagfiles before its other flags.

    A bare name is looked up among the recipes that come with the package.

    Raises:
        UsageError: a flagfile that is not there, or that includes itself.
    """
    from_files, rest = _split_flagfiles(list(argv[1:]), ())
    return [argv[0], *from_files, *rest]


def listing() -> str:
    """Models, data sets and recipes with their one line each."""
    models = [(name, entry.summary) for name, entry in sorted(zoo.listing().items())]
    sets = [(name, entry.summary) for name, entry in sorted(pipelines.listing().items())]
    recipes = [(path.stem, _first_comment(path)) for path in sorted(RECIPES.glob("*.flags"))]
    lines = []
    for title, flag, entries in (
        ("models", "--model", models),
        ("data sets", "--pipeline", sets),
        ("recipes", "--flagfile", recipes),
    ):
        width = max((len(name) for name, _ in entries), default=0)
        lines += [
            f"{title} ({flag}=...)",
            *(f"  {name:{width}}  {text}" for name, text in entries),
            "",
        ]
    return "\n".join(lines).rstrip()


def _split_flagfiles(
    words: list[str], inside: tuple[pathlib.Path, ...]
) -> tuple[list[str], list[str]]:
    from_files, rest = [], []
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if name.lstrip("-") != "flagfile" or not name.startswith("-"):
            rest.append(word)
            continue
        if not equals:
            if not words:
                raise UsageError("--flagfile needs a name or a path")
            value = words.pop(0)
        path = _flagfile(value)
        if path in inside:
            raise UsageError(f"flagfile {path} includes itself")
        lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
        content = [line for line in lines if line and not line.startswith(("#", "//"))]
        nested, own = _split_flagfiles(content, (*inside, path))
        from_files += [*nested, *own]
    return from_files, rest


def _flagfile(value: str) -> pathlib.Path:
    bundled = RECIPES / f"{value}.flags"
    path = bundled if "/" not in value and bundled.exists() else pathlib.Path(value).expanduser()
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in RECIPES.glob("*.flags")))
        raise UsageError(f"flagfile {value!r} is neither a file nor a recipe; recipes: {known}")
    return path.resolve()


def _convert(name: str, kind: Any, text: Any) -> Any:
    """The value of a flag's text for a field of this type."""
    if kind in (bool, str):
        return text
    try:
        if kind in (int, float):
            return kind(text)
        if typing.get_origin(kind) is Mapping:
            return dict(_assignments(text))
        if name == "lr_scale":
            return tuple((pattern, float(factor)) for pattern, factor in _assignments(text))
        return (
            text if text == "balanced" else tuple(float(part) for part in text.split(",") if part)
        )
    except ValueError as error:
        raise UsageError(f"--{name}={text}: {error}") from error


def _written(value: Any) -> str:
    """A field's value as the text of its flag."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ",".join(f"{key}={part!r}" for key, part in value.items())
    if isinstance(value, tuple):  # lr_scale: pairs; class_weights: numbers
        parts = (f"{p[0]}={p[1]!r}" if isinstance(p, tuple) else repr(p) for p in value)
        return ",".join(parts)
    return str(value)


def _assignments(text: str) -> list[tuple[str, Any]]:
    pairs = []
    for part in re.split(r",(?=[^,=()\[\]]+=)", text) if text else []:
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"expected name=value, received {part!r}")
        try:
            pairs.append((key.strip(), ast.literal_eval(value)))
        except (ValueError, SyntaxError):
            pairs.append((key.strip(), value))
    return pairs


def _first_comment(path: pathlib.Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")


def _help(fields: Mapping[str, dataclasses.Field]) -> str:
    lines = [_USAGE, "flags:"]
    for name, field in fields.items():
        default = field.default
        shown = "" if default in ("", (), None, dataclasses.MISSING) else f" ({default})"
        lines.append(f"  --{name:20} {field.metadata['help']}{shown}")
    lines.append(
        f"  --{'flagfile':20} a file of flags, or the name of a recipe that comes with the package"
    )
    lines.append(f"  --{'list':20} print models, data sets and recipes")
    return "\n".join(lines)
