"""The section of the page about hidden patches: visible parts, predictions and images."""

import numpy as np

from trainers.reports import html
from trainers.reports.examples import png
from trainers.reports.html import Html, element

_PICTURES = ("visible part", "prediction", "original")
_REMARK = (
    "The first test images. Predicted patches are shown with the brightness and contrast of the "
    "hidden ones, since the model learns to predict patches without them."
)


def section(rebuilt: np.ndarray) -> Html:
    """A row of pictures for each kind.

    Args:
        rebuilt: (n, 3, H, W, C) uint8 of trainers.evaluation.rebuilt.
    """
    lines = [
        (
            name,
            element("span", *(_picture(p, name, i) for i, p in enumerate(row)), class_="samples"),
        )
        for name, row in zip(_PICTURES, rebuilt.swapaxes(0, 1), strict=True)
    ]
    table = html.table(("", "images"), lines)
    return html.section("Hidden patches", html.note(_REMARK), table)


def _picture(pixels: np.ndarray, name: str, number: int) -> Html:
    described = html.escape(f"{name}, example {number + 1}")
    return Html(f'<img src="{png(pixels)}" alt="{described}">')
