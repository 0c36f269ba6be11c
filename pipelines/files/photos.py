"""Photographs as rows: all of one size, decoded once, in memory or on disk."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import logging
import os
import pathlib
from collections.abc import Collection, Mapping, MutableMapping, Sequence

import numpy as np

from pipelines.core import splits
from pipelines.core.pipeline import DataError, Rows
from pipelines.core.rows import RAM_BUDGET
from pipelines.files import decoding, photo
from pipelines.files.decoding import Files
from pipelines.files.shown import shown
from pipelines.files.table import Cut
from pipelines.steps import image
from pipelines.storage import content, photo_cache
from pipelines.storage.photo_cache import Kind, Stored
from pipelines.storage.progress import progress
from zoo.spec import Field

_log = logging.getLogger(__name__)
_SMALLEST = 2**22  # bytes of image files; fewer, about a second of decoding, are not stored
_HOW = {  # in words, by policy
    "squash": "resized",
    "crop": "cropped in the middle and resized",
    "pad": "resized and padded with black",
}
FIELD = "image"  # what a client of the exported model sends


@dataclasses.dataclass(frozen=True, eq=False)
class Photos:
    """The files that could be read, in order, and their pixels."""

    paths: Sequence[pathlib.Path]  # of the n files that could be read
    numbers: np.ndarray  # (n,) their indices among all files
    digests: Sequence[str]  # of their content
    shapes: np.ndarray  # (n, 2): height and width before resizing
    kind: Kind
    bad: Mapping[int, str]  # index of a skipped file -> the reason
    stored: Stored
    held: MutableMapping[str, np.ndarray]  # pixels that are not stored, by digest
    in_memory: bool  # whether all pixels fit in memory

    @functools.cached_property
    def digest(self) -> np.ndarray:
        """64 bits of each digest, the same as in `splits.digests`: (n,) int64."""
        return np.frombuffer(bytes.fromhex("".join(self.digests)), "<i8")[::2].astype(np.int64)

    @property
    def sizes(self) -> str:
        """The sizes of the images before and after resizing, in words."""
        areas = self.shapes.prod(axis=1)
        small, large = (self.shapes[i] for i in (areas.argmin(), areas.argmax()))
        side, how = self.kind.size, _HOW[self.kind.policy]
        return f"of {small[1]}x{small[0]} to {large[1]}x{large[0]} pixels, {how} to {side}x{side}"

    @property
    def skipped(self) -> list[str]:
        """A line about files that could not be read, if there are any."""
        if not self.bad:
            return []
        return [f"skipped, unreadable: {len(self.bad)}, such as {next(iter(self.bad.values()))}"]

    def take(self, index: np.ndarray) -> np.ndarray:
        """The pixels of the photographs at `index` (m,): (m, size, size, 3).

        Raises:
            DataError: stored pixels are damaged, and the file has changed.
        """
        taken = np.empty((len(index), *self.kind.shape), self.kind.dtype)
        for i, number in enumerate(index.tolist()):
            pixels = self.held.get(self.digests[number])
            if pixels is None:
                pixels = self.stored.pixels(self.digests[number])
            taken[i] = self._again(number) if pixels is None else pixels
        return taken

    def rows(self, index: np.ndarray, target: str, values: np.ndarray, field: Field) -> Rows:
        """Rows of the photographs at `index` (m,).

        Args:
            target: name of the target's column.
            values: the target (m, ...), as `field` describes it.
        """
        fields = {FIELD: Field(self.kind.shape, self.kind.dtype), target: field}
        result = Rows(len(index), fields, target)
        fit = len(index) * self.kind.bytes <= RAM_BUDGET  # an image may be in many rows
        if self.in_memory and fit:
            return result._replace(table={FIELD: self.take(index), target: values})
        described = [self.kind, *(self.digests[i] for i in index.tolist())]
        identity = hashlib.sha256(repr(described).encode() + values.tobytes()).hexdigest()

        def read(chosen: np.ndarray) -> dict[str, np.ndarray]:
            return {FIELD: self.take(index[chosen]), target: values[chosen]}

        return result._replace(read=read, identity=identity)

    def _again(self, number: int) -> np.ndarray:
        """Decodes a photograph again whose stored pixels are damaged."""
        path = self.paths[number]
        _log.warning("the stored pixels of %s are damaged: it is decoded again", shown(path))
        whole = photo.read(path)
        if content.digest_of(whole) != self.digests[number]:
            raise DataError(f"{shown(path)} has changed since the command began")
        pixels, _ = decoding.decode(whole, self.kind)
        self.held[self.digests[number]] = pixels
        return pixels


def read(
    paths: Sequence[pathlib.Path], size: int, policy: str, *, skip_bad: bool, cache: str = ""
) -> Photos:
    """All photographs of these files; those that are not stored yet are decoded, on all cores.

    A file with the same size, times and inode as in an earlier command is not opened.

    Args:
        size: pixels per side.
        policy: how to resize; see steps/resizing.py.
        skip_bad: leave out files that cannot be read.
        cache: folder in which photographs are stored, created if needed; if empty or not writable,
            a folder of this user in the system's temporary folder.

    Raises:
        DataError: a file cannot be read, unless `skip_bad`; or only some images are grey of 16
            bits.
        OSError: the photographs neither fit in memory nor can be stored.
    """
    kinds = [Kind(size, policy, dtype, decoding.decoder()) for dtype in ("uint8", "uint16")]
    # Not `os.path.abspath`, which drops `link/..`: another folder, where the link leads elsewhere.
    keys = [str(path.absolute()) for path in paths]
    folders = _folders(keys, kinds, cache)
    both = [Stored(kind) for kind in kinds]
    known: Mapping[str, str] = {}
    if folders:
        both = [photo_cache.load(f, kind) for f, kind in zip(folders, kinds, strict=True)]
        known = content.remembered(keys, str(folders[0].parent))
    digests = [known.get(key, "") for key in keys]
    wide = _are_wide(paths, *([digest in one.positions for digest in digests] for one in both))
    stored, kind = both[wide], kinds[wide]
    in_memory = len(paths) * kind.bytes <= RAM_BUDGET
    if in_memory:
        stored = photo_cache.verified(stored, set(digests))
    folder = folders[wide] if folders else None
    files = Files(paths, keys, kind, folder, skip_bad, in_memory)
    decoded = decoding.complete(files, digests, stored)
    if folder is not None:
        photo_cache.keep_newest(folder, decoded.stored, decoded.digests)
    return _made(files, decoded)


def by_split(
    digest: np.ndarray, split_of: Sequence[str], separate: Collection[str], cut: Cut
) -> dict[str, np.ndarray]:
    """The indices of each split's photographs: its own, or cut from train by content hash.

    Args:
        digest: (n,) int64 of their contents.
        split_of: split of each photograph; "train" where none is named.
        separate: which of validation and test have photographs of their own.
    """
    parts = np.array(split_of)
    own = {name: np.flatnonzero(parts == name) for name in separate}
    train = np.flatnonzero(parts == "train")
    if len(separate) == 2:
        return {"train": train, **own}
    rows = Rows(len(train), {"number": Field((), "int64")}, None, table={"number": train})
    of_train = splits.by_content(rows, digest[train], separate=separate, **cut._asdict())
    return own | {name: part.table["number"] for name, part in of_train.items()}


def bits(train: Rows) -> list[str]:
    """A line about how many bits the training images use, if they have 16."""
    largest = image.largest_value(train).get("largest")
    if largest is None:
        return []
    used = int(largest).bit_length()
    return [f"grey of 16 bits, of which {used} are used: 0..{int(largest)} is black..white"]


def _folders(keys: Sequence[str], kinds: Sequence[Kind], cache: str) -> list[pathlib.Path]:
    """The folder for photographs of each kind; empty: storing them is not worthwhile."""
    fit = len(keys) * kinds[0].bytes <= RAM_BUDGET
    sizes = [status[0] for key in keys if (status := content.status(key))]
    if fit and sum(size for size in sizes if size <= photo.LARGEST) < _SMALLEST:
        return []
    cache = os.path.expanduser(cache)
    if cache and "://" not in cache:
        with contextlib.suppress(OSError):  # a folder that cannot be written is replaced
            os.makedirs(cache, exist_ok=True)
    return [photo_cache.folder(cache, kind) for kind in kinds]


def _made(files: Files, decoded: decoding.Decoded) -> Photos:
    numbers = np.array([i for i, digest in enumerate(decoded.digests) if digest], np.int64)
    digests = [decoded.digests[i] for i in numbers.tolist()]
    shapes = [decoded.shapes.get(digest) or decoded.stored.shape(digest) for digest in digests]
    return Photos(
        paths=[files.paths[i] for i in numbers.tolist()],
        numbers=numbers,
        digests=digests,
        shapes=np.array(shapes).reshape(-1, 2),
        kind=files.kind,
        bad=decoded.bad,
        stored=decoded.stored,
        held=decoded.held,
        in_memory=files.in_memory,
    )


def _are_wide(paths: Sequence[pathlib.Path], narrow: Sequence[bool], wide: Sequence[bool]) -> bool:
    """Whether the images are grey of 16 bits.

    Args:
        narrow: which are known not to be.
        wide: which are known to be.

    Raises:
        DataError: some are, and some are not.
    """
    known = {i: wide[i] for i in range(len(paths)) if narrow[i] or wide[i]}
    unknown = [i for i in range(len(paths)) if i not in known]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(photo.is_wide, [paths[i] for i in unknown])
        looked = progress(results, len(unknown), "looking at images")
        known |= {i: w for i, w in zip(unknown, looked, strict=True) if w is not None}
    numbers = sorted(known)
    flags = np.array([known[i] for i in numbers], bool)
    if not flags.any() or flags.all():
        return bool(flags.any())
    rare = bool(flags.sum() * 2 <= len(flags))
    example = paths[numbers[int(np.flatnonzero(flags == rare)[0])]]
    grey, other = "grey of 16 bits", "8 bits or colour"
    few, many = (grey, other) if rare else (other, grey)
    raise DataError(
        f"{shown(example)} and {(flags == rare).sum() - 1} more have {few}, the others {many}: "
        "what is white in them is not known; save all with 8 bits, or all as grey of 16"
    )
