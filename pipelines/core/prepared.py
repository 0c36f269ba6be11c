"""A pipeline with its rows and its fitted state: what `stream` takes."""

import dataclasses
import functools
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import tensorflow as tf

from pipelines.core import checks, specs
from pipelines.core.keys import Keys
from pipelines.core.pipeline import (
    DataError,
    Example,
    Pipeline,
    Preprocess,
    Rows,
    Schema,
    State,
    Unseen,
)
from pipelines.core.rows import encoded, ready, rename_clashing_target
from zoo.spec import DataSpec, Field


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """Pipeline, schema, input form, state and rows. Serving needs no rows."""

    pipeline: Pipeline
    schema: Schema  # with `outputs` as a number
    form: str
    state: State
    rows: Mapping[str, Rows] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self.pipeline.name

    @property
    def source(self) -> str:
        """The source of the rows: a TFDS name with its exact version, or files."""
        return self.pipeline.source

    @property
    def task(self) -> str:
        """The name of the task."""
        return self.schema.task

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes or labels; empty if there are none."""
        return self.schema.class_names

    @property
    def raw(self) -> Mapping[str, Field]:
        """What a client of the exported model sends."""
        return self.schema.raw

    @functools.cached_property
    def preprocess(self) -> Preprocess:
        """Raw fields to inputs, by the fitted state."""
        form = self.pipeline.forms[self.form]
        if form.make_preprocess is None:
            return form.preprocess
        return form.make_preprocess(self.state.get(f"inputs/{self.form}", {}))

    @functools.cached_property
    def unseen(self) -> Unseen | None:
        """Which raw values did not occur in training; None: the form does not check this."""
        form = self.pipeline.forms[self.form]
        return form.unseen and form.unseen(self.state.get(f"inputs/{self.form}", {}))

    @functools.cached_property
    def example(self) -> Example:
        """The pipeline's `example`, or one that returns inputs and target unchanged.

        Where the pipeline mixes rows, it receives class probabilities as target.
        """
        if self.pipeline.make_example is not None:
            part = self.state.get(f"inputs/{self.form}", {})
            example = self.pipeline.make_example(self.serving_inputs, part)
        else:
            example = self.pipeline.example or _unchanged
        if self.pipeline.mix is None:
            return example
        return lambda inputs, target, keys: example(inputs, self.class_probabilities(target), keys)

    def class_probabilities(self, target: tf.Tensor) -> tf.Tensor:
        """The target as class probabilities (B, classes) float32; floats are returned unchanged."""
        if target.dtype.is_floating:
            return target
        return tf.one_hot(target, len(self.class_names))

    @functools.cached_property
    def serving_inputs(self) -> dict[str, Field]:
        """The fields that `preprocess` returns: the inputs of the exported model."""
        function = specs.preprocess_function(self.preprocess, tuple(self.raw.items()))
        return self._annotated(specs.fields_of(function.structured_outputs))

    @property
    def padded(self) -> tuple[str, ...]:
        """Inputs (B, T) padded with zeros, which are cut to the width that a batch needs."""
        return tuple(name for name, field in self.serving_inputs.items() if field.length)

    @functools.cached_property
    def batch_signature(self) -> tuple:
        """TensorSpecs of a batch (x, y, weight) of any size."""
        inputs = {
            name: field._replace(shape=(None, *field.shape[1:])) if field.length else field
            for name, field in self.serving_inputs.items()
        }
        keys = Keys(*(tf.TensorSpec(shape, tf.int64) for shape in ((), (), (None,))))
        target = self.schema.target
        if target is not None and self.pipeline.encode is not None:
            target = specs.field_after(self._encode, target)
        target = None if target is None else tf.TensorSpec((None, *target.shape), target.dtype)
        traced = specs.trace(self.example, specs.signature(inputs), target, keys)
        return tf.nest.map_structure(
            lambda t: None if t is None else tf.TensorSpec(t.shape, t.dtype),
            traced.structured_outputs,
        )

    @property
    def spec(self) -> DataSpec:
        """The fields that `example` returns as x, and the task: all that a model is built from."""
        inputs = self._annotated(specs.fields_of(self.batch_signature[0]))
        return DataSpec(inputs, self.task, self.schema.outputs)

    @property
    def elements(self) -> int:
        """Loss elements per example: 1, or the maximum length of a sequence."""
        longest = max((field.length or 0 for field in self.serving_inputs.values()), default=0)
        return math.prod(size or longest for size in self.batch_signature[2].shape[1:])

    def replace(self, **changes: Any) -> "Prepared":
        """A copy in which some fields of Prepared or of its pipeline are replaced."""
        own = {field.name for field in dataclasses.fields(self)}
        steps = {name: value for name, value in changes.items() if name not in own}
        changes = {name: value for name, value in changes.items() if name in own}
        pipeline = dataclasses.replace(changes.pop("pipeline", self.pipeline), **steps)
        changed = dataclasses.replace(self, pipeline=pipeline, **changes)
        # The stored inputs do not depend on these.
        if not changes and set(steps) <= {"augment", "mix", "example"}:
            vars(changed)["_ready"] = self._ready
        return changed

    def num_rows(self, split: str) -> int:
        """Examples of a split, after `arrange`."""
        arranged = self.pipeline.arrange is not None
        return (self.inputs_of(split) if arranged else self.rows[split]).num_rows

    def inputs_of(self, split: str) -> Rows:
        """The rows of a split, preprocessed if that is worth the memory, otherwise as stored."""
        if split not in self._ready:
            self._ready[split] = ready(self, self.rows[split])
        return self._ready[split]

    @functools.cached_property
    def _ready(self) -> dict[str, Rows]:
        return {}

    @functools.cached_property
    def _encode(self) -> Callable:
        return self.pipeline.encode(self.state.get("target", {}))

    def _annotated(self, fields: Mapping[str, Field]) -> dict[str, Field]:
        form = self.pipeline.forms[self.form]
        part = self.state.get(f"inputs/{self.form}", {})
        known = form.fields(part) if form.fields else {}
        return {
            name: field._replace(ids=known[name].ids, length=known[name].length)
            if name in known
            else field
            for name, field in fields.items()
        }


def prepare(
    pipeline: Pipeline,
    schema: Schema,
    rows: Mapping[str, Rows],
    *,
    form: str = "",
    state: State | None = None,
) -> Prepared:
    """Cuts the rows into splits, fits missing parts of the state, and checks the rows.

    Columns that the input form leaves out are removed from the rows and the schema.

    Args:
        rows: from `pipelines.storage.tfds.load`, as is the schema.
        form: name of the input form; empty: the pipeline's default.
        state: parts that this run or another one has already fitted.

    Raises:
        DataError: unknown form, a split without examples, or rows that fail the checks.
    """
    form = _form_name(pipeline, form)
    if pipeline.cut is not None:
        rows = pipeline.cut(rows)
    checks.check_splits(pipeline, rows)
    state, chosen = dict(state or {}), pipeline.forms[form]
    if chosen.leaves_out is not None:
        left_out = set(chosen.leaves_out(rows["train"], state.get(f"inputs/{form}")))
        rows = {split: _without(part, left_out) for split, part in rows.items()}
        raw = {name: field for name, field in schema.raw.items() if name not in left_out}
        schema = schema._replace(raw=raw)
    if chosen.fit is not None and f"inputs/{form}" not in state:
        part = chosen.fit(rows["train"])
        if part:  # images of 8 bits have none
            state[f"inputs/{form}"] = part
    if pipeline.fit_target is not None and "target" not in state:
        state["target"] = pipeline.fit_target(rows["train"])
    prepared = served(pipeline, schema, form=form, state=state)
    checks.check_rows(prepared, rows)
    rows = {
        split: rename_clashing_target(part, prepared.serving_inputs) for split, part in rows.items()
    }
    if pipeline.encode is not None:
        rows = {split: encoded(part, prepared._encode) for split, part in rows.items()}
    return prepared.replace(rows=rows)


def served(pipeline: Pipeline, schema: Schema, *, form: str = "", state: State) -> Prepared:
    """The pipeline with its state and without rows, for serving."""
    outputs = schema.outputs(state) if callable(schema.outputs) else schema.outputs
    schema = schema._replace(outputs=outputs)
    form = _form_name(pipeline, form)
    return Prepared(pipeline=pipeline, schema=schema, form=form, state=state)


def _without(rows: Rows, names: Collection[str]) -> Rows:
    """The rows of a table without some of its columns."""
    if not names:
        return rows
    fields, table, readings = (
        {name: value for name, value in columns.items() if name not in names}
        for columns in (rows.fields, rows.table, rows.readings or {})
    )
    return rows._replace(fields=fields, table=table, readings=readings)


def _form_name(pipeline: Pipeline, form: str) -> str:
    if form and form not in pipeline.forms:
        raise DataError(
            f"{pipeline.name} has no input form {form!r}; it has {', '.join(pipeline.forms)}"
        )
    return form or next(iter(pipeline.forms))


def _unchanged(inputs, target, keys):
    return inputs, target, tf.ones_like(keys.index, tf.float32)
