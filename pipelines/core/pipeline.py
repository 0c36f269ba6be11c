"""The declaration of a data set. Nothing here reads a file or imports TensorFlow."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, Protocol

from zoo.spec import Field

SPLITS = ("train", "validation", "test")
Table = Mapping[str, Any]  # column -> (num_rows, ...) np.ndarray
Tensors = Mapping[str, Any]  # field or input -> tensor of a batch
Part = Mapping[str, Any]  # a part of the fitted state: name -> np.ndarray
State = Mapping[str, Part]  # fitted on the training rows: "inputs/<form>" and "target" -> part


class DataError(ValueError):
    """The data is missing, unreachable or not as declared."""


class MissingDataError(DataError):
    """The data does not exist under its path or name, and cannot be prepared."""


class Rows(NamedTuple):
    """The examples of one split, in one of three forms: `table`, `read` or `take`."""

    num_rows: int
    fields: Mapping[str, Field]  # the columns as stored, with the target
    target: str | None  # the target's column; None: there is no target
    table: Table | None = None  # all rows in memory
    read: Callable[[Any], Table] | None = None  # row numbers (B,) -> their columns, in NumPy
    take: Callable[[Any], Tensors] | None = None  # the same in TensorFlow operations
    are_inputs: bool = False  # whether the columns are what `preprocess` returns
    lengths: Mapping[str, Any] | None = None  # padded input -> (num_rows,) length of each row
    identity: str = ""  # of rows on disk: hash of their files' content
    cache: str = ""  # of rows on disk: folder in which their inputs are stored
    readings: Mapping[str, Any] | None = None  # column -> how its cells are read: files/readings.py


class Schema(NamedTuple):
    """The facts about a data set that come from its files or from a TFDS builder."""

    raw: Mapping[str, Field]  # what a client of the exported model sends
    task: str  # the pipeline's task: the name of a file in trainers/tasks
    target: Field | None  # as stored; with `ids` if it is a class; None: there is no target
    class_names: tuple[str, ...] = ()
    outputs: int | Callable[[State], int] = 1  # width of the logits
    target_name: str = "label"  # the target's column
    source: str = ""  # if `read` finds it out: a TFDS name with its exact version


class Preprocess(Protocol):
    """Raw fields to inputs: batched, deterministic, row by row, only TensorFlow operations."""

    def __call__(self, raw: Tensors) -> Tensors: ...


class Augment(Protocol):
    """Randomly changes raw fields and target of a training batch; all draws come from `keys`."""

    def __call__(self, raw: Tensors, target: Any, keys: Any) -> tuple[Tensors, Any]: ...


class Mix(Protocol):
    """Randomly mixes a training batch with another one; all draws come from `keys`.

    Targets are class probabilities, (B, classes) float32.
    """

    def __call__(
        self, inputs: Tensors, target: Any, other_inputs: Tensors, other_target: Any, keys: Any
    ) -> tuple[Tensors, Any]: ...


class Example(Protocol):
    """Inputs and target of a batch to (x, y, weight); may add inputs, even random ones."""

    def __call__(self, inputs: Tensors, target: Any, keys: Any) -> tuple[Tensors, Any, Any]: ...


class Unseen(NamedTuple):
    """Values of raw fields that did not occur in training."""

    find: Callable[[Tensors], tuple[Any, Any]]  # raw -> (unknown, unreadable): (B, fields) bool
    expected: Mapping[str, str]  # field -> the values that training had, for a message


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """One way to turn rows into inputs. Its `preprocess` is part of the exported model.

    It has either `preprocess`, or `fit` and `make_preprocess`, which makes it from the fitted part.
    """

    preprocess: Preprocess | None = None
    fit: Callable[[Rows], Part] | None = None  # training rows -> part of the state
    make_preprocess: Callable[[Part], Preprocess] | None = None
    fields: Callable[[Part], Mapping[str, Field]] | None = None  # of inputs with ids or a length
    # Training rows and the part that was fitted earlier, or None -> columns that are left out.
    leaves_out: Callable[[Rows, Part | None], Collection[str]] | None = None
    unseen: Callable[[Part], Unseen] | None = None  # None: values are not checked


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pipeline:
    """One data set: the source of its examples and the steps from an example to (x, y, weight).

    Rows come from TFDS (`source` with `splits` and `schema`, or with `declare`, which makes both
    from the builder's info), or from `read`.
    """

    name: str
    source: str  # TFDS name with version, "cifar10:3.*.*"; or the files, for messages
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # set by registry.get
    splits: Mapping[str, str] = dataclasses.field(default_factory=dict)  # our split -> TFDS split
    schema: Schema | None = None
    declare: Callable[[Any], tuple[Schema, Mapping[str, str]]] | None = None
    read: Callable[[], tuple[Mapping[str, Rows], Schema]] | None = None
    dataset: str = ""  # TFDS data set that `read` uses; empty: none
    shrink: Callable[[Tensors], Tensors] | None = None  # one raw example -> what is stored of it

    cut: Callable[[Mapping[str, Rows]], Mapping[str, Rows]] | None = None  # to rows by SPLITS
    forms: Mapping[str, Form]  # the first is the default
    fit_target: Callable[[Rows], Part] | None = None  # training rows -> the state's part "target"
    encode: Callable[[Part], Callable[[Any], Any]] | None = None  # part "target" -> target -> y
    arrange: Callable[[Rows, Preprocess], Rows] | None = None  # raw rows -> rows of inputs
    augment: Augment | None = None  # training only
    augment_always: bool = False  # in validation and in evaluation too, with the draws of epoch 0
    mix: Mix | None = None  # training only; every y is then class probabilities
    # After this fraction of the epochs nothing is mixed, and `late_augment` replaces `augment`.
    augment_until: float = 1.0
    late_augment: Augment | None = None
    tta_views: Callable[[Tensors], list[tuple[float, Tensors]]] | None = None  # (weight, raw) each
    example: Example | None = None  # None: inputs and target unchanged, weight 1
    # Makes `example` from the fields that `preprocess` returns and the form's part of the state.
    make_example: Callable[[Mapping[str, Field], Part], Example] | None = None
    # The same data for tasks that need no labels, perhaps with more rows; None: the same rows, with
    # their labels ignored.
    unlabelled: Callable[[], "Pipeline"] | None = None
    task_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # set with the task


def classes(
    raw: Mapping[str, Field], class_names: tuple[str, ...], *, target: str = "label"
) -> Schema:
    """The schema of rows with one class each; the task is `binary` for two classes.

    Raises:
        DataError: a class name, which may be that of a file or folder, is not UTF-8.
    """
    for name in class_names:
        if name.encode(errors="replace").decode() != name:
            raise DataError(f"the class name {name!r} is not UTF-8: rename its file or folder")
    return Schema(
        raw=raw,
        task="binary" if len(class_names) == 2 else "classification",
        target=Field((), "int64", ids=len(class_names)),
        class_names=tuple(class_names),
        outputs=1 if len(class_names) == 2 else len(class_names),
        target_name=target,
    )
