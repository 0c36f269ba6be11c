"""Decodes the photographs that are not stored yet, and stores them for the next command."""

import concurrent.futures
import contextlib
import errno
import functools
import logging
import os
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import PIL
import tensorflow as tf
from PIL import features

from pipelines.core.pipeline import DataError
from pipelines.files import photo
from pipelines.files.shown import shown
from pipelines.steps import resizing
from pipelines.storage import content, locks, photo_cache, system
from pipelines.storage.photo_cache import Kind, Photo, Stored
from pipelines.storage.progress import progress

_log = logging.getLogger(__name__)
_CHUNK = 1024  # files submitted to the thread pool at a time
_LONGEST = 30.0  # seconds between writes: the most work that a killed process loses
_TRIES = 3  # times to decode, if stored photographs are removed meanwhile


class Files(NamedTuple):
    """Files of photographs, and how they are read."""

    paths: Sequence[pathlib.Path]
    keys: Sequence[str]  # absolute paths
    kind: Kind
    folder: pathlib.Path | None  # where they are stored; None: nowhere
    skip_bad: bool
    in_memory: bool  # whether all photographs fit in memory


class Decoded(NamedTuple):
    """All photographs of some files."""

    digests: list[str]  # of each file's content; empty where it could not be read
    bad: dict[int, str]  # index of a skipped file -> the reason
    stored: Stored
    held: dict[str, np.ndarray]  # pixels that are not stored, by digest
    shapes: dict[str, tuple[int, int]]  # of these: (height, width) before resizing


class _Read(NamedTuple):
    """The result of reading one file."""

    digest: str
    status: list[int]  # of the file; empty: it may yet change without a new modification time
    photo: Photo | None  # None: it is stored already


def decoder() -> str:
    """The libraries that decode and resize photographs, with their versions."""
    jpeg = features.version("libjpeg_turbo") or features.version("jpg")
    return f"{photo.DECODER}, Pillow {PIL.__version__}, JPEG {jpeg}, TensorFlow {tf.__version__}"


def decode(whole: bytes, kind: Kind) -> tuple[np.ndarray, tuple[int, int]]:
    """The resized pixels (size, size, 3) of a file's content; (height, width) before resizing.

    Raises:
        DataError: as `photo.decode`.
    """
    pixels, shape = photo.decode_to_shrink(whole, kind.size, kind.dtype)
    with tf.device("CPU:0"):
        return resizing.square(tf.constant(pixels), kind.size, kind.policy).numpy(), shape


def complete(files: Files, digests: Sequence[str], stored: Stored) -> Decoded:
    """All photographs: those that are stored, and the others, decoded on all cores and stored.

    Args:
        digests: of each file's content, where known; else empty.
        stored: what is stored so far.

    Raises:
        DataError: a file cannot be read, and such files are not skipped.
        OSError: the disk is full, and the photographs do not fit in memory; or what is stored is
            removed again and again.
    """
    result = Decoded([*digests], {}, stored, {}, {})
    if all(digest in stored.positions for digest in digests):
        return result
    with _alone(files) as held:
        if files.folder is None:
            _decode_missing(files, result)
            return result
        if held:
            photo_cache.remove_remains(files.folder)
        result = _reload(files, result)
        for again in range(_TRIES):
            if again:
                _log.warning("decoded photographs are gone from %s: decoding again", files.folder)
            _decode_missing(files, result)
            result = _reload(files, result)  # before others may remove it
            if not _are_gone(result):
                return result
    raise OSError(
        errno.ENOENT, "decoded photographs are removed while others are read", str(files.folder)
    )


def _reload(files: Files, decoded: Decoded) -> Decoded:
    """`decoded` with what is stored now, and the shapes of photographs that are not stored."""
    shapes = {digest: shape for digest, shape in decoded.shapes.items() if digest in decoded.held}
    stored = photo_cache.load(files.folder, files.kind)
    if files.in_memory:  # otherwise each is verified when it is used
        stored = photo_cache.verified(stored, {*decoded.digests})
    return decoded._replace(stored=stored, shapes=shapes)


def _are_gone(decoded: Decoded) -> bool:
    """Whether something has been removed since it was stored: the user may do so at any time."""
    return any(
        digest and digest not in decoded.stored.positions and digest not in decoded.held
        for digest in decoded.digests
    )


@contextlib.contextmanager
def _alone(files: Files) -> Iterator[bool]:
    """Holds the folder's lock if possible; yields whether it does."""
    with contextlib.ExitStack() as stack:
        held = False
        if files.folder is not None:
            with contextlib.suppress(OSError):  # without a lock, others may do the same work
                files.folder.mkdir(parents=True, exist_ok=True)
                what = f"photographs of {files.kind.size} pixels"
                held = stack.enter_context(
                    locks.alone(files.folder / photo_cache.LOCK, f"{what} in {files.folder}")
                )
        yield held


def _decode_missing(files: Files, decoded: Decoded) -> None:
    """Adds missing photographs to `decoded`; an interruption stores what is decoded so far."""
    missing = [
        i
        for i, digest in enumerate(decoded.digests)
        if i not in decoded.bad
        and digest not in decoded.stored.positions
        and digest not in decoded.held
    ]
    read = functools.partial(_read, files=files, stored=decoded.stored)

    def results() -> Iterator[_Read | str]:
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for first in range(0, len(missing), _CHUNK):
                some = [files.paths[i] for i in missing[first : first + _CHUNK]]
                yield from pool.map(read, some)

    storing, settled = _Storing(files, decoded.held), {}
    each = progress(results(), len(missing), "reading images")
    try:
        for i, result in zip(missing, each, strict=True):
            if isinstance(result, str):
                decoded.bad[i], decoded.digests[i] = result, ""
                continue
            decoded.digests[i] = result.digest
            if result.status:
                settled[files.keys[i]] = (result.status, result.digest)
            if result.photo is not None and result.digest not in decoded.shapes:
                decoded.shapes[result.digest] = result.photo.shape
                storing.add(result.photo)
        storing.flush()
    except BaseException:
        with contextlib.suppress(OSError):
            storing.flush()
        raise
    finally:
        if files.folder is not None:
            content.remember(settled, str(files.folder.parent))


class _Storing:
    """Stores photographs in batches of some hundred; keeps in memory what cannot be stored."""

    def __init__(self, files: Files, held: dict[str, np.ndarray]) -> None:
        self._files, self._held, self._waiting = files, held, []
        self._folder = files.folder
        self._flushed = time.monotonic()

    def add(self, one: Photo) -> None:
        """Adds one photograph. OSError: as `flush`."""
        if self._folder is None:
            self._held[one.digest] = one.pixels
            return
        self._waiting.append(one)
        late = time.monotonic() - self._flushed > _LONGEST
        if late or len(self._waiting) == photo_cache.PAIR_SIZE:
            self.flush()

    def flush(self) -> None:
        """Stores the waiting ones. OSError: it fails, and not all photographs fit in memory."""
        if not self._waiting:
            return
        waiting, self._waiting, self._flushed = self._waiting, [], time.monotonic()
        try:
            photo_cache.write(self._folder, waiting)
        except OSError as error:
            if not self._files.in_memory:
                raise
            why = system.described(error) or error.strerror
            _log.warning("decoded photographs are not kept for the next command: %s", why)
            self._folder = None
            self._held.update((one.digest, one.pixels) for one in waiting)


def _read(path: pathlib.Path, files: Files, stored: Stored) -> _Read | str:
    """The content of a file; or the reason why it cannot be read, if such files are skipped."""
    try:
        before, began = content.status(str(path)), time.time_ns()
        whole = photo.read(path)
        digest = content.digest_of(whole)
        same = before and content.is_settled(before, began) and content.status(str(path)) == before
        status = before if same else []
        if digest in stored.positions:
            return _Read(digest, status, None)
        pixels, shape = decode(whole, files.kind)
        return _Read(digest, status, Photo(digest, shape, pixels))
    except (DataError, OSError) as error:
        if system.is_exhausted(error):  # out of memory or open files: the file may be intact
            raise
        if not files.skip_bad:
            raise DataError(f"{shown(path)} cannot be read: {error}") from error
        return f"{shown(path)}: {error}"
