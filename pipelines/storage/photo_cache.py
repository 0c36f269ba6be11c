"""Decoded photographs on disk, found by the content of their files.

A folder holds those of one size. Some hundred are in one pair of files: `<name>.pixels` has their
pixels, one after the other; `<name>.npz` says whose they are, with a checksum of each, and is
written last. Both appear whole, by a rename, so that a process that dies leaves what it had stored.
"""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import logging
import os
import pathlib
import resource
import uuid
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np

from pipelines.storage import caches, locks, system

TOGETHER = 512  # photographs in a pair of files
LOCK = ".lock"  # name of the file that a process locks while it decodes
_NAME = ".decoded-images"
_FORMAT = 1
_MOST = 8 * 2**30  # bytes that are kept besides what a command uses
_log = logging.getLogger(__name__)


class Kind(NamedTuple):
    """What the pixels of a photograph depend on besides its file."""

    size: int  # pixels a side
    policy: str  # of steps/resizing.py
    dtype: str
    decoder: str  # what decodes and resizes, with its versions

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one photograph."""
        return (self.size, self.size, 3)

    @property
    def bytes(self) -> int:
        """Of one photograph."""
        return 3 * self.size**2 * np.dtype(self.dtype).itemsize


class Photo(NamedTuple):
    """One decoded photograph."""

    digest: str  # of its file's content
    shape: tuple[int, int]  # height and width of the file's image
    pixels: np.ndarray  # (size, size, 3)


class _Pair(NamedTuple):
    """The photographs of a pair of files."""

    path: pathlib.Path  # of the .npz file
    pixels: np.ndarray  # (M, size, size, 3), mapped
    digests: list[str]
    shapes: np.ndarray  # (M, 2)
    checks: np.ndarray  # (M,) uint32


@dataclasses.dataclass(frozen=True)
class Stored:
    """The photographs of a folder."""

    kind: Kind
    pairs: Sequence[_Pair] = ()
    positions: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)

    def shape(self, digest: str) -> tuple[int, int]:
        """Height and width of the file's image."""
        pair, row = self.positions[digest]
        height, width = self.pairs[pair].shapes[row].tolist()
        return height, width

    def pixels(self, digest: str) -> np.ndarray | None:
        """(size, size, 3); None: they are damaged. They are removed, if this user may."""
        pair, row = self.positions[digest]
        pixels = self.pairs[pair].pixels[row]
        if zlib.crc32(pixels) != self.pairs[pair].checks[row]:
            _remove(self.pairs[pair].path)
            return None
        return pixels


def folder(cache: str, kind: Kind) -> pathlib.Path:
    """The folder of such photographs, which need not exist.

    Args:
        cache: folder in which they are kept, if it can be written; else one of the user's own.
    """
    version = hashlib.sha256(f"{_FORMAT} {kind.decoder}".encode()).hexdigest()[:8]
    name = f"{kind.size}-{kind.policy}-{kind.dtype}-{version}"
    return caches.folder(cache) / _NAME / name


def load(folder: pathlib.Path, kind: Kind) -> Stored:
    """What is stored; pairs of files that do not fit together are removed, with a warning.

    Raises:
        OSError: the system does not let the process open so many files.
    """
    pairs, damaged = [], []
    with contextlib.suppress(OSError, ValueError):  # each pair that is mapped keeps a file open
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for path in sorted(folder.glob("*.npz")):
        try:
            pairs.append(_opened(path, kind))
        except FileNotFoundError:
            if path.exists():  # else another process has removed it meanwhile
                damaged.append(path)
        except Exception as error:  # NumPy's archives raise a dozen kinds
            if system.is_exhausted(error):
                raise
            damaged.append(path)
    _drop(damaged)
    return _stored(kind, pairs)


def verified(stored: Stored, digests: Collection[str]) -> Stored:
    """What is stored without pairs of files in which one of these photographs is damaged."""
    rows: dict[int, list[int]] = {}
    for pair, row in (stored.positions[digest] for digest in digests if digest in stored.positions):
        rows.setdefault(pair, []).append(row)

    def whole(pair: int) -> bool:
        _, pixels, _, _, checks = stored.pairs[pair]
        return all(zlib.crc32(pixels[row]) == checks[row] for row in rows[pair])

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        damaged = {pair for pair, fine in zip(rows, pool.map(whole, rows), strict=True) if not fine}
    if not damaged:
        return stored
    _drop([stored.pairs[pair].path for pair in sorted(damaged)])
    return _stored(stored.kind, [p for i, p in enumerate(stored.pairs) if i not in damaged])


def write(folder: pathlib.Path, photos: Sequence[Photo]) -> None:
    """Stores photographs, whole or not at all. OSError: the disk is full, or cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid.uuid4().hex[:16]}.npz"
    pixels = [np.ascontiguousarray(one.pixels) for one in photos]
    arrays = {
        "digests": np.array([one.digest for one in photos], "S"),
        "shapes": np.array([one.shape for one in photos], np.int32),
        "checks": np.array([*map(zlib.crc32, pixels)], np.uint32),
    }
    try:
        _publish(path.with_suffix(".pixels"), lambda file: [file.write(one) for one in pixels])
        _publish(path, lambda file: np.savez(file, **arrays))
    except BaseException:
        path.with_suffix(".pixels").unlink(missing_ok=True)
        raise


def remove_remains(folder: pathlib.Path) -> None:
    """Removes what a killed process had half written. For one that holds the folder's lock."""
    for path in folder.iterdir():
        half = path.suffix == ".pixels" and not path.with_suffix(".npz").exists()
        if half or path.suffix == ".tmp":
            with contextlib.suppress(OSError):  # another user's: it stays, and is not used
                path.unlink(missing_ok=True)


def keep_newest(folder: pathlib.Path, stored: Stored, digests: Iterable[str]) -> None:
    """Marks the pairs of files that hold these as new; removes the oldest others beyond 8 GiB.

    Of all sizes: those in other folders beside `folder` too.
    """
    used = {stored.positions[digest][0] for digest in digests if digest in stored.positions}
    mine = {stored.pairs[pair].path for pair in used}
    with contextlib.suppress(OSError):  # another process removes them too, or nobody may
        for path in mine:
            os.utime(path)
        others = [path for path in folder.parent.glob("*/*.npz") if path not in mine]
        total = 0
        for path in sorted(others, key=lambda path: -path.stat().st_mtime):
            total += path.stat().st_size + path.with_suffix(".pixels").stat().st_size
            if total > _MOST:
                lock = path.parent / LOCK
                with locks.if_free(lock) as free:  # else a process has yet to map what it stored
                    if free or not lock.exists():
                        _remove(path)


def _stored(kind: Kind, pairs: Sequence[_Pair]) -> Stored:
    positions = {
        digest: (i, row) for i, pair in enumerate(pairs) for row, digest in enumerate(pair.digests)
    }
    return Stored(kind, pairs, positions)


def _opened(path: pathlib.Path, kind: Kind) -> _Pair:
    """The photographs of a pair of files. ValueError and others: it is damaged."""
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
        digests, shapes, checks = (stored[name] for name in ("digests", "shapes", "checks"))
    pixels = path.with_suffix(".pixels")
    number = len(digests)
    if pixels.stat().st_size != number * kind.bytes or not number:
        raise ValueError(f"{pixels} has not the size of {number} photographs")
    if shapes.shape != (number, 2) or checks.shape != (number,):
        raise ValueError(f"{path} has other numbers of shapes and checksums")
    mapped = np.memmap(pixels, kind.dtype, "r", shape=(number, *kind.shape))
    return _Pair(path, mapped, [d.decode() for d in digests.tolist()], shapes, checks)


def _drop(damaged: Sequence[pathlib.Path]) -> None:
    if damaged:
        _log.warning(
            "%s and %d more files of decoded photographs are damaged: these photographs are "
            "decoded again",
            *(damaged[0].with_suffix(".pixels"), len(damaged) - 1),
        )
    for path in damaged:
        _remove(path)


def _remove(path: pathlib.Path) -> None:
    """Removes a pair of files, if it may; other processes that have mapped it can read on."""
    with contextlib.suppress(OSError):  # another user's: it is only not used
        for one in (path, path.with_suffix(".pixels")):
            one.unlink(missing_ok=True)


def _publish(path: pathlib.Path, write: Callable[[BinaryIO], object]) -> None:
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(aside, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(aside, path)
    finally:
        aside.unlink(missing_ok=True)
