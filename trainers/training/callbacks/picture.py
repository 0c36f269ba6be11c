"""Example images with the model's predictions, as one picture."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipelines.files.shown import shown

_TILE, _CAPTION, _COLUMNS = 128, 20, 4
_NAME = 30  # characters of a class name; more would not fit into the picture
_RIGHT, _WRONG = (0, 110, 40), (190, 0, 0)


def predictions_grid(images: np.ndarray, captions: list[tuple[str, str]]) -> np.ndarray:
    """Images in four columns, captioned "predicted", or "predicted (true)" in red if wrong.

    Args:
        images: (N, H, W, 1 or 3) uint8.
        captions: (predicted, true) for each.

    Returns:
        (height, width, 3) uint8.
    """
    rows = -(-len(images) // _COLUMNS)
    grid = Image.new("RGB", (_COLUMNS * _TILE, rows * (_TILE + _CAPTION)), "white")
    pen, font = ImageDraw.Draw(grid), ImageFont.load_default(size=15)
    for i, (pixels, (predicted, true)) in enumerate(zip(images, captions, strict=True)):
        left, top = i % _COLUMNS * _TILE, i // _COLUMNS * (_TILE + _CAPTION)
        tile = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
        tile = tile.convert("RGB").resize((_TILE - 4, _TILE - 4), Image.Resampling.NEAREST)
        grid.paste(tile, (left + 2, top + 2))
        predicted_name, true_name = shown(predicted, _NAME), shown(true, _NAME)
        text = predicted_name if predicted == true else f"{predicted_name} ({true_name})"
        colour = _RIGHT if predicted == true else _WRONG
        pen.text((left + 4, top + _TILE - 1), text, fill=colour, font=font)
    return np.asarray(grid)
