"""Which file of a prepared TFDS set is damaged: each is read alone, once reading all failed."""

import contextlib
import json
import mmap
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


def check_files(builder: tfds.core.DatasetBuilder, split: str) -> None:
    """Counts the examples in every file of a split, without decoding them.

    TFDS itself takes no notice of a file that has more than is declared.

    Raises:
        DataError: a file is not there, cut short, or has another number than is declared.
    """
    for file in builder.info.splits[split].file_instructions:
        fault = _count_fault(builder, file)
        if fault:
            what = f"{builder.info.full_name} {split} cannot be read"
            raise DataError(f"{what}: {_told(file, _fault(builder, file) or fault)}")


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
    return _declared(file, number)


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
            return _declared(file, _num_tfrecords(pathlib.Path(file.filename)))
        if builder.info.file_format == _ARRAY_RECORD:
            return _declared(file, _array_records(file.filename).num_records())
    except _FAULTS as error:
        return first_line(error)
    return ""


def _declared(file, number: int) -> str:
    if number == file.examples_in_shard:
        return ""
    return f"{file.examples_in_shard} examples are declared, {number} are there"


def _num_tfrecords(path: pathlib.Path) -> int:
    """Each is a length of 8 bytes, its CRC of 4, so many bytes, and their CRC of 4."""
    size, at, number = path.stat().st_size, 0, 0
    if not size:
        return 0
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        while at + 8 <= size:
            at += 16 + int.from_bytes(content[at : at + 8], "little")
            number += 1
    if at != size:
        raise ValueError(f"cut short within example {number - (at > size)}")
    return number


def _array_records(path: str):
    from array_record.python import array_record_module

    return array_record_module.ArrayRecordReader(path, "")
