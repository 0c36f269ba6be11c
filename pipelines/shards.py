"""Which file of a prepared TFDS set is damaged: each is read alone, once reading all failed."""

import contextlib
import json
import pathlib
import re
from collections.abc import Iterator

import tensorflow as tf
import tensorflow_datasets as tfds

from pipelines import DataError

_TFRECORD = tfds.core.file_adapters.FileFormat.TFRECORD
_ARRAY_RECORD = tfds.core.file_adapters.FileFormat.ARRAY_RECORD
# What reading a damaged file raises: TensorFlow, array_record and the decoding of an example.
_FAULTS = (tf.errors.OpError, RuntimeError, ValueError, IndexError, KeyError, OSError)


@contextlib.contextmanager
def named(builder: tfds.core.DatasetBuilder, split: str) -> Iterator[None]:
    """Reading a split within this block raises a DataError that names the damaged file.

    Args:
        split: as TFDS has it: "train[:90%]".
    """
    try:
        yield
    except (DataError, tf.errors.ResourceExhaustedError):
        raise
    except _FAULTS as error:
        what = f"{builder.info.full_name} {split} cannot be read"
        for file in builder.info.splits[split].file_instructions:
            fault = _fault(builder, file)
            if fault:
                raise DataError(f"{what}: {_told(file, fault)}") from error
        raise DataError(f"{what}: {first_line(error)}") from error


def check_array_records(builder: tfds.core.DatasetBuilder, split: str) -> None:
    """Opens every array_record file of a split for its number of examples, without reading them.

    Raises:
        DataError: a file is not there, cut short, or has another number than is declared.
    """
    for file in builder.info.splits[split].file_instructions:
        fault = _count_fault(file)
        if fault:
            raise DataError(
                f"{builder.info.full_name} {split} cannot be read: {_told(file, fault)}"
            )


def damaged_descriptions(folder: pathlib.Path) -> list[str]:
    """The files below a set's folder that TFDS wrote as JSON and that are none."""
    damaged = []
    for path in sorted(folder.rglob("dataset_info.json")):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError):
            damaged.append(str(path))
    return damaged


def first_line(error: BaseException) -> str:
    """What an error says, in one line, without the names of TensorFlow's nodes."""
    text = re.sub(r"\{\{.*?\}\} ?|\[Op:.*", "", str(error)).strip()
    return (text or type(error).__name__).splitlines()[0].strip()


def _told(file, fault: str) -> str:
    return f"{file.filename}: {fault}; prepare the set anew"


def _fault(builder: tfds.core.DatasetBuilder, file) -> str:
    """What is wrong with one file; empty: nothing, or it is of a format that is not looked into."""
    if builder.info.file_format == _ARRAY_RECORD:
        return _count_fault(file) or _array_record_fault(builder, file)
    return _tfrecord_fault(builder, file) if builder.info.file_format == _TFRECORD else ""


def _tfrecord_fault(builder: tfds.core.DatasetBuilder, file) -> str:
    number, decode = 0, builder.info.features.deserialize_example
    try:
        for _ in tf.data.TFRecordDataset(file.filename).map(decode):
            number += 1
    except tf.errors.NotFoundError:
        return "no such file"
    except _FAULTS as error:
        return f"example {number}: {first_line(error)}"
    return _declared(file, number)


def _array_record_fault(builder: tfds.core.DatasetBuilder, file) -> str:
    reader, decode = _array_records(file.filename), builder.info.features.deserialize_example_np
    for number in range(file.examples_in_shard):
        try:
            decode(reader.read([number])[0])
        except _FAULTS as error:
            return f"example {number}: {first_line(error)}"
    return ""


def _count_fault(file) -> str:
    if not pathlib.Path(file.filename).exists():
        return "no such file"
    try:
        return _declared(file, _array_records(file.filename).num_records())
    except _FAULTS as error:
        return first_line(error)


def _declared(file, number: int) -> str:
    if number == file.examples_in_shard:
        return ""
    return f"{file.examples_in_shard} examples are declared, {number} are there"


def _array_records(path: str):
    from array_record.python import array_record_module

    return array_record_module.ArrayRecordReader(path, "")
