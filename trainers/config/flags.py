"""Command-line flags, one for each field of Recipe and Settings.

The command line overrides flagfiles, wherever they stand in it; flagfiles override the recipe of
the model.
"""

import ast
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from absl import flags

import zoo
from trainers.config import fields, optimizers
from trainers.config.catalogue import listing
from trainers.config.flagfiles import expand
from trainers.config.settings import FIELDS, Settings, resolve, values
from trainers.errors import UsageError

_USAGE = """\
Trains a model of the zoo, tests it and exports it: data in, SavedModel out.

  python -m trainers.run --model=NAME [--flagfile=NAME_OR_PATH ...] [--flag=value ...]

The command line overrides flagfiles, which override the model's own recipe. Running the same
command again continues the run. Other commands: trainers.repeat, trainers.evaluate,
trainers.export, trainers.predict, trainers.report, trainers.doctor, pipelines.fetch.
"""


def parse(argv: Sequence[str], *, part: str = "") -> Settings | None:
    """The settings of a command line; None after `--help` or `--list`, which are printed.

    Args:
        part: subfolder of --workdir, if that is set, for the run.

    Raises:
        UsageError: an unknown flag or a wrong value.
    """
    parsed = flags.FlagValues()
    for name, field in FIELDS.items():
        define = flags.DEFINE_boolean if field.type is bool else flags.DEFINE_string
        define(name, None, field.metadata["help"], flag_values=parsed)
    flags.DEFINE_boolean("list", False, "print all names", flag_values=parsed)
    flags.DEFINE_boolean("help", False, "print this text", short_name="h", flag_values=parsed)
    read(parsed, expand(argv))
    if parsed["help"].value:
        print(_help())
        return None
    if parsed["list"].value:
        print(listing())
        return None
    changes = {
        name: fields.parse(field, parsed[name].value)
        for name, field in FIELDS.items()
        if parsed[name].value is not None
    }
    if "model" not in changes:
        raise UsageError(f"--model is missing; choose one of: auto, {', '.join(zoo.names())}")
    if part and changes.get("workdir"):
        changes["workdir"] = os.path.join(changes["workdir"], part)  # keeps the // of a URL
    return resolve(changes.pop("model"), changes)


def command_line(settings: Settings) -> list[str]:
    """The flags that give these settings without any flagfile; `parse` reads them back."""
    recipe = zoo.describe(settings.model).recipe
    own = optimizers.defaults(recipe, vars(settings.recipe))  # what `resolve` begins with
    return [f"--model={settings.model}"] + [
        f"--{name}={fields.text(FIELDS[name], value)}"
        for name, value in values(settings).items()
        if name != "model" and value != own.get(name, fields.default(FIELDS[name]))
    ]


def own_value(model: str, name: str) -> Any:
    """The value of a flag for this model where neither flagfile nor command line sets it."""
    recipe = zoo.describe(model).recipe
    return getattr(recipe, name, fields.default(FIELDS[name]))


def read(parsed: flags.FlagValues, argv: Sequence[str], *, files: bool = False) -> list[str]:
    """Sets flags from a command line, the program's name first.

    Args:
        files: whether arguments that are not flags are allowed; they are returned.

    Raises:
        UsageError: a flag is unknown or malformed, or an argument is not a flag.
    """
    try:
        rest = parsed(list(argv))[1:]
    except (flags.Error, ValueError) as error:  # ValueError: --nodebug=1
        raise UsageError(str(error).removeprefix("FATAL Flags parsing error:")) from error
    if rest and not files:
        raise UsageError(f"{rest[0]!r} is not a flag; write --name=value")
    return rest


def small_command(
    file: str, argv: Sequence[str], *, files: bool = False, **defaults: str | bool | None
) -> dict[str, Any] | None:
    """The flags of a command that takes a few: name -> value, "files" for other arguments.

    Args:
        file: `__file__` of the command, whose docstring `--help` prints. It is read from the
            source: Python keeps no docstrings under PYTHONOPTIMIZE=2.
        **defaults: flags by name. One whose default is None is required; a bool is a switch.

    Returns:
        None after `--help`.

    Raises:
        UsageError: a flag is unknown, malformed or missing.
    """
    parsed = flags.FlagValues()
    for name, default in defaults.items():
        define = flags.DEFINE_boolean if isinstance(default, bool) else flags.DEFINE_string
        define(name, default, "", flag_values=parsed)
    flags.DEFINE_boolean("debug", False, "", flag_values=parsed)
    flags.DEFINE_boolean("help", False, "", short_name="h", flag_values=parsed)
    rest = read(parsed, argv, files=files)
    if parsed["help"].value:
        source = pathlib.Path(file).read_text(encoding="utf-8")
        print(ast.get_docstring(ast.parse(source)))
        return None
    for name, default in defaults.items():
        if default is None and parsed[name].value is None:
            raise UsageError(f"--{name} is missing; see --help")
    return {name: parsed[name].value for name in defaults} | {"files": rest}


def _help() -> str:
    lines = [_USAGE, "flags:"]
    for name, field in FIELDS.items():
        default = fields.default(field)
        shown = f" ({fields.text(field, default)})" if default not in ("", (), {}, None) else ""
        lines.append(f"  --{name:20} {field.metadata['help']}{shown}")
    lines += [
        f"  --{'flagfile':20} a file of flags, or the name of a recipe that comes with the package",
        f"  --{'list':20} print the names of models, data sets, tasks, ways and recipes",
    ]
    return "\n".join(lines)
