"""The registry of models: names, recipes and sizes, read without importing keras.

`names()` and `listing()` parse the files, since `import keras` takes seconds; `get(name)` imports
the one file that it needs.
"""

import ast
import functools
import importlib
import pathlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from zoo.spec import DataSpec, Recipe, nearest

# Arguments of `register`, all literals, that are fields of both types below.
_FACTS = (
    *("inputs", "tasks", "head", "positions", "grids", "features", "start", "data_options"),
    "parameters",
)
_NOT_HPARAMS = ("name", "tiny", "adapt", *_FACTS)


class Listing(NamedTuple):
    """The facts about a model that are read from its file without importing it."""

    module: str
    summary: str
    recipe: Recipe
    hparams: Mapping[str, Any]  # the builder's keyword defaults, overridden by the variant
    inputs: str = ""
    tasks: tuple[str, ...] = ()
    head: tuple[str, ...] = ()
    positions: tuple[str, ...] = ()
    grids: tuple[str, ...] = ()
    features: str = ""
    start: tuple[str, ...] = ()
    data_options: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    parameters: int | None = None


class Model(NamedTuple):
    """A registered model: how to build and train it."""

    name: str
    build: Callable  # build(spec, *, hparams) -> keras.Model that returns logits
    recipe: Recipe
    hparams: Mapping[str, Any]  # sizes in which this variant differs from the builder's defaults
    tiny: Mapping[str, Any]  # the smallest hparams that still use every code path
    adapt: Callable | None  # adapt(model, batches) -> initial weights by path
    inputs: str  # the pipeline's input form; empty: its default
    tasks: tuple[str, ...]  # tasks that it can be trained for, the default first; empty: any
    head: tuple[str, ...]  # regular expressions on paths of weights that depend on the task
    positions: tuple[str, ...]  # the same for weights with one row per position of a sequence
    grids: tuple[str, ...]  # those of `positions` whose rows are the patches of an image
    features: str  # the layer whose output represents a row, or each of its positions
    start: tuple[str, ...]  # sources of initial weights, unless --init_from lists `none`
    data_options: Mapping[str, Mapping[str, Any]]  # pipeline -> options that suit the model
    parameters: int | None  # at full size on the recipe's data


_MODELS: dict[str, Model] = {}


def register(
    recipe: Recipe,
    *,
    name: str,
    tiny: Mapping[str, Any],
    inputs: str = "",
    tasks: tuple[str, ...] = (),
    adapt: Callable | None = None,
    head: tuple[str, ...] = (),
    positions: tuple[str, ...] = (),
    grids: tuple[str, ...] = (),
    features: str = "",
    start: tuple[str, ...] = (),
    data_options: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    parameters: int | None = None,
    **hparams: Any,
) -> Callable[[Callable], Callable]:
    """Decorates `build(spec, *, hparams)`; stack it for variants of one family.

    All arguments but `adapt` are literals, so that they can be read without importing keras; the
    recipe is a call `Recipe(...)` of literals, or a module constant that is one.

    Args:
        recipe: how the model is trained by default.
        name: the value of --model.
        tiny: the smallest hparams that still use every code path, for tests.
        inputs: the input form that the builder takes; empty: the pipeline's default.
        tasks: names in trainers/tasks that it can be trained for, the default first; empty: any.
        adapt: adapt(model, batches) returns initial weights by path, computed from training rows.
        head: regular expressions on paths of weights that --init_from need not set.
        positions: the same for tables with one row per position, which --init_from cuts or extends.
        grids: those of `positions` whose rows are a square of patches; --init_from resamples them.
        features: the layer whose output represents a row (B, width) or its positions (B, T, width).
        start: sources of initial weights that it takes unless --init_from names `none`: `packaged`
            for weights that come in a package, `probe` for a last layer fitted on `features`.
        data_options: name of a pipeline -> its options with this model, unless a flag sets them.
        parameters: their number at full size on the recipe's data; a test counts them.
        **hparams: sizes in which this variant differs from the builder's defaults.
    """

    def decorate(build: Callable) -> Callable:
        _MODELS[name] = Model(
            name=name,
            build=build,
            recipe=recipe,
            hparams=hparams,
            tiny=tiny,
            adapt=adapt,
            inputs=inputs,
            tasks=tasks,
            head=head,
            positions=positions,
            grids=grids,
            features=features,
            start=start,
            data_options=data_options,
            parameters=parameters,
        )
        return build

    return decorate


def get(name: str) -> Model:
    """The model registered as `name`; imports its file, and with it keras."""
    importlib.import_module(f"zoo.{describe(name).module}")
    return _MODELS[name]


def describe(name: str) -> Listing:
    """The listing of one model, without importing its file. ValueError: unknown name."""
    if name not in listing():
        close = ", ".join(nearest(name, names()) or names())
        raise ValueError(f"unknown model {name!r}; nearest: {close}; all: --list")
    return listing()[name]


def names() -> list[str]:
    """All registered names, sorted."""
    return sorted(listing())


@functools.cache
def listing() -> Mapping[str, Listing]:
    """Every model in the files of this package, by name. ValueError: a name is registered twice."""
    models: dict[str, Listing] = {}
    for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        for name, entry in read(path):
            if name in models:
                raise ValueError(
                    f"model {name!r} is registered in both {models[name].module}.py and {path.name}"
                )
            models[name] = entry
    return models


def keras_inputs(spec: DataSpec) -> dict[str, Any]:
    """One symbolic Keras input per field of the data, by name."""
    import keras

    return {
        name: keras.Input(field.shape, dtype=field.dtype, name=name)
        for name, field in spec.inputs.items()
    }


def read(path: pathlib.Path) -> list[tuple[str, Listing]]:
    """(name, listing) of each registration in a file.

    Raises:
        ValueError: an argument of `register` is not a literal.
    """
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
            except (ValueError, TypeError, IndexError, KeyError) as error:
                raise ValueError(
                    f"{path.name}:{call.lineno}: register takes a literal Recipe(...), a literal "
                    f"name and literal hparams, so that --list need not import keras: {error}"
                ) from error
    return entries


def _read_registration(
    path: pathlib.Path, function: ast.FunctionDef, call: ast.Call, constants: Mapping[str, ast.expr]
) -> tuple[str, Listing]:
    nodes = {keyword.arg: keyword.value for keyword in call.keywords}
    recipe = call.args[0] if call.args else nodes.pop("recipe")
    if isinstance(recipe, ast.Name):
        recipe = constants[recipe.id]
    nodes.pop("adapt", None)
    literals = {key: ast.literal_eval(node) for key, node in nodes.items()}
    pairs = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    hparams = {argument.arg: ast.literal_eval(node) for argument, node in pairs if node is not None}
    hparams |= {key: value for key, value in literals.items() if key not in _NOT_HPARAMS}
    summary = (ast.get_docstring(function) or "").partition("\n")[0]
    fields = {keyword.arg: ast.literal_eval(keyword.value) for keyword in recipe.keywords}
    facts = {key: literals[key] for key in _FACTS if key in literals}
    return literals["name"], Listing(path.stem, summary, Recipe(**fields), hparams, **facts)
