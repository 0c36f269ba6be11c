"""A cache of decoded photographs on disk, whose keys are hashes of the photographs' files.

A folder holds those of one `Kind`. A few hundred share a pair of files: `<name>.pixels` has their
pixels, one photograph after another; `<name>.npz`, which is written last, has the hash of each file
and a checksum of its pixels. Both appear complete, by a rename, so that what a process stored
before it died can be used.
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

PAIR_SIZE = 512  # photographs in a pair of files
LOCK = ".lock"  # name of the file that a process locks while it decodes
_NAME = ".decoded-images"
_FORMAT = 1
_MAX_BYTES = 8 * 2**30  # bytes that are kept besides those that the command uses
_log = logging.getLogger(__name__)


class Kind(NamedTuple):
    """What the pixels of a photograph depend on besides its file."""

    size: int  # pixels per side
    policy: str  # of steps/resizing.py
    dtype: str
    decoder: str  # what decodes and resizes, with its versions

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one photograph."""
        return (self.size, self.size, 3)

    @property
    def bytes(self) -> int:
        """The size of one photograph in bytes."""
        return 3 * self.size**2 * np.dtype(self.dtype).itemsize


class Photo(NamedTuple):
    """One decoded photograph."""

    digest: str  # of its file's content
    shape: tuple[int, int]  # height and width of the file's image
    pixels: np.ndarray  # (size, size, 3)


class _Pair(NamedTuple):
    """The photographs of a pair of files."""

    path: pathlib.Path  # of the .npz file
    pixels: np.ndarray  # (M, size, size, 3), memory-mapped
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
        """(size, size, 3); None: they are damaged, and their files are removed if permitted."""
        pair, row = self.positions[digest]
        pixels = self.pairs[pair].pixels[row]
        if zlib.crc32(pixels) != self.pairs[pair].checks[row]:
            _remove(self.pairs[pair].path)
            return None
        return pixels


def folder(cache: str, kind: Kind) -> pathlib.Path:
    """The folder of photographs of this kind; it need not exist.

    Args:
        cache: the folder to keep them in, if it is writable; else as in `caches.folder`.
    """
    version = hashlib.sha256(f"{_FORMAT} {kind.decoder}".encode()).hexdigest()[:8]
    name = f"{kind.size}-{kind.policy}-{kind.dtype}-{version}"
    return caches.folder(cache) / _NAME / name


def load(folder: pathlib.Path, kind: Kind) -> Stored:
    """The photographs in a folder; damaged pairs of files are removed, with a warning.

    Raises:
        OSError: the process has reached its limit of open files.
    """
    pairs, damaged = [], []
    with contextlib.suppress(OSError, ValueError):  # each pair that is mapped keeps a file open
        _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    for path in sorted(folder.glob("*.npz")):
        try:
            pairs.append(_opened(path, kind))
        except FileNotFoundError:
            if path.exists():  # else another process has removed it meanwhile
                damaged.append(path)
        except Exception as error:  # NumPy raises a dozen kinds for a damaged archive
            if system.is_exhausted(error):
                raise
            damaged.append(path)
    _drop(damaged)
    return _stored(kind, pairs)


def verified(stored: Stored, digests: Collection[str]) -> Stored:
    """`stored` without the pairs of files in which one of these photographs is damaged."""
    rows: dict[int, list[int]] = {}
    for pair, row in (stored.positions[digest] for digest in digests if digest in stored.positions):
        rows.setdefault(pair, []).append(row)

    def whole(pair: int) -> bool:
        _, pixels, _, _, checks = stored.pairs[pair]
        return all(zlib.crc32(pixels[row]) == checks[row] for row in rows[pair])

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        intact = pool.map(whole, rows)
        damaged = {pair for pair, ok in zip(rows, intact, strict=True) if not ok}
    if not damaged:
        return stored
    _drop([stored.pairs[pair].path for pair in sorted(damaged)])
    return _stored(stored.kind, [p for i, p in enumerate(stored.pairs) if i not in damaged])


def write(folder: pathlib.Path, photos: Sequence[Photo]) -> None:
    """Stores all of these photographs or none. OSError: the disk is full or cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid.uuid4().hex[:16]}.npz"
    pixels = [np.ascontiguousarray(photo.pixels) for photo in photos]
    arrays = {
        "digests": np.array([photo.digest for photo in photos], "S"),
        "shapes": np.array([photo.shape for photo in photos], np.int32),
        "checks": np.array([*map(zlib.crc32, pixels)], np.uint32),
    }
    try:
        _publish(path.with_suffix(".pixels"), lambda file: [file.write(p) for p in pixels])
        _publish(path, lambda file: np.savez(file, **arrays))
    except BaseException:
        path.with_suffix(".pixels").unlink(missing_ok=True)
        raise


def remove_remains(folder: pathlib.Path) -> None:
    """Removes the incomplete files of killed processes; the caller holds the folder's lock."""
    for path in folder.iterdir():
        incomplete = path.suffix == ".pixels" and not path.with_suffix(".npz").exists()
        if incomplete or path.suffix == ".tmp":
            with contextlib.suppress(OSError):  # another user's file: it stays and is not used
                path.unlink(missing_ok=True)


def keep_newest(folder: pathlib.Path, stored: Stored, digests: Iterable[str]) -> None:
    """Marks the pairs of files that hold these as new; removes the oldest others beyond 8 GiB.

    The others include those of other kinds, in the folders beside `folder`.
    """
    used = {stored.positions[digest][0] for digest in digests if digest in stored.positions}
    recent = {stored.pairs[pair].path for pair in used}
    with contextlib.suppress(OSError):  # another process removes them too, or it is not permitted
        for path in recent:
            os.utime(path)
        others = [path for path in folder.parent.glob("*/*.npz") if path not in recent]
        total = 0
        for path in sorted(others, key=lambda path: -path.stat().st_mtime):
            total += path.stat().st_size + path.with_suffix(".pixels").stat().st_size
            if total > _MAX_BYTES:
                lock = path.parent / LOCK
                with locks.if_free(lock) as free:  # else a process may still have to map its files
                    if free or not lock.exists():
                        _remove(path)


def _stored(kind: Kind, pairs: Sequence[_Pair]) -> Stored:
    positions = {
        digest: (i, row) for i, pair in enumerate(pairs) for row, digest in enumerate(pair.digests)
    }
    return Stored(kind, pairs, positions)


def _opened(path: pathlib.Path, kind: Kind) -> _Pair:
    """The photographs of a pair of files. ValueError and other errors: it is damaged."""
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
    """Removes a pair of files, if permitted; processes that have mapped it can still read it."""
    with contextlib.suppress(OSError):  # another user's: it is not used, but stays
        for file in (path, path.with_suffix(".pixels")):
            file.unlink(missing_ok=True)


def _publish(path: pathlib.Path, write: Callable[[BinaryIO], object]) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
