"""Stored examples of a TFDS data set as rows: prepared once, then read by number.

Splits that fit the memory budget become one array per field. Larger ones stay on disk as
array_record files and are read by row number, by the same plan.
"""

import contextlib
import dataclasses
import difflib
import http.client
import importlib
import os
import pathlib
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping

import numpy as np
import requests
import tensorflow as tf
import tensorflow_datasets as tfds
from google.protobuf import json_format
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

import pipelines
from pipelines import DataError, Pipeline, Rows, Table
from pipelines.core.checks import check_target
from pipelines.core.stream import RAM_BUDGET
from pipelines.core.tf_data import untuned
from pipelines.storage import shards
from pipelines.storage.shards import first_line
from zoo.spec import Field

_REACHABLE = "https://storage.googleapis.com/tfds-data/"  # where TFDS keeps checksums and archives
_CHUNK = 1024  # examples decoded at a time
_PATIENCE = 5  # seconds that a server has to answer in
_WAYS_OUT = (
    "(1) prepare it where there is a network and name that folder with --data_dir or "
    "TFDS_DATA_DIR; (2) put its archives into a folder and prepare it from there: "
    "python -m pipelines.fetch {name} --mirror=FOLDER, which says what is missing; (3) choose a "
    "set that needs no download: shapes, digits, breast_cancer"
)


def load(pipeline: Pipeline, *, data_dir: str | None = None) -> tuple[Pipeline, dict[str, Rows]]:
    """The pipeline under the exact version that is there, and the rows of every split.

    Prepares the data set first where that has not been done.

    Args:
        data_dir: TFDS's data folder; None: `TFDS_DATA_DIR`, then TFDS's default.

    Raises:
        DataError: unknown set or split, not prepared and not reachable, or not what was declared.
    """
    if pipeline.read is not None:
        rows = pipeline.read()
        for split in rows:
            check_target(pipeline, split, rows[split].table[pipeline.target])
        return pipeline, rows
    builder = find_builder(pipeline.source, data_dir)
    ensure_prepared(builder)
    _check_features(pipeline, builder)  # TFDS knows the names of the classes only now
    name, _, version = builder.info.full_name.rpartition("/")
    pipeline = dataclasses.replace(pipeline, source=f"{name}:{version}")
    splits = pipeline.splits.items()
    return pipeline, {ours: _load_split(pipeline, builder, theirs) for ours, theirs in splits}


def find_builder(source: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    """TFDS's builder of `source`. DataError: TFDS has no such set, or not in that version."""
    tfds.disable_progress_bar()
    name = source.partition(":")[0].partition("/")[0]
    if name in pipelines.names():  # a set of our own: its file registers it with TFDS
        importlib.import_module(f"pipelines.{name}")
    known = tfds.list_builders(with_community_datasets=False)
    if name not in known:
        close = [word for word in known if name in word][:3]
        close = close or difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        raise DataError(f"TFDS has no data set {name!r}; nearest: {', '.join(close) or 'none'}")
    try:
        return tfds.builder(source, data_dir=data_dir, try_gcs=False)
    except (
        *(AssertionError, ValueError, RuntimeError, OSError, json_format.Error),
        tfds.core.DatasetNotFoundError,
    ) as error:
        damaged = shards.damaged_descriptions(data_dir_in_use(data_dir) / name)
        if damaged:
            raise DataError(
                f"{', '.join(damaged)} is damaged: remove its folder and prepare {source} anew"
            ) from error
        raise DataError(f"TFDS cannot open {source!r}: {first_line(error)}") from error


def is_prepared(builder: tfds.core.DatasetBuilder) -> bool:
    """Whether the files of the builder's version are on disk."""
    return pathlib.Path(builder.data_dir).joinpath("dataset_info.json").exists()


def ensure_prepared(builder: tfds.core.DatasetBuilder, file_format: str | None = None) -> None:
    """Prepares the data set unless it is; a set that must be downloaded only with a network.

    TFDS alone takes 205 seconds to notice that there is no network. It would also take a file that
    it has registered no hash of, or a prepared set from its own bucket, which nothing verifies.
    """
    if is_prepared(builder):
        return
    where = f"{builder.info.full_name} is not prepared in {builder._data_dir_root}"
    ways_out = _WAYS_OUT.format(name=builder.info.full_name.rpartition("/")[0])
    if not getattr(builder, "BUILT_IN", False) and not _reachable(_first_url(builder)):
        raise DataError(f"{where} and {_first_url(builder)} cannot be reached: {ways_out}")
    try:
        config = tfds.download.DownloadConfig(
            force_checksums_validation=True, try_download_gcs=False
        )
        builder.download_and_prepare(download_config=config, file_format=file_format)
    except NonMatchingChecksumError as error:
        why = f"what was downloaded is not it: {first_line(error)}"
        raise DataError(f"{where}: {why}: {ways_out}") from error
    except (
        *(tfds.download.DownloadError, urllib.error.URLError),
        *(requests.RequestException, ConnectionError),
    ) as error:
        raise DataError(f"{where} and could not be: {first_line(error)}: {ways_out}") from error
    except ValueError as error:
        if "Missing checksums" not in str(error):
            raise
        raise DataError(f"{where}: TFDS has no hash for one of its files: {error}") from error


def _first_url(builder: tfds.core.DatasetBuilder) -> str:
    """Where one of the set's archives is, or where TFDS is at home."""
    urls = [url for url in builder.url_infos or () if url.startswith(("http://", "https://"))]
    return urls[0] if urls else _REACHABLE


def _reachable(url: str) -> bool:
    answers = []

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")
        try:
            with contextlib.closing(urllib.request.urlopen(request, timeout=_PATIENCE)):
                answers.append(True)
        except urllib.error.HTTPError as error:
            # An answer, also where it does not like to be asked this way; but TFDS would ask a
            # server that is down for two minutes.
            answers.append(error.code < 500 or error.code == http.HTTPStatus.NOT_IMPLEMENTED)
        except (OSError, http.client.HTTPException):
            pass

    # In a thread, since the timeout of a socket covers neither the look-up of its name nor several
    # addresses in a row.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return any(answers)


def _check_features(pipeline: Pipeline, builder: tfds.core.DatasetBuilder) -> None:
    features = builder.info.features
    missing = {*pipeline.raw, pipeline.target} - set(features)
    if missing:
        raise DataError(f"{pipeline.source} has no {sorted(missing)}; it has {sorted(features)}")
    for name, field in pipeline.raw.items():
        found = Field(tuple(features[name].shape), features[name].tf_dtype.name)
        if found != field:
            raise DataError(
                f"{pipeline.source}: {name} is {found}, {pipeline.name} expects {field}"
            )
    names = getattr(features[pipeline.target], "names", None) or pipeline.class_names
    if tuple(names) != pipeline.class_names:
        raise DataError(f"{pipeline.source}: classes are {names}, expected {pipeline.class_names}")


def _load_split(pipeline: Pipeline, builder: tfds.core.DatasetBuilder, split: str) -> Rows:
    try:
        num_rows = builder.info.splits[split].num_examples
    except (ValueError, KeyError) as error:
        raise DataError(f"{pipeline.source} has no {split!r}: {first_line(error)}") from error
    if not num_rows:
        raise DataError(f"{pipeline.source}: split {split!r} has no examples")
    shards.check_files(builder, split)
    fields = _stored_fields(pipeline, builder.info.features)
    by_number = builder.info.file_format == tfds.core.file_adapters.FileFormat.ARRAY_RECORD
    size = num_rows * sum(
        np.prod(f.shape) * (64 if f.dtype == "string" else np.dtype(f.dtype).itemsize)
        for f in fields.values()
    )
    if size > RAM_BUDGET:
        if not by_number:
            raise DataError(
                f"{pipeline.source} {split} exceeds {RAM_BUDGET / 2**30:.0f} GiB and is stored as "
                f"{builder.info.file_format.value}: prepare it into another --data_dir with "
                f"python -m pipelines.fetch {builder.name} --file_format=array_record"
            )
        return Rows(num_rows, fields, pipeline.target, read=_reader(pipeline, builder, split))
    batches = (_read_through if by_number else _decode)(pipeline, builder, split, num_rows)
    with shards.named(builder, split):
        table = _table(batches, num_rows)
    check_target(pipeline, split, table[pipeline.target])
    return Rows(num_rows, fields, pipeline.target, table=table)


def _stored(pipeline: Pipeline, example: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """What is kept of one example: raw fields, made smaller by `store`, and the target."""
    raw = {name: example[name] for name in pipeline.raw}
    if pipeline.store is not None:
        raw = pipeline.store(raw)
    return {**raw, pipeline.target: example[pipeline.target]}


def _stored_fields(pipeline: Pipeline, features: tfds.features.FeaturesDict) -> dict[str, Field]:
    specs = {
        name: tf.TensorSpec(features[name].shape, features[name].tf_dtype)
        for name in (*pipeline.raw, pipeline.target)
    }
    traced = tf.function(lambda e: _stored(pipeline, e), autograph=False)
    outputs = traced.get_concrete_function(specs).structured_outputs
    return {name: Field(tuple(t.shape), t.dtype.name) for name, t in outputs.items()}


def _decode(
    pipeline: Pipeline, builder: tfds.core.DatasetBuilder, split: str, num_rows: int
) -> Iterator[Table]:
    """All examples in stored order, a thousand at a time, decoded on all cores."""
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
    """Reads rows by their numbers, from array_record files."""
    raw = tfds.core.decode.DeserializeMethod.RAW_BYTES
    source = builder.as_data_source(split=split, deserialize_method=raw)
    features = builder.info.features

    # A batch at a time and in TensorFlow: in Python an image takes ten times as long.
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
        check_target(pipeline, split, taken[pipeline.target], index)
        return taken

    return read


def _table(batches: Iterator[Table], num_rows: int) -> dict[str, np.ndarray]:
    """All examples as one array per field, filled in place: no second copy at the peak."""
    table: dict[str, np.ndarray] = {}
    filled = 0
    for batch in batches:
        for name, column in batch.items():
            if name not in table:
                table[name] = np.empty((num_rows, *column.shape[1:]), column.dtype)
            table[name][filled : filled + len(column)] = column
        filled += len(column)
    if filled != num_rows:
        raise ValueError(f"{num_rows} examples are declared, {filled} are there")
    return table


def data_dir_in_use(data_dir: str | None) -> pathlib.Path:
    """The folder that TFDS reads and writes for this `--data_dir`."""
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR
    return pathlib.Path(chosen).expanduser()
