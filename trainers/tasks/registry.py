"""The registry of tasks: a task is one file of this package, its metrics read without an import.

`names()` and `listing()` read the literals `METRICS`, `LOWER_IS_BETTER` and `MAIN_METRIC` of each
file, and `LABELS`, `OPTIONS` and `LIMITS` where it has them, since importing one imports
TensorFlow; `get(name)` imports the file and returns its `TASK`.
"""

import ast
import dataclasses
import functools
import importlib
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from trainers.errors import UsageError
from zoo.spec import Field, nearest

_LITERALS = ("METRICS", "LOWER_IS_BETTER", "MAIN_METRIC")
_OPTIONAL = ("LABELS", "OPTIONS", "LIMITS")


class Listing(NamedTuple):
    """The facts about a task that are read from its file without importing it."""

    summary: str
    metrics: tuple[str, ...]  # the loss first
    lower_is_better: tuple[str, ...]  # of these metrics
    main_metric: str  # the report begins with it
    labels: bool = True  # whether it needs the data's labels
    options: Mapping[str, Any] = {}  # name -> default: arguments of `over`
    limits: Mapping[str, tuple[float | None, float | None]] = {}  # of options that are numbers


class Batch(NamedTuple):
    """Some rows, from which a signature makes its arguments."""

    raw: Mapping[str, Any]  # fields as a client sends them; empty where rows are stored as inputs
    inputs: Mapping[str, Any]  # what `preprocess` returns for them
    target: Any  # as stored; None where the data has none
    keys: Any  # pipelines.core.keys.Keys of the rows, of epoch 0
    x: Mapping[str, Any]  # what the pipeline's `example` returns, as are y and weight
    y: Any
    weight: Any


class Signature(NamedTuple):
    """A function that the export carries, and how its arguments are made from a batch of rows.

    It returns at least two tensors by name, each with one entry for each row: TensorFlow Serving
    drops the name of a single output, and refuses rows where an output has another length.
    """

    function: Callable  # function(**arguments) -> {name: tensor}
    fields: Mapping[str, Field]  # of the arguments, without batch dimension
    arguments: Callable[[Batch], Mapping[str, Any]]  # argument -> tensor
    # Whether classes, flags and texts must be exactly the same in another process. Those computed
    # from scores may differ where two scores tie; the scores are compared instead.
    exact: bool = False


class Baseline(NamedTuple):
    """A zoo model that is trained beside the main one, by a recipe of a few seconds.

    Each of `recipes` has a run folder of its own; the one with the lowest validation loss is used.
    """

    key: str  # in report.json
    name: str
    meaning: str
    model: str
    recipes: Mapping[str, Mapping[str, Any]]  # name of the run folder -> fields of Recipe


class Constant(NamedTuple):
    """The same answer for every row."""

    name: str
    meaning: str
    outputs: Mapping[str, Any]  # name -> (1, ...) np.ndarray, as the task keeps them


class Mistakes(NamedTuple):
    """Rows of a split to look at, each with an entry for every column."""

    title: str
    remark: str
    index: Any  # (n,) positions in the evaluation
    columns: tuple[str, ...]
    entries: list[tuple[str, ...]]


def _unchanged(model, prepared):
    del prepared
    return model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """What a model is asked to do, and everything that is specific to it.

    `prepared` is a pipelines.Prepared. The functions of the report take an
    evaluation.evaluate.Evaluation and may be left out: the report then omits that part.
    """

    over: Callable  # (pipeline, schema, **options) -> (pipeline, schema): the task over any data
    loss: Callable  # (prepared) -> keras Loss of (y, output), reduction None
    smooths: bool = False  # whether `loss` takes label_smoothing: y is a class or several labels
    metrics: Callable  # (prepared) -> weighted Keras metrics of (y, output), by their names
    signatures: Callable  # (entry, hparams, model, prepared) -> {name: Signature}
    measured: str = "serving_default"  # the signature that evaluation calls
    scored: str = "logits"  # its output that loss and metrics take
    kept: tuple[str, ...] = ("logits",)  # its outputs that evaluation keeps of every row

    head: Callable = _unchanged  # (model, prepared) -> model in the task's units
    # (features (B, width), prepared) -> outputs, which take the place of the model's own
    over_features: Callable | None = None
    # Patterns of the paths of weights that `over_features` makes, which --init_from may leave new.
    own_weights: tuple[str, ...] = ()
    # Outputs of a model's members (B, members, outputs) to one answer (B, outputs), by keras.ops.
    combine: Callable | None = None
    reduction: str = "mean"  # of the loss over the elements of a batch; or "sum"
    loss_scale: Callable | None = None  # (prepared) -> factor on the training loss alone
    class_weights: bool = False  # whether --class_weights has a meaning: y is a class
    mixes: bool = False  # whether y may be fractions of the classes, as where rows are mixed

    statistics: Callable | None = None  # (outputs, target) -> evaluation.statistics.Statistics
    constant: Callable | None = None  # (prepared, training targets) -> Constant
    baselines: tuple[Baseline, ...] = ()
    sections: Callable | None = None  # (prepared, evaluation) -> [reports.html.Html]
    probed: bool = False  # whether a probe predicts the data's labels from its features
    mistakes: Callable | None = None  # (prepared, evaluation, number) -> Mistakes
    captions: Callable | None = None  # (prepared, output, target) -> [(answer, truth)]
    # (prepared, weights by path) -> words and their vectors (words, width), for a file of vectors,
    # tables in the report and TensorBoard's projector
    vectors: Callable | None = None
    # Whether its signature `generate` makes images from a seed and a class: the report and
    # TensorBoard show some, and --judge evaluates them by another run's model
    generates: bool = False


def names() -> list[str]:
    """All tasks, sorted."""
    return sorted(listing())


def describe(name: str) -> Listing:
    """The listing of the task `name`. ValueError: unknown name."""
    if name not in listing():
        close = nearest(name, names()) or names()
        raise ValueError(f"unknown task {name!r}; nearest: {', '.join(close)}; all: --list")
    return listing()[name]


def options_of(name: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a task: those that were chosen, and its defaults."""
    return {**describe(name).options, **chosen}


def over(name: str, pipeline, schema, options: Mapping[str, Any]) -> tuple[Any, Any]:
    """Pipeline and schema adapted by a task's `over`, with these options of it and its defaults."""
    options = options_of(name, options)
    pipeline, schema = get(name).over(pipeline, schema, **options)
    pipeline = dataclasses.replace(pipeline, task_options=options)
    return pipeline, schema._replace(task=name)


def check_is_text(name: str, pipeline, schema) -> None:
    """UsageError: the rows are not one text each, which the task `name` takes."""
    if "pieces" not in pipeline.forms or len(schema.raw) != 1:
        raise UsageError(
            f"task {name} takes texts; {pipeline.name} has the input forms "
            f"{', '.join(pipeline.forms)}"
        )


def check_is_image(name: str, pipeline, schema) -> None:
    """UsageError: the rows are not one image each, which the task `name` takes."""
    if "image" not in pipeline.forms or list(schema.raw) != ["image"]:
        raise UsageError(
            f"task {name} takes images; {pipeline.name} has the input forms "
            f"{', '.join(pipeline.forms)}"
        )


def source(name: str, pipeline):
    """The data that a task reads: the data set, or the same without labels if it needs none."""
    if name and not describe(name).labels and pipeline.unlabelled is not None:
        return dataclasses.replace(pipeline.unlabelled(), options=pipeline.options)
    return pipeline


def get(name: str) -> Task:
    """The task in `trainers/tasks/<name>.py`; imports it, and with it TensorFlow."""
    describe(name)
    return importlib.import_module(f"{__package__}.{name}").TASK


def lower_is_better(metric: str) -> bool:
    """Whether a smaller value of this metric is the better one, in any task that has it."""
    return any(metric in entry.lower_is_better for entry in listing().values())


@functools.cache
def listing() -> Mapping[str, Listing]:
    """Every task file of this package, by name.

    Raises:
        ValueError: literals that are missing or contradict each other.
    """
    entries = {}
    for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        if path.stem not in ("__init__", "registry"):
            entries[path.stem] = _read(path)
    return entries


def _read(path: pathlib.Path) -> Listing:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    values = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    try:
        metrics, lower, main = (ast.literal_eval(values[name]) for name in _LITERALS)
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{path.name}: a task has the literals {', '.join(_LITERALS)}: {error}"
        ) from error
    if metrics[0] != "loss" or not {*lower, main} <= set(metrics):
        raise ValueError(
            f"{path.name}: METRICS begins with 'loss' and holds those of LOWER_IS_BETTER and "
            f"MAIN_METRIC; it is {metrics}"
        )
    more = {name: ast.literal_eval(values[name]) for name in _OPTIONAL if name in values}
    return Listing(
        (ast.get_docstring(tree) or "").partition("\n")[0],
        tuple(metrics),
        tuple(lower),
        main,
        more.get("LABELS", True),
        more.get("OPTIONS", {}),
        more.get("LIMITS", {}),
    )
