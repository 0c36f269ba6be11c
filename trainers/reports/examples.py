"""Shows rows of a split: images as PNG data URIs, texts, or the columns of a table."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from pipelines.core.prepared import Prepared
from trainers.evaluation.records import fields as fields_of
from trainers.evaluation.records import image_field, visible
from trainers.reports import html
from trainers.reports.html import Html, element, join
from trainers.tasks.registry import Mistakes

_LARGEST_SIDE = 160  # pixels of a shown image
_LETTERS = 400  # of a shown text
_COLUMNS = 40  # of a shown row
_OCCLUDED = (
    "For the most confident mistakes a second picture shows which parts influenced the "
    "prediction: it becomes less probable if a red part is hidden, more probable if a blue one is."
)
_FOR, _AGAINST = (214, 39, 40), (31, 119, 180)
_FAINT = 0.05  # if no change of the probability is larger, all colours are pale
_MOVED = (
    "Influential words: how much less probable the prediction is without any occurrence of a word. "
    "A minus sign marks a word that counted against the prediction."
)


def mistakes_section(
    prepared: Prepared,
    mistakes: Mistakes,
    row: np.ndarray,
    kept: Mapping[str, np.ndarray],
) -> Html:
    """The rows of a task's mistakes, as many of them as the run has kept.

    Args:
        row: (N,) row numbers of the evaluation that `mistakes` was made from.
        kept: the run's examples, from `records.examples`.
    """
    if not len(mistakes.index):
        return html.section(mistakes.title, html.note("There are no mistakes in the test rows."))
    fields = fields_of(kept)
    position = {number: i for i, number in enumerate(kept["row"].tolist())}
    shown = [i for i, j in enumerate(mistakes.index) if int(row[j]) in position]
    numbers = [int(row[mistakes.index[i]]) for i in shown]
    chosen = [position[number] for number in numbers]
    entries, columns = [mistakes.entries[i] for i in shown], mistakes.columns
    remark = [html.note(mistakes.remark)] if mistakes.remark else []
    if "moved" in kept:
        beside = [element("span", _text(kept["moved"][i]), class_="moved") for i in chosen]
        entries = [(*entry, words) for entry, words in zip(entries, beside, strict=True)]
        columns = (*columns, "influential words")
        remark.append(html.note(_MOVED))
    rows = {name: column[chosen] for name, column in fields.items()}
    maps = kept["occluded"][chosen] if "occluded" in kept else None
    if maps is not None:
        remark.append(html.note(_OCCLUDED))
    body = gallery(prepared, rows, numbers, entries, columns, maps)
    return html.section(mistakes.title, *remark, body)


def gallery(
    prepared: Prepared,
    fields: Mapping[str, np.ndarray],
    numbers: Sequence[int],
    entries: Sequence[tuple[str, ...]],
    columns: Sequence[str],
    maps: np.ndarray | None = None,
) -> Html:
    """Rows with the answers to each.

    Args:
        fields: stored fields of the rows, (n, ...) each.
        numbers: of the rows in their split.
        entries: for each row the texts beside it, one for each of `columns`.
        maps: (n, cells, cells), the `occluded` maps of images; NaN where there is none.
    """
    image = image_field(prepared)
    if image in fields:
        pixels = visible(fields[image])
        maps = [None] * len(numbers) if maps is None else maps
        cards = [
            _card(pixels[i], number, entries[i], columns, maps[i])
            for i, number in enumerate(numbers)
        ]
        return element("div", *cards, class_="gallery")
    names = list(fields)[:_COLUMNS]
    if len(names) == 1 and fields[names[0]].dtype == object:
        kind, shown = "texts", _text
    else:
        kind, shown = "rows", _cell
    lines = [
        [str(number), *entries[i], *(shown(fields[name][i]) for name in names)]
        for i, number in enumerate(numbers)
    ]
    return html.table(["row", *columns, *names], lines, kind=kind)


def png(pixels: np.ndarray) -> str:
    """An image (H, W, 1, 3 or 4) uint8 as a data URI, scaled down if it is large."""
    picture = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
    picture.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def heat(pixels: np.ndarray, change: np.ndarray) -> np.ndarray:
    """A grey picture (H, W, 3) with red over the parts of positive change, blue over the others.

    Args:
        pixels: (H, W, 1, 3 or 4) uint8.
        change: (cells, cells) of the probability.
    """
    height, width = pixels.shape[:2]
    colours = pixels[..., :3] if pixels.shape[-1] > 3 else pixels
    grey = colours.mean(axis=-1, keepdims=True)  # (H, W, 1)
    cells = Image.fromarray((change / max(float(np.abs(change).max()), _FAINT)).astype(np.float32))
    strength = np.asarray(cells.resize((width, height), Image.Resampling.BILINEAR))[..., None]
    colour = np.where(strength > 0, np.array(_FOR), np.array(_AGAINST))
    opacity = 0.7 * np.abs(strength)
    return np.round(grey * (1 - opacity) + colour * opacity).astype(np.uint8)


def _card(
    pixels: np.ndarray,
    number: int,
    entries: Sequence[str],
    columns: Sequence[str],
    change: np.ndarray | None,
) -> Html:
    pairs = list(zip(columns, entries, strict=True))
    description = join((f"{column} {entry}" for column, entry in pairs), ", ")
    lines = (element("span", entry, title=column) for column, entry in pairs)
    picture = Html(f'<img src="{png(pixels)}" alt="{description}" title="row {number}">')
    pictures = [picture]
    if change is not None and np.isfinite(change).all():
        shown = png(heat(pixels, change))
        described = f"what influenced the prediction for row {number}"
        pictures.append(Html(f'<img src="{shown}" alt="{described}">'))
    return element("figure", *pictures, element("figcaption", *lines))


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
