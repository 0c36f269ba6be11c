"""Your own images: --pipeline=image_folder --data_files=photos, with a folder for each class."""

import collections
import concurrent.futures
import logging
import math
import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipelines import SPLITS, DataError, Form, Pipeline, Rows, Schema, classes
from pipelines.core import splits
from pipelines.core.rows import RAM_BUDGET
from pipelines.files import class_folders, photo
from pipelines.steps import image
from zoo.spec import Field

_log = logging.getLogger(__name__)
LIMITS = {"image_size": (1, None), "padding": (0, None), "split_seed": (0, 2_147_483_648)}
_CHUNK = 1024  # files in work at a time
_SHOWN = 20  # classes named in the summary


class Images(NamedTuple):
    """All images of a folder, decoded; arrays of N in the order of the files."""

    files: tuple[class_folders.File, ...]
    pixels: np.ndarray  # (N, size, size, 3) uint8
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
        data_files: the folder.
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

    def fit(raw):
        return {"image": image.resize(raw["image"], image_size)}

    def read() -> tuple[dict[str, Rows], Schema]:
        folder = class_folders.scan(pathlib.Path(data_files).expanduser())
        images = read_all(folder, image_size, skip_bad=skip_bad)
        rows = cut(folder, images, seed=split_seed, validation=validation, test=test)
        _log.info("\n".join(summary(folder, images, rows)))
        schema = classes({"image": Field((None, None, 3), "uint8")}, folder.class_names)
        # Two classes are two logits too, so that every network for images takes them.
        return rows, schema._replace(task="classification", outputs=len(folder.class_names))

    return Pipeline(
        name="image_folder",
        source=str(data_files),
        read=read,
        forms={"image": Form(preprocess=lambda raw: image.scale(fit(raw)))},
        augment=image.crop_and_flip(padding, flip=flip) if padding or flip else None,
    )


def read_all(folder: class_folders.Folder, size: int, *, skip_bad: bool) -> Images:
    """All images, decoded and resized on all cores.

    Raises:
        DataError: a file that cannot be read, unless `skip_bad`; more than fits in memory.
    """
    needed = len(folder.files) * size * size * 3
    if needed > RAM_BUDGET:
        fits = math.isqrt(RAM_BUDGET // (3 * len(folder.files)))
        raise DataError(
            f"{len(folder.files)} images of {size}x{size} take {needed / 2**30:.1f} GiB, more than "
            f"{RAM_BUDGET / 2**30:.0f}: choose --pipeline_options=image_size={fits} or less"
        )

    def read(file: class_folders.File):
        try:
            content = file.path.read_bytes()
            pixels = photo.decode(content)
            with tf.device("CPU:0"):
                resized = image.resize(tf.constant(pixels), size).numpy()
            return resized, pixels.shape[:2], splits.digests([content])[0]
        except (DataError, OSError) as error:
            if not skip_bad:
                raise DataError(f"{file.path} cannot be read: {error}") from error
            return f"{file.path}: {error}"

    table = np.empty((len(folder.files), size, size, 3), np.uint8)
    kept, shapes, digests, bad = [], [], [], []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in range(0, len(folder.files), _CHUNK):
            chunk = folder.files[first : first + _CHUNK]
            for file, result in zip(chunk, pool.map(read, chunk), strict=True):
                if isinstance(result, str):
                    bad.append(result)
                    continue
                table[len(kept)] = result[0]
                kept.append(file)
                shapes.append(result[1])
                digests.append(result[2])
    for label, name in enumerate(folder.class_names):
        if not any(file.label == label for file in kept):
            raise DataError(f"class {name!r} has no image that can be read: {bad[0]}")
    arrays = (table[: len(kept)], np.array(shapes), np.array(digests, np.int64))
    return Images(tuple(kept), *arrays, tuple(bad))


def cut(folder: class_folders.Folder, images: Images, **fractions) -> dict[str, Rows]:
    """The rows of each split, from its own folder or cut from train by content."""
    labels = np.array([file.label for file in images.files], np.int64)
    size = images.pixels.shape[1]
    fields = {"image": Field((size, size, 3), "uint8"), "label": Field((), "int64")}
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
    named = [f"{name} {counts[i]}" for i, name in enumerate(folder.class_names)]
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
    if folder.others:
        kinds = ", ".join(f"{number} {kind}" for kind, number in folder.others.most_common())
        yield f"skipped, not images or not in a class folder: {kinds}"
    if images.bad:
        yield f"skipped, unreadable: {len(images.bad)}, such as {images.bad[0]}"
    for name, part in rows.items():
        absent = set(range(len(named))) - set(part.table["label"].tolist())
        if absent:
            listed = [folder.class_names[i] for i in sorted(absent)]
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
        one, other = (file.path.relative_to(folder.path) for file in files[0])
        yield f"warning: {len(files)} image(s) {remark}, such as {one} = {other}"
