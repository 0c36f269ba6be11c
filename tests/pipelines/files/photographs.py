"""Photographs of a camera's kind, made of the two that scikit-learn carries."""

import functools
import io
from collections.abc import Iterator

import numpy as np
from PIL import Image
from sklearn import datasets


@functools.cache
def originals() -> tuple[Image.Image, Image.Image]:
    """A temple and a flower, 640x427."""
    return tuple(
        Image.fromarray(datasets.load_sample_image(name)) for name in ("china.jpg", "flower.jpg")
    )


def photographs(number: int, largest: int, seed: int) -> Iterator[tuple[int, Image.Image]]:
    """(class, photograph): crops of both, some mirrored, enlarged, and with a sensor's noise.

    The class is which of the two, and of which third from the left: six in all.

    Args:
        largest: pixels of the longer side; the smallest have a quarter.
    """
    random = np.random.default_rng(seed)
    for i in range(number):
        label = i % 6
        width, height = int(random.integers(150, 214)), int(random.integers(150, 300))
        left = 213 * (label % 3) + int(random.integers(0, 214 - width))
        top = int(random.integers(0, 427 - height))
        crop = originals()[label // 3].crop((left, top, left + width, top + height))
        if random.integers(2):
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        scale = random.uniform(largest / 4, largest) / max(crop.size)
        crop = crop.resize([round(side * scale) for side in crop.size], Image.Resampling.BICUBIC)
        noise = random.normal(0, random.uniform(2, 8), (crop.height, crop.width, 1))
        noisy = np.asarray(crop, np.float32) + noise.astype(np.float32)
        yield label, Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def jpeg(picture: Image.Image, quality: int = 90, **options) -> bytes:
    """As a camera saves it."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, **options)
    return out.getvalue()
