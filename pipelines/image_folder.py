"""Your own images: --pipeline=image_folder --data_files=photos, with a folder for each class."""

import collections
import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from pipelines import SPLITS, DataError, Pipeline, Rows, Schema, classes
from pipelines.core.rows import without_target
from pipelines.files import class_folders, photos
from pipelines.files.photos import Photos
from pipelines.files.shown import shown
from pipelines.files.table import Cut
from pipelines.files.table_file import NAME, quoted
from pipelines.steps import image, resizing
from pipelines.steps.augmented import augmented
from pipelines.steps.few_labels import few_labels
from zoo.spec import Field

_log = logging.getLogger(__name__)
LIMITS = {
    "image_size": (1, None),
    "padding": (0, None),
    "split_seed": (0, 2_147_483_648),
    "labels": (0, None),
}
SHARED = "steps/augmented.py"
_SHOWN = 20  # classes named in the summary


def pipeline(
    *,
    data_files: str,
    image_size: int = 64,
    resize: str = "squash",
    split_seed: int = 0,
    validation: float = 0.1,
    test: float = 0.2,
    padding: int = 4,
    flip: bool = True,
    skip_bad: bool = False,
    data_dir: str = "",
    labels: int = 0,
    **shared,
) -> Pipeline:
    """One folder per class, or train/, validation/ and test/ with such folders in them.

    Images of any aspect ratio are resized to a square, in training and in the exported model alike.
    A split without a folder of its own is cut from train by content hash, so that adding files does
    not move others between splits. Decoded images are cached for the next command.

    A task without labels (--task=masked_image, contrastive) also accepts any other folder of
    images, with or without subfolders. Each image is in the same split as with labels.

    Args:
        data_files: the folder, or one for each split if folder names do not tell the splits:
            "train=photos/Training,test=photos/Testing". With "train=photos" its subfolders are
            classes, whatever their names.
        image_size: pixels per side.
        resize: squash (nothing is lost), crop (the square in the middle) or pad (with black).
        split_seed: seed of the split by content hash.
        validation: fraction of the images, like `test`.
        padding: largest shift of a training image, in pixels.
        flip: mirror half of the training images.
        skip_bad: skip files that cannot be read.
        data_dir: cache folder for decoded images; empty: one in the system's temporary folder.
        labels: number of training images that keep their labels, equal per class; 0: all.
        shared: options of `augmented`.

    Raises:
        DataError: `padding` is not less than `image_size`, or `resize` is unknown; (when the data
            is read) the folder does not exist or has no classes, a class has no images, or an image
            is damaged.
    """
    if not 0 <= padding < image_size:
        raise DataError(f"padding={padding} must be less than image_size={image_size}, 0 or more")

    def rows_of(folder: class_folders.Folder) -> tuple[dict[str, Rows], Schema]:
        images = read_all(folder, image_size, skip_bad=skip_bad, policy=resize, cache=data_dir)
        parts = cut(folder, images, Cut(split_seed, validation, test))
        label_of = np.array([file.label for file in _files(folder, images)], np.int64)
        label = Field((), "int64")
        rows = {name: images.rows(i, "label", label_of[i], label) for name, i in parts.items()}
        _log.info("\n".join(summary(folder, images, parts, rows["train"])))
        return _described(rows, folder.class_names, images.kind.dtype)

    def unlabelled() -> Pipeline:
        return dataclasses.replace(
            labelled,
            read=lambda: rows_of(class_folders.flat(data_files) or class_folders.scan(data_files)),
        )

    pipeline = Pipeline(
        name="image_folder",
        source=str(data_files),
        read=lambda: rows_of(class_folders.scan(data_files)),
        forms={"image": resizing.form(image_size, resize)},
        augment=image.crop_and_flip(padding, flip=flip) if padding or flip else None,
        tta_views=image.mirrored if flip else None,
        unlabelled=unlabelled,
    )
    labelled = augmented(pipeline, **shared)
    return few_labels(labelled, labels)


def _described(
    rows: dict[str, Rows], class_names: Sequence[str], dtype: str
) -> tuple[dict[str, Rows], Schema]:
    """The rows with their schema; without targets where the folder has no classes."""
    raw = {"image": Field((None, None, 3), dtype)}
    if not class_names:
        rows = {name: without_target(part) for name, part in rows.items()}
        return rows, Schema(raw, "masked_image", None)
    schema = classes(raw, class_names)
    # Two classes also get two logits, so that every image model accepts them.
    return rows, schema._replace(task="classification", outputs=len(class_names))


def read_all(
    folder: class_folders.Folder,
    size: int,
    *,
    skip_bad: bool,
    policy: str = "squash",
    cache: str = "",
) -> Photos:
    """All images of a folder, resized to `size`; arguments as of `photos.read`.

    Raises:
        DataError: a file cannot be read, unless `skip_bad`; or no file of a class can be read.
    """
    paths = [file.path for file in folder.files]
    images = photos.read(paths, size, policy, skip_bad=skip_bad, cache=cache)
    if not len(images.numbers):
        why = next(iter(images.bad.values()))
        raise DataError(f"none of {len(paths)} images can be read: {why}")
    _check_read(folder, _files(folder, images), [*images.bad.values()])
    return images


def _files(folder: class_folders.Folder, images: Photos) -> list[class_folders.File]:
    """The files that could be read."""
    return [folder.files[i] for i in images.numbers.tolist()]


def _check_read(
    folder: class_folders.Folder, kept: Sequence[class_folders.File], bad: Sequence[str]
) -> None:
    """DataError: no image of a class can be read; the message has the reason for its first one."""
    read = {file.label for file in kept}  # a set: there may be a million files in 1000 classes
    for label, name in enumerate(folder.class_names):
        if label not in read:
            of_class = [file.path for file in folder.files if file.label == label]
            why = next(line for line in bad if line.startswith(f"{shown(of_class[0])}: "))
            raise DataError(
                f"class {quoted(name)} has no image that can be read, {len(of_class)} tried: {why}"
            )


def cut(folder: class_folders.Folder, images: Photos, how: Cut) -> dict[str, np.ndarray]:
    """Image indices of each split: from its own folder, or cut from train by content hash."""
    split_of = [file.split for file in _files(folder, images)]
    return photos.by_split(images.digest, split_of, folder.separate, how)


def summary(
    folder: class_folders.Folder,
    images: Photos,
    parts: Mapping[str, np.ndarray],
    train: Rows,
) -> Iterator[str]:
    """Lines about the images that were read or skipped, and what looks wrong.

    Args:
        parts: indices of the images of each split.
        train: the training rows.
    """
    files = _files(folder, images)
    counts = collections.Counter(file.label for file in files)
    named = [f"{shown(name, NAME)} {counts[i]}" for i, name in enumerate(folder.class_names)]
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    of = f"in {len(named)} classes: {', '.join(named[:_SHOWN])}{more}" if named else "of no class"
    yield f"{folder.path}: {len(files)} images {of}"
    yield f"{images.sizes}; " + ", ".join(f"{len(parts[name])} {name}" for name in SPLITS)
    yield from folder.remarks
    yield from photos.bits(train)
    if folder.others:
        most = folder.others.most_common(_SHOWN)
        kinds = ", ".join(f"{number} {shown(kind, 20)}" for kind, number in most)
        yield f"skipped, not images or not in a class folder: {kinds}"
    yield from images.skipped
    for name, part in parts.items():
        absent = set(range(len(named))) - {files[i].label for i in part.tolist()}
        if absent:
            listed = [shown(folder.class_names[i], NAME) for i in sorted(absent)]
            yield f"warning: {name} has no image of {', '.join(listed[:_SHOWN])}"
    yield from _copies(folder, files, images.digest)


def _copies(
    folder: class_folders.Folder, of: Sequence[class_folders.File], digest: np.ndarray
) -> Iterator[str]:
    """Warnings of identical files: within a class, in two classes, in two splits."""
    first: dict[int, class_folders.File] = {}
    pairs = collections.defaultdict(list)
    for one, file in zip(digest.tolist(), of, strict=True):
        earlier = first.setdefault(one, file)
        if earlier is file:
            continue
        if earlier.split != file.split:
            pairs["are in another split too: its figures flatter the model"].append((earlier, file))
        if earlier.label != file.label:
            pairs["are in another class too: one of the two labels is wrong"].append(
                (earlier, file)
            )
        else:
            of_class = " of their class" if folder.class_names else ""
            pairs[f"are copies of another one{of_class}"].append((earlier, file))
    for remark, files in pairs.items():
        one, other = (shown(file.path.relative_to(folder.path)) for file in files[0])
        yield f"warning: {len(files)} image(s) {remark}, such as {one} = {other}"
