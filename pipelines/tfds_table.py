"""Any table of TFDS by name: --pipeline=tfds_table --dataset=titanic."""

import functools
import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from pipelines import DataError, Pipeline, Rows, Schema
from pipelines.core import splits
from pipelines.files import column_cells, columns, readings, table
from pipelines.files.columns import Column
from pipelines.files.readings import ColumnOptions, Reading
from pipelines.steps.columns import forms
from pipelines.storage import shards
from pipelines.storage.builders import ensure_prepared, find_builder

LIMITS = {"split_seed": (0, 2_147_483_648)}

_CHUNK = 1024  # examples decoded at a time
_WIDEST = 1000  # numbers in the longest vector that is read as columns


def pipeline(
    *,
    dataset: str,
    target: str = "",
    data_dir: str | None = None,
    task: str = "",
    ignore: str = "",
    missing: str = "",
    keep: str = "",
    split_seed: int = 0,
    validation: float = 0.1,
    test: float = 0.2,
) -> Pipeline:
    """Numbers, booleans, classes, texts and vectors of numbers, also nested ones, as columns.

    The exported model takes classes by name. TFDS's own validation and test splits are used if it
    has them; a missing one is cut from the training split by content hash.

    Args:
        dataset: TFDS's name, with a configuration and version if needed: "penguins/processed".
        target: the column to predict; empty: TFDS's supervised target, or the only class column.
        data_dir: TFDS's data folder.
        task: regression, binary, classification or multi_label; empty: inferred.
        ignore: columns to leave out, separated by commas.
        missing: cells that mean missing: "NA|-999" in every column, "age:-999" in one, "age:" none
            in it; empty: inferred from the cells.
        keep: columns to use although they look like row numbers, separated by commas.
        split_seed: seed of the split by content hash.
        validation: fraction of the rows, like `test`.

    Raises:
        DataError: TFDS has no such data set, it is not a table, or it has no such column.
    """

    def read() -> tuple[dict[str, Rows], Schema]:
        builder = ensure_prepared(find_builder(dataset, data_dir))
        whole, chosen = _whole(builder, dataset, target, ignore, missing)
        options = table.Chosen(chosen, task, keep)
        rows, schema = table.read(whole, options, table.Cut(split_seed, validation, test))
        return rows, schema._replace(source=whole.source)

    return Pipeline(name="tfds_table", source=dataset, dataset=dataset, read=read, forms=forms())


def _whole(
    builder: Any, dataset: str, target: str, ignore: str, missing: str
) -> tuple[table.Table, str]:
    """All rows of all splits as columns, and the target."""
    info = builder.info
    features = _flat(info.features)
    names = [name for path in features for name in _names(path, features[path])]
    unused = table.named(names, ignore, "ignore")
    target = target or _supervised(dataset, info, features)
    targets = table.named(names, target, "target")
    options = readings.parse_options(names, targets=targets, missing=missing)
    separate = [name for name in ("validation", "test") if name in info.splits]
    if "train" not in info.splits:
        raise DataError(f"{dataset} has no train split; it has {sorted(info.splits)}")
    examples = {name: _read(builder, name, list(features)) for name in ("train", *separate)}
    numbers = {name: len(next(iter(read.values()))) for name, read in examples.items()}
    used = [
        column
        for path, feature in features.items()
        for column in _columns(
            path, feature, np.concatenate([e[path] for e in examples.values()]), options
        )
        if column.name not in unused
    ]
    whole = table.Table(
        source=":".join(info.full_name.rsplit("/", 1)),
        columns=used,
        split_of=[name for name, number in numbers.items() for _ in range(number)],
        separate=separate,
        digest=splits.digests(
            repr(row).encode() for row in zip(*(c.values.tolist() for c in used), strict=True)
        ),
    )
    return whole, target


def _flat(features: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Path, such as "features/age", -> feature, of all features that can be columns."""
    flat: dict[str, Any] = {}
    for name, feature in features.items():
        if isinstance(feature, tfds.features.FeaturesDict):
            flat |= _flat(feature, f"{before}{name}/")
        elif _width(feature) is not None:
            flat[f"{before}{name}"] = feature
    return flat


def _width(feature: Any) -> int | None:
    """Length of a vector; 0 for a single value, None for what cannot be columns."""
    if isinstance(feature, (tfds.features.Sequence, tfds.features.Image)):
        return None
    shape, dtype = tuple(feature.shape), np.dtype(feature.np_dtype)
    if shape == ():
        return 0
    if len(shape) == 1 and shape[0] is not None and shape[0] <= _WIDEST and dtype.kind in "iufb":
        return shape[0]
    return None


def _names(path: str, feature: Any) -> list[str]:
    """The columns of a feature: the last part of its path, numbered for a vector."""
    width, name = _width(feature), path.rpartition("/")[2]
    return [f"{name}_{i}" for i in range(width)] if width else [name]


def _supervised(dataset: str, info: tfds.core.DatasetInfo, features: Mapping[str, Any]) -> str:
    single = {path.rpartition("/")[2]: f for path, f in features.items() if _width(f) == 0}
    for key in reversed(info.supervised_keys or ()):  # some sets have input and target swapped
        if key in single:
            return key
    classes = [name for name, feature in single.items() if getattr(feature, "names", None)]
    if len(classes) == 1:
        return classes[0]
    raise DataError(f"{dataset} declares no target: choose --target= one of {', '.join(single)}")


def _read(builder: tfds.core.DatasetBuilder, name: str, paths: list[str]) -> dict[str, np.ndarray]:
    """The values of all examples of a split, by path."""
    parts: dict[str, list[np.ndarray]] = {path: [] for path in paths}

    def by_path(example: Mapping[str, Any]) -> dict[str, Any]:
        """Leaves out features that are not columns: their sizes may differ."""
        value = lambda path: functools.reduce(operator.getitem, path.split("/"), example)
        return {path: value(path) for path in paths}

    shards.check_files(builder, name)
    with shards.named(builder, name):
        examples = builder.as_dataset(split=name).map(by_path)
        for batch in examples.batch(_CHUNK).as_numpy_iterator():
            for path in paths:
                parts[path].append(batch[path])
    return {path: np.concatenate(values) for path, values in parts.items()}


def _columns(
    path: str, feature: Any, values: np.ndarray, options: Mapping[str, ColumnOptions]
) -> list:
    names, classes = _names(path, feature), tuple(getattr(feature, "names", None) or ())
    if classes:
        known = np.array([name.encode() for name in classes] + [b""], object)  # -1: unknown
        texts, reading = known[values], Reading("text", words=(b"",))
        distinct = len(set(texts.tolist()) - {b""})
        return [Column(names[0], "text", texts, distinct, {}, classes=classes, reading=reading)]
    if values.dtype == object:
        texts = (value.strip().decode("utf-8", "surrogateescape") for value in values.tolist())
        cells = column_cells.of(texts)
        return [columns.of_texts(names[0], cells, lambda row: f"row {row}", options[names[0]])]
    matrix = values.astype(np.float64).reshape(len(values), -1)
    return [
        columns.number_column(name, column, {}, options[name])
        for name, column in zip(names, matrix.T, strict=True)
    ]
