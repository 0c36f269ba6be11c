"""Your own images in a table: --pipeline=image_table --data_files=photos.csv --target=price."""

import logging
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipelines import SPLITS, DataError, Pipeline, Rows, Schema
from pipelines.core import splits
from pipelines.files import (
    any_table,
    photos,
    picture_column,
    readings,
    table,
    targets,
    texts,
)
from pipelines.files import tags as tag_column
from pipelines.files.columns import Column
from pipelines.files.photos import Photos
from pipelines.files.picture_column import Pictures
from pipelines.files.shown import shown
from pipelines.files.table import Chosen, Cut
from pipelines.files.table_cells import TableCells
from pipelines.files.table_file import NAME, quoted
from pipelines.files.targets import Target
from pipelines.steps import image as image_steps
from pipelines.steps import resizing
from pipelines.steps.augmented import augmented
from zoo.spec import Field

_log = logging.getLogger(__name__)
LIMITS = {"image_size": (1, None), "padding": (0, None), "split_seed": (0, 2_147_483_648)}
SHARED = "steps/augmented.py"


def pipeline(
    *,
    data_files: str,
    target: str,
    image: str = "",
    task: str = "",
    tags: str = "",
    labels: str = "",
    missing: str = "",
    categories: str = "",
    decimal: str = "",
    encoding: str = "",
    image_size: int = 64,
    resize: str = "squash",
    split_seed: int = 0,
    validation: float = 0.1,
    test: float = 0.2,
    padding: int = 4,
    flip: bool = True,
    skip_bad: bool = False,
    data_dir: str = "",
    **shared,
) -> Pipeline:
    """A column of image files and one of labels or numbers, in a CSV file or as JSON lines.

    Args:
        data_files: files, folders or patterns separated by commas, or one for each split:
            "train=a.csv,test=b.csv". A missing split is cut from train by a hash of the images.
        target: the column to predict, or several columns of 0 and 1, separated by commas.
        image: the column of file names, relative to the folder of the table; empty: the only column
            of image file names, or the only one besides the target.
        task: regression, binary, classification or multi_label; empty: inferred.
        tags: separator of several labels in a target cell; empty: | if the cells use it.
        labels: as_written keeps classes apart that differ only in case or spaces.
        missing: target cells that mean missing, besides empty ones: "NA|?".
        categories: the name of the target, if its numbers are classes.
        decimal: point or comma, where the numbers of the target are ambiguous.
        encoding: of files in neither UTF-8 nor UTF-16 with a byte-order mark, such as cp1252.
        image_size: pixels per side.
        resize: squash (nothing is lost), crop (the square in the middle) or pad (with black).
        split_seed: seed of the split by content hash.
        validation: fraction of the images, like `test`.
        padding: largest shift of a training image, in pixels.
        flip: mirror half of the training images.
        skip_bad: leave out rows whose file does not exist or cannot be read.
        data_dir: cache folder for decoded images; empty: one in the system's temporary folder.
        shared: options of `augmented`.

    Raises:
        DataError: `padding` is not less than `image_size`, or `resize` is unknown; (when the data
            is read) the table or an image cannot be read, or a column does not exist.
    """
    if not 0 <= padding < image_size:
        raise DataError(f"padding={padding} must be less than image_size={image_size}, 0 or more")
    chosen, cut = Chosen(target, task, labels=labels), Cut(split_seed, validation, test)
    table_options = _TableOptions(image, tags, missing, categories, decimal, skip_bad)

    def load(paths: Sequence[pathlib.Path]) -> Photos:
        return photos.read(paths, image_size, resize, skip_bad=skip_bad, cache=data_dir)

    own = Pipeline(
        name="image_table",
        source=data_files,
        read=lambda: _read(data_files, encoding, table_options, chosen, cut, load),
        forms={"image": resizing.form(image_size, resize)},
        augment=image_steps.crop_and_flip(padding, flip=flip) if padding or flip else None,
        tta_views=image_steps.mirrored if flip else None,
    )
    return augmented(own, **shared)


class _TableOptions(NamedTuple):
    """The options about columns that are not in `Chosen`."""

    image: str
    tags: str
    missing: str
    categories: str
    decimal: str
    skip_bad: bool


class _Examples(NamedTuple):
    """The rows that have an image and a target."""

    rows: np.ndarray  # (n,) row numbers in the table
    photo: np.ndarray  # (n,) index of each row's photograph in `images`
    target: Target  # its `values` are those of these rows
    images: Photos

    @property
    def digest(self) -> np.ndarray:
        """64 bits of each image's digest: (n,) int64."""
        return self.images.digest[self.photo]

    @property
    def labels(self) -> list[str]:
        """The target of each row as text, to compare and to print."""
        values, names = self.target.values.tolist(), self.target.class_names
        return [*map(str, values)] if self.target.field.ids is None else [names[v] for v in values]


def _read(
    source: str,
    encoding: str,
    table_options: _TableOptions,
    options: Chosen,
    cut: Cut,
    load: Callable[[Sequence[pathlib.Path]], Photos],
) -> tuple[dict[str, Rows], Schema]:
    """The rows of every split and their schema; logs a summary."""
    cells, nested = any_table.read(source, encoding)
    wanted = table.named(cells.names, options.target, "target")
    if not wanted:
        known = table.listed(cells.names)
        raise DataError(f"target={shown(options.target)} names no column; choose from {known}")
    column = picture_column.image(cells, nested, table_options.image, wanted, source)
    pictures = picture_column.pictures(cells, column, skip_bad=table_options.skip_bad)
    column_options = any_table.parse_options(
        cells, wanted, table_options.categories, table_options.missing, table_options.decimal
    )
    predicted = _predicted(
        cells, wanted, column_options, options, table_options.tags, pictures.rows
    )
    chosen = _for_images(targets.choose(predicted, options.task), options.task)
    examples = _examples(pictures, chosen, load)
    target = shown(options.target, NAME)
    lines = [
        *(line for one in predicted for line in one.remark.splitlines()),
        f"target {target}: {examples.target.summary()}",
        *_left_out(f"without {shown(column, NAME)}", pictures.empty),
        *_left_out("whose image does not exist", len(pictures.missing), pictures.missing),
        *_left_out(f"without {target}", int(np.sum(~chosen.present))),
        *examples.images.skipped,
    ]
    return _by_split(cells, examples, options.target, cut, source, lines)


def _predicted(
    cells: TableCells,
    wanted: Sequence[str],
    column_options: Mapping[str, readings.ColumnOptions],
    options: Chosen,
    separator: str,
    rows: np.ndarray,
) -> list[Column]:
    """The target's columns in `rows` (M,); one of 0 and 1 per label, if cells hold several."""
    if len(wanted) == 1 and (separator or not options.task):
        column = cells.columns[cells.names.index(wanted[0])]
        mark = tag_column.mark_of(column, separator)
        if mark:
            columns = tag_column.columns(wanted[0], column, mark, rows)
            _log.info(tag_column.remark(wanted[0], mark, columns, by_option=bool(separator)))
            return columns
    return any_table.predicted(cells, column_options, options, rows)


def _for_images(chosen: Target, task: str) -> Target:
    """The target; two classes also get two logits, so that every image model accepts them.

    If `task` is given, the target is unchanged.
    """
    if task or chosen.field.ids is None:
        return chosen
    return chosen._replace(task="classification", outputs=len(chosen.class_names))


def _examples(
    pictures: Pictures, chosen: Target, load: Callable[[Sequence[pathlib.Path]], Photos]
) -> _Examples:
    """The rows with a target and a readable image. DataError: a class has no such row."""
    rows = pictures.rows[chosen.present]
    used, files = np.unique(pictures.files[chosen.present], return_inverse=True)
    images = load([pictures.paths[i] for i in used.tolist()])
    number = np.full(len(used), -1)
    number[images.numbers] = np.arange(len(images.numbers))
    photo = number[files]
    target = chosen._replace(values=chosen.values[photo >= 0])
    lost = set()
    if target.field.ids is not None:
        lost = set(range(len(target.class_names))) - set(target.values.tolist())
    if lost or not len(target.values):
        what = f"class {quoted(target.class_names[min(lost)])}" if lost else "the table"
        raise DataError(f"{what} has no image that can be read: {next(iter(images.bad.values()))}")
    return _Examples(rows[photo >= 0], photo[photo >= 0], target, images)


def _by_split(
    cells: TableCells,
    examples: _Examples,
    name: str,
    cut: Cut,
    source: str,
    lines: Sequence[str],
) -> tuple[dict[str, Rows], Schema]:
    """The rows of every split and their schema; logs a summary that ends in `lines`."""
    (numbers, photo, target, images), digest = examples, examples.digest
    if name == photos.FIELD:
        raise DataError(f"the target {name} is called as the images are to a server: rename it")
    split_of = [cells.split_of[row] for row in numbers.tolist()]
    parts = photos.by_split(digest, split_of, cells.separate, cut)
    rows = {
        split: images.rows(photo[i], name, target.values[i], target.field)
        for split, i in parts.items()
    }
    double = splits.duplicates({split: digest[i] for split, i in parts.items()})
    _log.info(
        "\n".join(
            [
                f"{source}: {len(numbers)} rows with an image",
                f"{images.sizes}; " + ", ".join(f"{len(parts[one])} {one}" for one in SPLITS),
                *photos.bits(rows["train"]),
                *texts.copies(
                    digest, examples.labels, lambda i: cells.where(int(numbers[i])), "images"
                ),
                *(
                    f"{number} images of {split} are in train too: its figures flatter the model"
                    for split, number in double.items()
                ),
                *lines,
            ]
        )
    )
    schema = Schema(
        raw={photos.FIELD: Field((None, None, 3), images.kind.dtype)},
        task=target.task,
        target=target.field,
        class_names=target.class_names,
        outputs=target.outputs,
        target_name=name,
    )
    _warn_of_classes(parts, target, schema)
    return rows, schema


def _warn_of_classes(parts: Mapping[str, np.ndarray], target: Target, schema: Schema) -> None:
    name, values = schema.target_name, target.values
    by_split = {
        split: Rows(len(i), {name: target.field}, name, table={name: values[i]})
        for split, i in parts.items()
    }
    table.warn_of_classes(by_split, schema)


def _left_out(what: str, number: int, examples: Sequence[str] = ()) -> list[str]:
    some = f", such as {examples[0]}" if examples else ""
    return [f"{number} rows {what} are left out{some}"] * (number > 0)
