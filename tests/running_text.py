"""A few texts under a task that takes running text."""

import numpy as np

from pipelines.core.pipeline import Pipeline, Rows, Schema
from pipelines.core.prepared import Prepared, prepare
from pipelines.steps.text import pieces_form
from trainers.tasks import registry
from zoo.spec import Field

_TEXT = {"text": Field((), "string")}


def rows_of(texts: list[str], folder=None) -> Rows:
    """In memory, or read from where a folder keeps what is made of them."""
    table = {"text": np.array([text.encode() for text in texts], object)}
    if folder is None:
        return Rows(len(texts), _TEXT, None, table=table)
    read = lambda index: {name: column[index] for name, column in table.items()}
    return Rows(len(texts), _TEXT, None, read=read, identity="a", cache=str(folder))


def prepared_of(task: str, texts: list[str], *, held_out: list[str] | None = None, **options):
    """The texts as training rows, others or the same as validation and test."""
    made = Pipeline(name="made", source="made", forms={"pieces": pieces_form(60, 16)})
    pipeline, schema = registry.over(task, made, Schema(_TEXT, "masked_lm", None), options)
    rows = dict.fromkeys(("validation", "test"), rows_of(held_out or texts))
    prepared: Prepared = prepare(pipeline, schema, {"train": rows_of(texts), **rows})
    return prepared
