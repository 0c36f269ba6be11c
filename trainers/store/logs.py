"""Reads a run's logs even if parts are damaged: metrics.jsonl and TensorBoard's files."""

import json
import mmap
import pathlib
import re
import struct
from typing import Any, NamedTuple

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

_LONGEST = 2**16  # bytes of a line of metrics.jsonl; ours have a few hundred
# A record of an event file: the length of its content, a checksum of that, the content, its
# checksum.
_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")
_HEAD = _LENGTH.size + _CHECKSUM.size
_SEARCHED = 2**22  # bytes after a damaged record that are searched for the next one
# The bytes of a record's length: less than 4 GiB, and not 0.
_START = re.compile(rb"(?s:(?=(?!\0{4}).{4}\0{4}))")


class Log(NamedTuple):
    """What could be read of a log."""

    entries: list[Any]
    damaged: int  # lines, or places in a file, that were left out


def lines(path: pathlib.Path) -> Log:
    """The lines of a metrics.jsonl as dictionaries: `step`, `epoch`, `split` and numbers.

    A last line without a line break was being written when its process died: it is not counted as
    damaged. A folder in place of the file is.
    """
    entries, damaged = [], 0
    if not path.is_file():
        return Log(entries, int(path.exists()))
    with open(path, "rb") as file:
        while text := file.readline(_LONGEST):
            line = _line(text)
            if line is not None:
                entries.append(line)
            elif text.endswith(b"\n") or file.peek(1):
                damaged += 1
    return Log(entries, damaged)


def events(path: pathlib.Path) -> Log:
    """The events of one of TensorBoard's files, serialized.

    TensorFlow's own reader is a hundred times faster, but stops at the first damaged record. An
    incomplete last record, which was being written, is not counted as damaged.
    """
    records: list[bytes] = []
    damaged = 0
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            records.append(record)
    except tf.errors.DataLossError:
        read = sum(_HEAD + len(record) + _CHECKSUM.size for record in records)
        more, damaged = _between_damage(path, read)
        records += more
    whole = [record for record in records if step_of(record) is not None]
    return Log(whole, damaged + len(records) - len(whole))


def step_of(record: bytes) -> int | None:
    """The step of a serialized event; None: it is not an event."""
    try:
        return Event.FromString(record).step
    except DecodeError:
        return None


def tags_of(record: bytes) -> list[str]:
    """The names of the values in a serialized event."""
    return [value.tag for value in Event.FromString(record).summary.value]


def _line(text: bytes) -> dict[str, Any] | None:
    """The entry in a line; None: it is not as a run writes it."""
    if not text.endswith(b"\n"):
        return None
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):  # ValueError: also bytes that are not UTF-8
        return None
    whole = isinstance(line, dict) and all(_is_whole(line.get(key)) for key in ("step", "epoch"))
    if not whole or line.get("split") not in ("train", "validation"):
        return None
    values = [value for key, value in line.items() if key != "split"]
    return line if all(isinstance(v, float) or _is_whole(v) for v in values) else None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _between_damage(path: pathlib.Path, position: int) -> Log:
    """The undamaged records of a file from a position on."""
    records, damaged = [], 0
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        while position + _HEAD <= len(content):
            length = _length_at(content, position)
            if length is None:
                damaged += 1
                position = _next(content, position + 1)
                continue
            start = position + _HEAD
            position = start + length + _CHECKSUM.size
            if position > len(content):
                break
            record = content[start : start + length]
            if _CHECKSUM.unpack_from(content, start + length)[0] == masked_crc32c(record):
                records.append(record)
            else:
                damaged += 1
    return Log(records, damaged)


def _length_at(content: mmap.mmap, position: int) -> int | None:
    """The length of the record that begins here; None: none does."""
    head = content[position : position + _HEAD]
    if len(head) < _HEAD or not any(head):
        return None
    length, checksum = head[: _LENGTH.size], head[_LENGTH.size :]
    if _CHECKSUM.unpack(checksum)[0] != masked_crc32c(length):
        return None
    return _LENGTH.unpack(length)[0]


def _next(content: mmap.mmap, start: int) -> int:
    """Where the next record begins; the end of the file: there is none nearby."""
    for candidate in _START.finditer(content, start, start + _SEARCHED):
        if _length_at(content, candidate.start()) is not None:
            return candidate.start()
    return len(content)
