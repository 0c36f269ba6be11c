"""Named arrays in a file: written whole, read without trust. No pickle, nothing to execute."""

import os
import pathlib
import zipfile
from collections.abc import Mapping

import numpy as np

from trainers.store import untrusted

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def write(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a new .npz file and waits until the disk has it.

    Raises:
        OSError: disk full or not writable; what was written of the file stays.
    """
    with open(path, "wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file as `write` makes them.

    A file from a stranger costs no more memory than twice its bytes: compressed members, and arrays
    that declare another size than they have, are refused before anything is allocated.

    Raises:
        ValueError: not such a file; it says which member and why.
        OSError: it cannot be read.
    """
    found: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in untrusted.stored_members(archive):
                name = member.filename.removesuffix(".npy")
                if name == member.filename:
                    raise ValueError(f"{name!r} is no array")
                found[name] = _array(archive, member)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from error
    return found


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"{member.filename!r} has array format {version}")
        try:
            shape, in_columns, dtype = _HEADERS[version](file)
        except (ValueError, RecursionError, MemoryError) as error:
            said = str(error)[:80] or type(error).__name__
            raise ValueError(f"{member.filename!r} has no header: {said}") from error
        if dtype.hasobject:
            raise ValueError(f"{member.filename!r} holds Python objects, which only pickle reads")
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize  # of Python's own integers
        if min(shape, default=0) < 0 or size != member.file_size - file.tell():
            raise ValueError(f"{member.filename!r} declares {shape} {dtype}, which it has not")
        content = bytearray(file.read())  # the end of a member is checked against its CRC
    return np.frombuffer(content, dtype).reshape(shape, order="F" if in_columns else "C")
