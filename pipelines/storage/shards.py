"""Finds the damaged file of a prepared TFDS data set by reading each file separately."""

import contextlib
import hashlib
import json
import mmap
import pathlib
import re
from collections.abc import Iterator

import tensorflow as tf
import tensorflow_datasets as tfds

from pipelines.core.pipeline import DataError
from pipelines.storage import content, system

_TFRECORD = tfds.core.file_adapters.FileFormat.TFRECORD
_ARRAY_RECORD = tfds.core.file_adapters.FileFormat.ARRAY_RECORD
# Errors of reading a damaged file: TensorFlow's, array_record's and those of decoding an example.
_FAULTS = (tf.errors.OpError, RuntimeError, ValueError, IndexError, KeyError, OSError)


@contextlib.contextmanager
def named(builder: tfds.core.DatasetBuilder, split: str) -> Iterator[None]:
    """A context that turns errors of reading a split into a DataError naming the damaged file.

    Args:
        split: a TFDS split name, such as "train[:90%]".
    """
    try:
        yield
    except DataError:
        raise
    except _FAULTS as error:
        if system.is_exhausted(error):  # the files may be intact
            raise
        what = f"{builder.info.full_name} {split} cannot be read"
        for file in builder.info.splits[split].file_instructions:
            fault = _fault(builder, file)
            if fault:
                raise DataError(f"{what}: {_message(file, fault)}") from error
        raise DataError(f"{what}: {first_line(error)}") from error


def check_files(builder: tfds.core.DatasetBuilder, split: str) -> None:
    """Counts the examples in every file of a split, without decoding them.

    TFDS itself does not notice a file with more examples than declared.

    Raises:
        DataError: a file is missing, truncated, or has another number of examples than declared.
    """
    for file in builder.info.splits[split].file_instructions:
        fault = _count_fault(builder, file)
        if fault:
            what = f"{builder.info.full_name} {split} cannot be read"
            raise DataError(f"{what}: {_message(file, _fault(builder, file) or fault)}")


def identity(builder: tfds.core.DatasetBuilder, split: str) -> str:
    """A short hash of the content of a split's files.

    It covers each file's name, content and examples in the split, and TFDS's dataset_info.json.
    """
    folder = pathlib.Path(builder.data_dir)
    digest = hashlib.sha256((folder / "dataset_info.json").read_bytes())
    files = builder.info.splits[split].file_instructions
    paths = [pathlib.Path(file.filename) for file in files]
    contents = content.digests(paths, str(folder))
    for file, path, hashed in zip(files, paths, contents, strict=True):
        parts = (path.name, hashed, file.skip, file.take, file.examples_in_shard)
        digest.update(repr(parts).encode())
    return digest.hexdigest()[:16]


def damaged_descriptions(folder: pathlib.Path) -> list[str]:
    """The dataset_info.json files in a folder, at any depth, that cannot be parsed."""
    damaged = []
    for path in sorted(folder.rglob("dataset_info.json")):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError):
            damaged.append(str(path))
    return damaged


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without the names of TensorFlow's nodes."""
    text = re.sub(r"\{\{.*?\}\} ?|\[Op:.*", "", str(error)).strip()
    return (text or type(error).__name__).splitlines()[0].strip()


def _message(file, fault: str) -> str:
    return f"{file.filename}: {fault}; prepare the set again"


def _fault(builder: tfds.core.DatasetBuilder, file) -> str:
    """What is wrong with one file; empty if nothing is, or if its format cannot be checked."""
    if not pathlib.Path(file.filename).exists():
        return "no such file"
    if builder.info.file_format == _TFRECORD:
        return _tfrecord_fault(builder, file)
    fault = _count_fault(builder, file)
    if fault or builder.info.file_format != _ARRAY_RECORD:
        return fault
    return _array_record_fault(builder, file)


def _tfrecord_fault(builder: tfds.core.DatasetBuilder, file) -> str:
    number, decode = 0, builder.info.features.deserialize_example
    try:
        for _ in tf.data.TFRecordDataset(file.filename).map(decode):
            number += 1
    except _FAULTS as error:
        return f"example {number}: {first_line(error)}"
    return _count_message(file, number)


def _array_record_fault(builder: tfds.core.DatasetBuilder, file) -> str:
    reader, decode = _array_records(file.filename), builder.info.features.deserialize_example_np
    for number in range(file.examples_in_shard):
        try:
            decode(reader.read([number])[0])
        except _FAULTS as error:
            return f"example {number}: {first_line(error)}"
    return ""


def _count_fault(builder: tfds.core.DatasetBuilder, file) -> str:
    try:
        if builder.info.file_format == _TFRECORD:
            return _count_message(file, _num_tfrecords(pathlib.Path(file.filename)))
        if builder.info.file_format == _ARRAY_RECORD:
            return _count_message(file, _array_records(file.filename).num_records())
    except _FAULTS as error:
        return first_line(error)
    return ""


def _count_message(file, number: int) -> str:
    if number == file.examples_in_shard:
        return ""
    return f"expected {file.examples_in_shard} examples, received {number}"


def _num_tfrecords(path: pathlib.Path) -> int:
    """Number of records: each is a length (8 bytes), its CRC (4), the data and its CRC (4)."""
    size, position, number = path.stat().st_size, 0, 0
    if not size:
        return 0
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        while position + 8 <= size:
            position += 16 + int.from_bytes(content[position : position + 8], "little")
            number += 1
    if position != size:
        raise ValueError(f"truncated within example {number - (position > size)}")
    return number


def _array_records(path: str):
    from array_record.python import array_record_module

    return array_record_module.ArrayRecordReader(path, "")
