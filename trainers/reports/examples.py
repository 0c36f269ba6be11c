"""Rows of a split to look at: images as PNG data URIs, texts, or the columns of a table."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from pipelines import Pipeline
from trainers.reports.html import Html, element, join, table
from trainers.training.data import take

_IMAGES, _OTHERS = 24, 12  # shown
_LARGEST_SIDE = 160  # pixels of a shown image
_LETTERS = 400  # of a shown text
_COLUMNS = 40  # of a shown row


def how_many(pipeline: Pipeline) -> int:
    """How many rows of this data are shown together."""
    return _IMAGES if _image_field(pipeline) else _OTHERS


def gallery(
    pipeline: Pipeline,
    split: str,
    index: np.ndarray,
    said: Sequence[tuple[str, ...]],
    words: Sequence[str],
) -> Html:
    """Rows of a split with what was said of each.

    Args:
        index: (n,) row numbers.
        said: for each row what stands beside it, one entry a word.
        words: what the entries of `said` are.
    """
    rows = take(pipeline, split, index)
    image = _image_field(pipeline)
    if image:
        cards = [_card(rows[image][i], index[i], said[i], words) for i in range(len(index))]
        return element("div", *cards, class_="gallery")
    names = list(pipeline.raw)[:_COLUMNS]
    if len(names) == 1 and pipeline.raw[names[0]].dtype == "string":
        kind, shown = "texts", _text
    else:
        kind, shown = "rows", _cell
    lines = [
        [str(index[i]), *said[i], *(shown(rows[name][i]) for name in names)]
        for i in range(len(index))
    ]
    return table(["row", *words, *names], lines, kind=kind)


def png(pixels: np.ndarray) -> str:
    """An image (H, W, 1, 3 or 4) uint8 as a data URI, made smaller where it is large."""
    picture = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
    picture.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _card(pixels: np.ndarray, row: int, said: Sequence[str], words: Sequence[str]) -> Html:
    description = join((f"{word} {entry}" for word, entry in zip(words, said, strict=True)), ", ")
    lines = (element("span", entry, title=word) for word, entry in zip(words, said, strict=True))
    picture = Html(f'<img src="{png(pixels)}" alt="{description}" title="row {row}">')
    return element("figure", picture, element("figcaption", *lines))


def _image_field(pipeline: Pipeline) -> str | None:
    """The field that holds an image of 1, 3 or 4 channels."""
    for name, (shape, dtype) in pipeline.raw.items():
        if dtype == "uint8" and len(shape) == 3 and shape[-1] in (1, 3, 4):
            return name
    return None


def _text(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    text = " ".join(text.split())  # line breaks would make one example fill the page
    return text if len(text) <= _LETTERS else text[:_LETTERS] + " ..."


def _cell(value: Any) -> str:
    if isinstance(value, bytes | str):
        return _text(value)
    if np.ndim(value):
        return f"{np.asarray(value).dtype} {np.shape(value)}"
    return "missing" if np.isnan(value) else f"{float(value):.6g}"
