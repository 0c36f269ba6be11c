"""The registry of models: names, recipes and sizes, read without importing keras.

`names()` and `listing()` read the files without importing them, since `import keras` takes seconds;
`get(name)` imports the one file that it needs.
"""

import ast
import difflib
import functools
import importlib
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from zoo.spec import DataSpec, Recipe

_NOT_HPARAMS = ("name", "tiny", "adapt", "decode")


class Listing(NamedTuple):
    """What a file says of one of its models without being imported."""

    module: str
    summary: str
    recipe: Recipe
    hparams: Mapping[str, Any]  # the builder's keyword defaults, then the variant's own values


class Model(NamedTuple):
    """A registered name: how to build it, and how it is trained unless a flag says otherwise."""

    name: str
    build: Callable  # build(spec, *, hparams) -> keras.Model that returns logits
    recipe: Recipe
    hparams: Mapping[str, Any]  # what distinguishes this name from its family
    tiny: Mapping[str, Any]  # the smallest hparams that still use every code path
    adapt: Callable | None  # adapt(model, first_inputs): data-dependent start values
    decode: Callable | None  # one-token step with cache, for generation


_MODELS: dict[str, Model] = {}


def register(
    recipe: Recipe,
    *,
    name: str,
    tiny: Mapping[str, Any],
    adapt: Callable | None = None,
    decode: Callable | None = None,
    **hparams: Any,
) -> Callable[[Callable], Callable]:
    """Decorates `build(spec, *, hparams)`; stack it for variants of one family.

    `recipe`, `name` and hparams are literals (or a module constant holding `Recipe(...)`), so that
    they can be read without an import.
    """

    def decorate(build: Callable) -> Callable:
        _MODELS[name] = Model(name, build, recipe, hparams, tiny, adapt, decode)
        return build

    return decorate


def get(name: str) -> Model:
    """The model registered as `name`; imports its file, and with it keras."""
    importlib.import_module(f"zoo.{describe(name).module}")
    return _MODELS[name]


def describe(name: str) -> Listing:
    """What its file says of the model `name`, without importing it. ValueError: unknown name."""
    if name not in listing():
        close = difflib.get_close_matches(name, names(), n=3, cutoff=0.4) or names()
        raise ValueError(f"unknown model {name!r}; nearest: {', '.join(close)}; all: --list")
    return listing()[name]


def names() -> list[str]:
    """All registered names, sorted."""
    return sorted(listing())


@functools.cache
def listing() -> Mapping[str, Listing]:
    """Every model in the files of this package, by name. ValueError: a name registered twice."""
    found: dict[str, Listing] = {}
    for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        for name, entry in _read(path):
            if name in found:
                raise ValueError(
                    f"model {name!r} is in both {found[name].module}.py and {path.name}"
                )
            found[name] = entry
    return found


def keras_inputs(spec: DataSpec) -> dict[str, Any]:
    """One symbolic Keras input per field of the data, by name."""
    import keras

    return {
        name: keras.Input(field.shape, dtype=field.dtype, name=name)
        for name, field in spec.inputs.items()
    }


def _read(path: pathlib.Path) -> list[tuple[str, Listing]]:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    entries = []
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        for call in function.decorator_list:
            if not (isinstance(call, ast.Call) and ast.unparse(call.func).endswith("register")):
                continue
            try:
                entries.append(_read_registration(path, function, call, constants))
            except (ValueError, IndexError, KeyError) as error:
                raise ValueError(
                    f"{path.name}:{call.lineno}: register takes a literal Recipe(...), a literal "
                    f"name and literal hparams, so that --list need not import keras: {error}"
                ) from error
    return entries


def _read_registration(
    path: pathlib.Path, function: ast.FunctionDef, call: ast.Call, constants: Mapping[str, ast.expr]
) -> tuple[str, Listing]:
    given = {word.arg: word.value for word in call.keywords}
    recipe = call.args[0] if call.args else given.pop("recipe")
    if isinstance(recipe, ast.Name):
        recipe = constants[recipe.id]
    defaults = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    hparams = {word.arg: ast.literal_eval(value) for word, value in defaults if value is not None}
    hparams |= {
        word: ast.literal_eval(value) for word, value in given.items() if word not in _NOT_HPARAMS
    }
    summary = (ast.get_docstring(function) or "").partition("\n")[0]
    fields = {word.arg: ast.literal_eval(word.value) for word in recipe.keywords}
    entry = Listing(path.stem, summary, Recipe(**fields), hparams)
    return ast.literal_eval(given["name"]), entry
