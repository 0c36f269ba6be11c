"""Your own images: --pipeline=image_folder --data_files=photos, with a folder for each class."""

import collections
import concurrent.futures
import logging
import math
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipelines import SPLITS, DataError, Form, Pipeline, Rows, Schema, classes
from pipelines.core import splits
from pipelines.core.rows import RAM_BUDGET
from pipelines.files import class_folders, photo
from pipelines.files.shown import shown
from pipelines.files.table_file import NAME, quoted
from pipelines.steps import image
from pipelines.storage import system
from pipelines.storage.progress import progress
from zoo.spec import Field

_log = logging.getLogger(__name__)
LIMITS = {"image_size": (1, None), "padding": (0, None), "split_seed": (0, 2_147_483_648)}
_CHUNK = 1024  # files in work at a time
_SHOWN = 20  # classes named in the summary


class Images(NamedTuple):
    """All images of a folder, decoded; arrays of N in the order of the files."""

    files: tuple[class_folders.File, ...]
    pixels: np.ndarray  # (N, size, size, 3) uint8, or uint16 where all are 16-bit grey
    shapes: np.ndarray  # (N, 2): height and width before resizing
    digest: np.ndarray  # (N,) int64 of the files' bytes
    bad: tuple[str, ...]  # files that were skipped, with the reason


def pipeline(
    *,
    data_files: str,
    image_size: int = 64,
    split_seed: int = 0,
    validation: float = 0.1,
    test: float = 0.2,
    padding: int = 4,
    flip: bool = True,
    skip_bad: bool = False,
) -> Pipeline:
    """A folder for each class, or train/, validation/ and test/ with such folders in them.

    Images are resized to a square whatever their aspect ratio, in training and in the exported
    model, so that nothing at the edges is lost. A split without a folder of its own is cut from
    train by content, so that adding files does not move the others.

    Args:
        data_files: the folder, or one for each split where their names do not say it:
            "train=photos/Training,test=photos/Testing"; "train=photos" takes its folders as
            classes, whatever they are called.
        image_size: pixels per side.
        split_seed: another seed gives another split by content.
        validation: fraction of the images, as is `test`.
        padding: largest shift of a training image, in pixels.
        flip: mirror half of the training images.
        skip_bad: skip files that cannot be read.

    Raises:
        DataError: a shift as large as the images; (when it is read) no such folder, no classes in
            it, a class without images, or a damaged image.
    """
    if not 0 <= padding < image_size:
        raise DataError(f"padding={padding} must be less than image_size={image_size}, 0 or more")

    def scaled(part):
        largest = int(part.get("largest", 255))
        return lambda raw: image.scale({"image": image.resize(raw["image"], image_size)}, largest)

    def read() -> tuple[dict[str, Rows], Schema]:
        folder = class_folders.scan(data_files)
        images = read_all(folder, image_size, skip_bad=skip_bad)
        rows = cut(folder, images, seed=split_seed, validation=validation, test=test)
        _log.info("\n".join(summary(folder, images, rows)))
        raw = {"image": Field((None, None, 3), images.pixels.dtype.name)}
        schema = classes(raw, folder.class_names)
        # Two classes are two logits too, so that every network for images takes them.
        return rows, schema._replace(task="classification", outputs=len(folder.class_names))

    return Pipeline(
        name="image_folder",
        source=str(data_files),
        read=read,
        forms={"image": Form(fit=image.largest_value, make_preprocess=scaled)},
        augment=image.crop_and_flip(padding, flip=flip) if padding or flip else None,
    )


def read_all(folder: class_folders.Folder, size: int, *, skip_bad: bool) -> Images:
    """All images, decoded and resized on all cores.

    Raises:
        DataError: a file that cannot be read, unless `skip_bad`; more than fits in memory.
    """
    dtype = _dtype(folder)
    _check_memory(len(folder.files), size, 3 * dtype.itemsize)

    def read(file: class_folders.File):
        try:
            content = photo.read(file.path)
            pixels = photo.decode(content, dtype=dtype.name)
            with tf.device("CPU:0"):
                resized = image.resize(tf.constant(pixels), size).numpy()
            return resized, pixels.shape[:2], splits.digests([content])[0]
        except (DataError, OSError) as error:
            if system.is_exhausted(error):  # the file may be whole
                raise
            if not skip_bad:
                raise DataError(f"{shown(file.path)} cannot be read: {error}") from error
            return f"{shown(file.path)}: {error}"

    def results() -> Iterator:
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for first in range(0, len(folder.files), _CHUNK):
                yield from pool.map(read, folder.files[first : first + _CHUNK])

    table = np.empty((len(folder.files), size, size, 3), dtype)
    kept, shapes, digests, bad = [], [], [], []
    read_now = progress(results(), len(folder.files), "reading images")
    for file, result in zip(folder.files, read_now, strict=True):
        if isinstance(result, str):
            bad.append(result)
            continue
        table[len(kept)] = result[0]
        kept.append(file)
        shapes.append(result[1])
        digests.append(result[2])
    _check_read(folder, kept, bad)
    arrays = (table[: len(kept)], np.array(shapes), np.array(digests, np.int64))
    return Images(tuple(kept), *arrays, tuple(bad))


def _check_memory(num_files: int, size: int, bytes_a_pixel: int) -> None:
    needed = num_files * size * size * bytes_a_pixel
    if needed > RAM_BUDGET:
        fits = math.isqrt(RAM_BUDGET // (bytes_a_pixel * num_files))
        raise DataError(
            f"{num_files} images of {size}x{size} take {needed / 2**30:.1f} GiB, more than "
            f"{RAM_BUDGET / 2**30:.0f}: choose --pipeline_options=image_size={fits} or less"
        )


def _check_read(
    folder: class_folders.Folder, kept: Sequence[class_folders.File], bad: Sequence[str]
) -> None:
    """DataError: a class without an image that can be read, and why its first one cannot."""
    for label, name in enumerate(folder.class_names):
        if not any(file.label == label for file in kept):
            of_class = [file.path for file in folder.files if file.label == label]
            why = next(line for line in bad if line.startswith(f"{shown(of_class[0])}: "))
            raise DataError(
                f"class {quoted(name)} has no image that can be read, {len(of_class)} tried: {why}"
            )


def _dtype(folder: class_folders.Folder) -> np.dtype:
    """uint16 where the images are grey of 16 bits, else uint8. DataError: some are."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(photo.is_wide, [file.path for file in folder.files])
        looked = progress(found, len(folder.files), "looking at images")
        read = [(f.path, w) for f, w in zip(folder.files, looked, strict=True) if w is not None]
    paths, wide = [path for path, _ in read], np.array([w for _, w in read], bool)
    if not wide.any():
        return np.dtype(np.uint8)
    if wide.all():
        return np.dtype(np.uint16)
    rare = bool(wide.sum() * 2 <= len(wide))
    example = paths[int(np.flatnonzero(wide == rare)[0])]
    grey, other = "grey of 16 bits", "8 bits or colour"
    few, many = (grey, other) if rare else (other, grey)
    raise DataError(
        f"{shown(example)} and {(wide == rare).sum() - 1} more have {few}, the others {many}: "
        "what is white in them is not known; save all with 8 bits, or all as grey of 16"
    )


def cut(folder: class_folders.Folder, images: Images, **fractions) -> dict[str, Rows]:
    """The rows of each split, from its own folder or cut from train by content."""
    labels = np.array([file.label for file in images.files], np.int64)
    size = images.pixels.shape[1]
    kind = images.pixels.dtype.name
    fields = {"image": Field((size, size, 3), kind), "label": Field((), "int64")}
    table = {"image": images.pixels, "label": labels}
    rows = Rows(len(labels), fields, "label", table=table)
    parts = np.array([file.split for file in images.files])
    separate = folder.separate
    by_split = {name: splits.take(rows, np.flatnonzero(parts == name)) for name in separate}
    train = splits.take(rows, np.flatnonzero(parts == "train")) if separate else rows
    if len(separate) == 2:
        return {"train": train, **by_split}
    digest = images.digest[parts == "train"]
    return by_split | splits.by_content(train, digest, separate=separate, **fractions)


def summary(folder: class_folders.Folder, images: Images, rows: dict[str, Rows]) -> Iterator[str]:
    """Lines about the images that were read or skipped, and what looks wrong."""
    counts = collections.Counter(file.label for file in images.files)
    named = [f"{shown(name, NAME)} {counts[i]}" for i, name in enumerate(folder.class_names)]
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    areas = images.shapes.prod(axis=1)
    small, large = (images.shapes[i] for i in (areas.argmin(), areas.argmax()))
    size = images.pixels.shape[1]
    yield (
        f"{folder.path}: {len(images.files)} images in {len(named)} classes: "
        f"{', '.join(named[:_SHOWN])}{more}"
    )
    yield (
        f"of {small[1]}x{small[0]} to {large[1]}x{large[0]} pixels, resized to {size}x{size}; "
        + ", ".join(f"{rows[name].num_rows} {name}" for name in SPLITS)
    )
    yield from folder.remarks
    if images.pixels.dtype == np.uint16:
        largest = int(image.largest_value(rows["train"])["largest"])
        bits = largest.bit_length()
        yield f"grey of 16 bits, of which {bits} are used: 0..{largest} is black..white"
    if folder.others:
        most = folder.others.most_common(_SHOWN)
        kinds = ", ".join(f"{number} {shown(kind, 20)}" for kind, number in most)
        yield f"skipped, not images or not in a class folder: {kinds}"
    if images.bad:
        yield f"skipped, unreadable: {len(images.bad)}, such as {images.bad[0]}"
    for name, part in rows.items():
        absent = set(range(len(named))) - set(part.table["label"].tolist())
        if absent:
            listed = [shown(folder.class_names[i], NAME) for i in sorted(absent)]
            yield f"warning: {name} has no image of {', '.join(listed[:_SHOWN])}"
    yield from _copies(folder, images)


def _copies(folder: class_folders.Folder, images: Images) -> Iterator[str]:
    """Files of the same bytes: in one class, in two classes, in two splits."""
    first: dict[int, class_folders.File] = {}
    pairs = collections.defaultdict(list)
    for digest, file in zip(images.digest.tolist(), images.files, strict=True):
        earlier = first.setdefault(digest, file)
        if earlier is file:
            continue
        if earlier.split != file.split:
            pairs["are in another split too: its figures flatter the model"].append((earlier, file))
        if earlier.label != file.label:
            pairs["are in another class too: one of the two labels is wrong"].append(
                (earlier, file)
            )
        else:
            pairs["are copies of another one of their class"].append((earlier, file))
    for remark, files in pairs.items():
        one, other = (shown(file.path.relative_to(folder.path)) for file in files[0])
        yield f"warning: {len(files)} image(s) {remark}, such as {one} = {other}"
