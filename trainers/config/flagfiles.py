"""Files of flags: recipes that come with the package by name, others by path."""

import os
import pathlib
from collections.abc import Sequence

from trainers.errors import UsageError

RECIPES = pathlib.Path(__file__).parents[1] / "recipes"


def expand(argv: Sequence[str]) -> list[str]:
    """The command line with the contents of its flagfiles before its other flags.

    A bare name is looked up among the recipes that come with the package.

    Raises:
        UsageError: a flagfile does not exist, or includes itself.
    """
    from_files, rest = _split(list(argv[1:]), ())
    return [argv[0], *from_files, *rest]


def recipes() -> dict[str, str]:
    """The recipes that come with the package, by name, with the first line of each."""
    return {
        path.stem: path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        for path in sorted(RECIPES.glob("*.flags"))
    }


def _split(
    arguments: list[str], including: tuple[pathlib.Path, ...]
) -> tuple[list[str], list[str]]:
    """The flags in the flagfiles of a command line, and its other arguments."""
    from_files, rest = [], []
    while arguments:
        argument = arguments.pop(0)
        name, equals, value = argument.partition("=")
        if name.lstrip("-") != "flagfile" or not name.startswith("-"):
            rest.append(argument)
            continue
        if not equals:
            if not arguments:
                raise UsageError("--flagfile needs a name or a path")
            value = arguments.pop(0)
        path = _path(value)
        if path in including:
            raise UsageError(f"flagfile {path} includes itself")
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise UsageError(f"flagfile {path} is not UTF-8: {error}") from error
        lines = (line.strip() for line in text.splitlines())
        content = [line for line in lines if line and not line.startswith(("#", "//"))]
        nested, own = _split(content, (*including, path))
        from_files += [*nested, *own]
    return from_files, rest


def _path(value: str) -> pathlib.Path:
    bundled = RECIPES / f"{value}.flags"
    own = pathlib.Path(os.path.expanduser(value))
    path = bundled if "/" not in value and bundled.exists() else own
    if not path.is_file():
        raise UsageError(
            f"flagfile {value!r} is neither a file nor a recipe; recipes: {', '.join(recipes())}"
        )
    return path.resolve()
