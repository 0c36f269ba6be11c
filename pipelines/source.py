"""Stored examples of a TFDS data set as rows: prepared once, then read by number.

Splits that fit the memory budget become one array per field. Larger ones stay on disk as
array_record files and are read by row number, by the same plan.
"""

import contextlib
import dataclasses
import difflib
import os
import pathlib
import urllib.error
import urllib.request
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from pipelines import DataError, Pipeline, Rows
from pipelines.stream import RAM_BUDGET
from zoo.spec import Field

_REACHABLE = "https://storage.googleapis.com/tfds-data/"  # where TFDS keeps checksums and archives
_WAYS_OUT = (
    "prepare it where there is a network and name that folder with --data_dir (or TFDS_DATA_DIR), "
    "or choose a set that needs no download (see --list: shapes, breast_cancer)"
)


def load(pipeline: Pipeline, *, data_dir: str | None = None) -> tuple[Pipeline, dict[str, Rows]]:
    """The pipeline under the exact version that is there, and the rows of every split.

    Prepares the data set first where that has not been done.

    Args:
        data_dir: TFDS's data folder; None: `TFDS_DATA_DIR`, then TFDS's default.

    Raises:
        DataError: unknown set or split, not prepared and not reachable, or not what was declared.
    """
    builder = find_builder(pipeline.source, data_dir)
    _check_features(pipeline, builder)
    ensure_prepared(builder)
    name, _, version = builder.info.full_name.rpartition("/")
    pipeline = dataclasses.replace(pipeline, source=f"{name}:{version}")
    splits = pipeline.splits.items()
    return pipeline, {ours: _load_split(pipeline, builder, theirs) for ours, theirs in splits}


def find_builder(source: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    """TFDS's builder of `source`. DataError: TFDS has no such set, or not in that version."""
    tfds.disable_progress_bar()
    name = source.partition(":")[0].partition("/")[0]
    known = tfds.list_builders(with_community_datasets=False)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        raise DataError(f"TFDS has no data set {name!r}; nearest: {', '.join(close) or 'none'}")
    try:
        return tfds.builder(source, data_dir=data_dir, try_gcs=False)
    except (AssertionError, ValueError, tfds.core.DatasetNotFoundError) as error:
        raise DataError(f"TFDS cannot open {source!r}: {_first_line(error)}") from error


def is_prepared(builder: tfds.core.DatasetBuilder) -> bool:
    """Whether the files of the builder's version are on disk."""
    return pathlib.Path(builder.data_dir).joinpath("dataset_info.json").exists()


def ensure_prepared(builder: tfds.core.DatasetBuilder) -> None:
    """Prepares the data set unless it is; a set that must be downloaded only with a network.

    TFDS alone takes 205 seconds to notice that there is no network.
    """
    if is_prepared(builder):
        return
    where = f"{builder.info.full_name} is not prepared in {builder._data_dir_root}"
    if not getattr(builder, "BUILT_IN", False) and not _reachable():
        raise DataError(f"{where} and its source cannot be reached: {_WAYS_OUT}")
    try:
        builder.download_and_prepare()
    except (tfds.download.DownloadError, urllib.error.URLError, ConnectionError) as error:
        raise DataError(f"{where} and could not be: {_first_line(error)}; {_WAYS_OUT}") from error


def _reachable() -> bool:
    request = urllib.request.Request(_REACHABLE, method="HEAD")
    try:
        with contextlib.closing(urllib.request.urlopen(request, timeout=8)):
            return True
    except urllib.error.HTTPError:
        return True  # an answer, whatever it says
    except OSError:
        return False


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
        raise DataError(
            f"{pipeline.source} has no split {split!r}: {_first_line(error)}"
        ) from error

    examples = builder.as_dataset(split=split, shuffle_files=False)
    examples = examples.map(lambda e: _stored(pipeline, e), num_parallel_calls=tf.data.AUTOTUNE)
    fields = {
        name: Field(tuple(t.shape), t.dtype.name) for name, t in examples.element_spec.items()
    }
    size = num_rows * sum(
        np.prod(f.shape) * (64 if f.dtype == "string" else np.dtype(f.dtype).itemsize)
        for f in fields.values()
    )
    if size > RAM_BUDGET:
        return Rows(num_rows, fields, pipeline.target, read=_reader(pipeline, builder, split))
    table = _table(examples, num_rows)
    found = len(table[pipeline.target])
    if found != num_rows:
        raise DataError(
            f"{pipeline.source} {split}: {num_rows} examples are declared, {found} are there"
        )
    _check_target(pipeline, split, table[pipeline.target])
    return Rows(num_rows, fields, pipeline.target, table=table)


def _stored(pipeline: Pipeline, example: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    raw = {name: example[name] for name in pipeline.raw}
    if pipeline.store is not None:
        raw = pipeline.store(raw)
    return {**raw, pipeline.target: example[pipeline.target]}


def _table(examples: tf.data.Dataset, num_rows: int) -> dict[str, np.ndarray]:
    """All examples as one array per field, filled in place: no second copy at the peak."""
    table, filled = None, 0
    try:
        for batch in examples.batch(1024).prefetch(2).as_numpy_iterator():
            if table is None:
                table = {k: np.empty((num_rows, *v.shape[1:]), v.dtype) for k, v in batch.items()}
            size = len(next(iter(batch.values())))
            for name, column in batch.items():
                table[name][filled : filled + size] = column
            filled += size
    except (tf.errors.OpError, ValueError) as error:
        raise DataError(f"stored examples cannot be read: {_first_line(error)}") from error
    if table is None:
        raise DataError("the split is empty")
    return {name: column[:filled] for name, column in table.items()}


def _reader(pipeline: Pipeline, builder: tfds.core.DatasetBuilder, split: str):
    """Reads rows by number from array_record files; ValueError names the way to get them."""
    if builder.info.file_format != tfds.core.file_adapters.FileFormat.ARRAY_RECORD:
        raise DataError(
            f"{pipeline.source} {split} exceeds {RAM_BUDGET / 2**30:.0f} GiB and is stored as "
            f"{builder.info.file_format.value}: prepare it with file_format='array_record'"
        )
    source = builder.as_data_source(split=split)
    single = tf.function(lambda e: _stored(pipeline, e), reduce_retracing=True, autograph=False)

    def read(index: np.ndarray) -> dict[str, np.ndarray]:
        examples = [single(e) for e in source.__getitems__([int(i) for i in index])]
        return {name: np.stack([e[name].numpy() for e in examples]) for name in examples[0]}

    return read


def _check_target(pipeline: Pipeline, split: str, target: np.ndarray) -> None:
    num_classes = len(pipeline.class_names)
    if num_classes and not (np.issubdtype(target.dtype, np.integer)):
        raise DataError(f"{pipeline.source} {split}: labels are {target.dtype}, expected integers")
    wrong = np.flatnonzero((target < 0) | (target >= num_classes)) if num_classes else []
    if len(wrong):
        raise DataError(
            f"{pipeline.source} {split}: label {target[wrong[0]]} of example {wrong[0]} is not in "
            f"0..{num_classes - 1}"
        )


def data_dir_in_use(data_dir: str | None) -> pathlib.Path:
    """The folder that TFDS reads and writes for this `--data_dir`."""
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR
    return pathlib.Path(chosen).expanduser()


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
