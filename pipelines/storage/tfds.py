"""Stored examples of a TFDS data set as rows.

Splits within the memory budget become one array per field. Larger ones stay on disk as array_record
files and are read by row number, in the same order.
"""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from pipelines.core.checks import check_target
from pipelines.core.pipeline import DataError, Pipeline, Rows, Schema, Table
from pipelines.core.rows import RAM_BUDGET
from pipelines.core.tf_data import untuned
from pipelines.storage import shards
from pipelines.storage.builders import ensure_prepared, find_builder
from pipelines.storage.progress import progress
from pipelines.storage.shards import first_line
from zoo.spec import Field

_CHUNK = 1024  # examples decoded at a time


def load(
    pipeline: Pipeline, *, data_dir: str | None = None
) -> tuple[Pipeline, dict[str, Rows], Schema]:
    """The pipeline with its exact version as source, the rows of every split, and their schema.

    Prepares the data set unless it is prepared.

    Args:
        data_dir: TFDS's data folder; None: `TFDS_DATA_DIR`, then TFDS's default.

    Raises:
        DataError: unknown set or split, neither prepared nor reachable, or not as declared.
    """
    if pipeline.read is not None:
        rows, schema = pipeline.read()
        for split, part in rows.items():
            if part.table is None and not part.identity:
                raise DataError(
                    f"{pipeline.name}: its {split} rows are not in memory and have no identity, a "
                    "hash of their content: a run could not tell when they change"
                )
            if part.target is not None and part.table is not None:
                check_target(schema, f"{pipeline.source} {split}", part.table[part.target])
        exact = schema.source or pipeline.source
        return dataclasses.replace(pipeline, source=exact), dict(rows), schema
    builder = find_builder(pipeline.source, data_dir)
    if pipeline.declare is not None:
        pipeline.declare(builder.info)  # its errors come before anything is downloaded
    builder = ensure_prepared(builder)
    if pipeline.declare is not None:
        schema, splits = pipeline.declare(builder.info)
        pipeline = dataclasses.replace(pipeline, schema=schema, splits=splits)
    _check_features(pipeline, builder)  # class names are known only once the set is prepared
    name, _, version = builder.info.full_name.rpartition("/")
    pipeline = dataclasses.replace(pipeline, source=f"{name}:{version}")
    splits = pipeline.splits.items()
    rows = {ours: _load_split(pipeline, builder, theirs) for ours, theirs in splits}
    return pipeline, rows, pipeline.schema


def _check_features(pipeline: Pipeline, builder: tfds.core.DatasetBuilder) -> None:
    features, schema = builder.info.features, pipeline.schema
    missing = {*schema.raw, *_target(schema)} - set(features)
    if missing:
        raise DataError(f"{pipeline.source} has no {sorted(missing)}; it has {sorted(features)}")
    for name, field in schema.raw.items():
        stored = Field(tuple(features[name].shape), features[name].tf_dtype.name)
        if stored != field:
            raise DataError(
                f"{pipeline.source}: {name} is {stored.dtype} {stored.shape}, {pipeline.name} "
                f"expects {field.dtype} {field.shape}"
            )
    for name in _target(schema):
        names = getattr(features[name], "names", None) or schema.class_names
        if tuple(names) != schema.class_names:
            raise DataError(
                f"{pipeline.source}: classes are {names}, expected {schema.class_names}"
            )


def _target(schema: Schema) -> tuple[str, ...]:
    """The target's column, if there is one."""
    return () if schema.target is None else (schema.target_name,)


def _load_split(pipeline: Pipeline, builder: tfds.core.DatasetBuilder, split: str) -> Rows:
    try:
        num_rows = builder.info.splits[split].num_examples
    except (ValueError, KeyError) as error:
        raise DataError(f"{pipeline.source} has no {split!r}: {first_line(error)}") from error
    if not num_rows:
        raise DataError(f"{pipeline.source}: split {split!r} has no examples")
    fields, target = _stored_fields(pipeline, builder.info.features), _target(pipeline.schema)
    target_name = target[0] if target else None
    by_number = builder.info.file_format == tfds.core.file_adapters.FileFormat.ARRAY_RECORD
    size = _size(builder, split, num_rows, fields)
    # Before the files are checked, which takes minutes for a set of this size.
    if size > RAM_BUDGET and not by_number:
        raise DataError(
            f"{pipeline.source} {split} has {size / 2**30:.1f} GiB, more than "
            f"{RAM_BUDGET / 2**30:.0f}, and is stored as {builder.info.file_format.value}: prepare "
            "it into another --data_dir with "
            f"python -m pipelines.fetch {pipeline.source} --file_format=array_record"
        )
    shards.check_files(builder, split)
    if size > RAM_BUDGET:
        read = _reader(pipeline, builder, split)
        identity, cache = shards.identity(builder, split), str(builder.data_dir)
        return Rows(num_rows, fields, target_name, read=read, identity=identity, cache=cache)
    batches = (_read_through if by_number else _decode)(pipeline, builder, split, num_rows)
    total = -(-num_rows // _CHUNK)
    with shards.named(builder, split):
        table = _table(progress(batches, total, f"reading {pipeline.source} {split}"), num_rows)
    if target_name is not None:
        check_target(pipeline.schema, f"{pipeline.source} {split}", table[target_name])
    return Rows(num_rows, fields, target_name, table=table)


def _size(
    builder: tfds.core.DatasetBuilder, split: str, num_rows: int, fields: Mapping[str, Field]
) -> int:
    """Bytes of a split's rows in memory; for texts, the stored bytes."""
    fixed = sum(
        int(np.prod(field.shape)) * np.dtype(field.dtype).itemsize
        for field in fields.values()
        if field.dtype != "string"
    )
    size = num_rows * fixed
    if any(field.dtype == "string" for field in fields.values()):
        whole = builder.info.splits[split.partition("[")[0]]
        size += whole.num_bytes * num_rows // whole.num_examples
    return size


def _stored(pipeline: Pipeline, example: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """What is stored of one example: raw fields, through `shrink`, and the target."""
    raw = {name: example[name] for name in pipeline.schema.raw}
    if pipeline.shrink is not None:
        raw = pipeline.shrink(raw)
    return {**raw, **{name: example[name] for name in _target(pipeline.schema)}}


def _stored_fields(pipeline: Pipeline, features: tfds.features.FeaturesDict) -> dict[str, Field]:
    specs = {
        name: tf.TensorSpec(features[name].shape, features[name].tf_dtype)
        for name in (*pipeline.schema.raw, *_target(pipeline.schema))
    }
    traced = tf.function(lambda e: _stored(pipeline, e), autograph=False)
    outputs = traced.get_concrete_function(specs).structured_outputs
    return {name: Field(tuple(t.shape), t.dtype.name) for name, t in outputs.items()}


def _decode(
    pipeline: Pipeline, builder: tfds.core.DatasetBuilder, split: str, num_rows: int
) -> Iterator[Table]:
    """All examples in stored order, in batches of a thousand, decoded on all cores."""
    examples = builder.as_dataset(split=split, shuffle_files=False)
    examples = examples.map(lambda e: _stored(pipeline, e), num_parallel_calls=tf.data.AUTOTUNE)
    return examples.batch(_CHUNK).prefetch(2).with_options(untuned()).as_numpy_iterator()


def _read_through(
    pipeline: Pipeline, builder: tfds.core.DatasetBuilder, split: str, num_rows: int
) -> Iterator[Table]:
    read = _reader(pipeline, builder, split)
    for first in range(0, num_rows, _CHUNK):
        yield read(np.arange(first, min(first + _CHUNK, num_rows)))


def _reader(pipeline: Pipeline, builder: tfds.core.DatasetBuilder, split: str):
    """A function that reads rows by number, from array_record files."""
    raw = tfds.core.decode.DeserializeMethod.RAW_BYTES
    source = builder.as_data_source(split=split, deserialize_method=raw)
    features = builder.info.features

    # In batches and in TensorFlow: decoding an image in Python takes ten times as long.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def decode(records: tf.Tensor) -> dict[str, tf.Tensor]:
        examples = tf.data.Dataset.from_tensor_slices(records).map(
            lambda record: _stored(pipeline, features.deserialize_example(record))
        )
        return examples.batch(tf.size(records, tf.int64)).get_single_element()

    def read(index: np.ndarray) -> dict[str, np.ndarray]:
        with shards.named(builder, split):
            records = source.__getitems__([int(i) for i in index])
            taken = {name: column.numpy() for name, column in decode(records).items()}
        for name in _target(pipeline.schema):
            check_target(pipeline.schema, f"{pipeline.source} {split}", taken[name], index)
        return taken

    return read


def _table(batches: Iterator[Table], num_rows: int) -> dict[str, np.ndarray]:
    """All examples as one array per field, allocated once, which needs half the memory."""
    table: dict[str, np.ndarray] = {}
    filled = 0
    for batch in batches:
        for name, column in batch.items():
            if name not in table:
                table[name] = np.empty((num_rows, *column.shape[1:]), column.dtype)
            table[name][filled : filled + len(column)] = column
        filled += len(column)
    if filled != num_rows:
        raise ValueError(f"expected {num_rows} examples, received {filled}")
    return table
