"""Loading for the tests of data sets, and tables as files."""

import csv
import pathlib

import numpy as np

import pipelines
from pipelines import Pipeline, Rows
from pipelines.core.prepared import Prepared, prepare
from pipelines.storage import tfds
from zoo.spec import Field


def loaded(pipeline: Pipeline, data_dir: str | pathlib.Path | None = None, **options) -> Prepared:
    """The pipeline over what is stored; `options` are those of `prepare`."""
    pipeline, rows, schema = tfds.load(pipeline, data_dir=data_dir and str(data_dir))
    return prepare(pipeline, schema, rows, **options)


def write(path, rows, encoding="utf-8", **dialect) -> str:
    """Writes a table as the standard library does; its path."""
    with open(path, "w", newline="", encoding=encoding) as file:
        csv.writer(file, **dialect).writerows(rows)
    return str(path)


def load_csv(files, target="y", form="", **options) -> Prepared:
    """A table of one's own, prepared."""
    pipeline = pipelines.get("csv", data_files=str(files), target=target, **options)
    return loaded(pipeline, form=form)


def joined(prepared: Prepared, name: str) -> np.ndarray:
    """A column of all splits together."""
    return np.concatenate([rows.table[name] for rows in prepared.rows.values()])


def rows_of(**columns) -> Rows:
    """A column of floats is one of numbers, one of bytes is one of texts; `y` is the target."""
    table, fields = {}, {}
    number = len(next(iter(columns.values())))
    for name, values in ({"y": np.arange(number) % 2} | columns).items():
        text = isinstance(values[0], bytes)
        table[name] = np.array(values, object if text else np.float32)
        fields[name] = Field((), "string" if text else "float32")
    return Rows(number, fields, "y", table=table)
