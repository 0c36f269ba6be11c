"""What a data set declares, and what it is once its rows are split and its state is fitted."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from zoo.spec import DataSpec, Field

SPLITS = ("train", "validation", "test")
Table = Mapping[str, Any]  # field name -> (num_rows, ...) np.ndarray
State = Mapping[str, Any]  # what `prepare` learnt from the training rows: name -> np.ndarray


class DataError(ValueError):
    """The data is missing, unreachable or not what was declared."""


class Rows(NamedTuple):
    """The examples of one split: a table in memory, or a reader by row number."""

    num_rows: int
    fields: Mapping[str, Field]  # as stored, the target among them
    target: str
    table: Table | None = None
    read: Callable[[Any], Table] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pipeline:
    """One data set: where its examples are and the steps from an example to (x, y, weight).

    `preprocess` is the function that training uses and that the exported model carries. A pipeline
    whose `preprocess` needs fitted state gives `bind` instead, which makes it from the state.
    """

    name: str
    source: str  # TFDS name with version, "cifar10:3.*.*"
    splits: Mapping[str, str]  # ours -> TFDS's: {"train": "train[:90%]", ...}
    task: str
    target: str
    class_names: tuple[str, ...] = ()
    raw: Mapping[str, Field]  # what a client of the exported model sends, without batch dimension
    store: Callable | None = None  # one raw example -> what is kept of it, where raw sizes differ
    prepare: Callable | None = None  # (rows by split, state or None) -> (rows by split, state)
    read: Callable | None = None  # () -> rows by split, of data that is not TFDS's
    bind: Callable | None = None  # state -> preprocess
    augment: Callable | None = None  # (raw, target, keys) -> (raw, target); batches, training only
    preprocess: Callable | None = (
        None  # raw -> inputs; batches, deterministic, row by row; EXPORTED
    )
    views: Callable | None = None  # raw -> [(share, raw)]: what an example looks like from sides
    padded: tuple[str, ...] = ()  # inputs (B, T) of preprocess whose rows end in zeros: cut to need
    example: Callable | None = None  # (inputs, target, keys) -> (x, y, weight); None: as they are

    rows: Mapping[str, Rows] = dataclasses.field(
        default_factory=dict, repr=False
    )  # from `prepared`
    state: State = dataclasses.field(default_factory=dict, repr=False)  # from `prepared` or `bound`

    @property
    def served(self) -> dict[str, Field]:
        """What `preprocess` returns, traced: the inputs of the exported model."""
        from pipelines.core import specs

        return specs.served(self)

    @property
    def spec(self) -> DataSpec:
        """What `example` returns as x, traced, with the task: all that a model may know."""
        from pipelines.core import specs

        return specs.spec(self)


def prepared(pipeline: Pipeline, rows: Mapping[str, Rows], state: State | None = None) -> Pipeline:
    """The pipeline with its rows split and its state fitted; `stream` takes no other.

    Args:
        rows: by the names of `pipeline.splits`, from `source.load`.
        state: what an earlier run fitted, to be used as it is; None: learn it from `rows`.

    Raises:
        DataError: a split without examples, or numbers that no model can learn from.
    """
    if pipeline.prepare is not None:
        rows, state = pipeline.prepare(rows, state)
    from pipelines.core import checks

    pipeline = bound(pipeline, state or {})
    checks.check_rows(pipeline, rows)
    return dataclasses.replace(pipeline, rows=rows)


def bound(pipeline: Pipeline, state: State) -> Pipeline:
    """The pipeline with `preprocess` made from stored state: enough to serve, without any rows."""
    if pipeline.bind is None:
        return pipeline
    return dataclasses.replace(pipeline, preprocess=pipeline.bind(state), bind=None, state=state)
