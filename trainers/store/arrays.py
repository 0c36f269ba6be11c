"""Named arrays in a file: written whole, read as untrusted. No pickle, nothing to execute.

An array of texts (Python bytes, dtype object) is kept as two members: `<name>.bytes`, all texts
joined, and `<name>.ends`, where each ends, in the shape of the array.
"""

import itertools
import pathlib
import zipfile
from collections.abc import Mapping

import numpy as np

from trainers.store import files, untrusted

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_BYTES, _ENDS = ".bytes", ".ends"


def write(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes an .npz file whole or not at all, and syncs it to disk.

    Raises:
        OSError: disk full or not writable; an earlier file at `path` is unchanged.
        ValueError: a name has a backslash or "..", which `read` refuses.
    """
    members: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        array = np.asarray(array)
        members |= _joined(name, array) if array.dtype == object else {name: array}
    wrong = [name for name in members if untrusted.leads_out(name)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} cannot name an array: `read` would refuse the file")
    files.replace_whole(path, lambda file: np.savez(file, **members))


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file as `write` makes them.

    An untrusted file takes no more memory than a small multiple of its bytes: compressed members,
    and arrays that declare another size than they have, are refused before anything is allocated.

    Raises:
        ValueError: not such a file; the message says which member and why.
        OSError: it cannot be read.
    """
    arrays: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in untrusted.stored_members(archive):
                name = member.filename.removesuffix(".npy")
                if name == member.filename:
                    raise ValueError(f"{name!r} is not an array")
                arrays[name] = _array(archive, member)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from error
    for name in [key.removesuffix(_ENDS) for key in arrays if key.endswith(_ENDS)]:
        arrays[name] = _split(name, arrays.pop(name + _BYTES, None), arrays.pop(name + _ENDS))
    return arrays


def _joined(name: str, texts: np.ndarray) -> dict[str, np.ndarray]:
    listed = texts.ravel().tolist()
    if not all(isinstance(text, bytes) for text in listed):
        raise TypeError(f"{name!r} holds Python objects that are not bytes")
    ends = np.cumsum([len(text) for text in listed], dtype=np.int64)
    joined = np.frombuffer(b"".join(listed), np.uint8)
    return {name + _BYTES: joined, name + _ENDS: ends.reshape(texts.shape)}


def _split(name: str, joined: np.ndarray | None, ends: np.ndarray) -> np.ndarray:
    """Texts as an array of bytes objects, from their joined bytes."""
    if joined is None or joined.dtype != np.uint8 or joined.ndim != 1 or ends.dtype != np.int64:
        raise ValueError(f"{name!r} is not a list of texts")
    starts = np.concatenate([[0], ends.ravel()])
    if (starts[1:] < starts[:-1]).any() or starts[-1] != len(joined):
        raise ValueError(f"{name!r} has texts that do not fill its bytes")
    content, texts = joined.tobytes(), np.empty(ends.size, object)
    texts[:] = [content[i:j] for i, j in itertools.pairwise(starts)]
    return texts.reshape(ends.shape)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"{member.filename!r} has array format {version}")
        try:
            shape, in_columns, dtype = _HEADERS[version](file)
        except (ValueError, RecursionError, MemoryError) as error:
            reason = str(error)[:80] or type(error).__name__
            raise ValueError(f"{member.filename!r} has no header: {reason}") from error
        if dtype.hasobject:
            raise ValueError(f"{member.filename!r} holds Python objects, which only pickle reads")
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize  # cannot overflow
        if min(shape, default=0) < 0 or size != member.file_size - file.tell():
            raise ValueError(
                f"{member.filename!r}: header says {shape} {dtype}, but the data has another size"
            )
        content = bytearray(file.read())  # reading to the end checks the CRC
    return np.frombuffer(content, dtype).reshape(shape, order="F" if in_columns else "C")
