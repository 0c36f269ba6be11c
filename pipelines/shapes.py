"""Shapes: drawn 32x32 colour images of ten kinds of figure, in the format of CIFAR-10.

Position, size, rotation, colours, lighting, noise and clutter vary, and a figure is darker than its
background as often as lighter, so a single pixel carries no information: a linear model stays near
chance.
"""

import numpy as np
import tensorflow_datasets as tfds

from pipelines import Form, Pipeline, classes
from pipelines.steps import image
from pipelines.steps.augmented import augmented
from pipelines.steps.few_labels import few_labels
from zoo.spec import Field

LIMITS = {"labels": (0, None)}
SHARED = "steps/augmented.py"
_SIZE = 32
_FINE = 2  # figures are drawn at twice the size and averaged, for smooth edges
_NUM_IMAGES = {"train": 15_000, "test": 3_000}


def _polar(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.hypot(u, v), np.arctan2(v, u)


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    radius, angle = _polar(u, v)
    to_point = np.abs((angle * 5 / (2 * np.pi)) % 1 - 0.5) * 2  # 1 at a point, 0 between two
    return radius < 0.42 + 0.68 * to_point**1.5


def _triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    sides = [np.cos(a) * u + np.sin(a) * v for a in (np.pi / 2, np.pi * 7 / 6, np.pi * 11 / 6)]
    return np.maximum.reduce(sides) < 0.55


# Whether a point is inside; the unit of u and v is the figure's radius.
_FIGURES = {
    "bar": lambda u, v: (np.abs(u) < 1.1) & (np.abs(v) < 0.3),
    "circle": lambda u, v: np.hypot(u, v) < 0.85,
    "crescent": lambda u, v: (np.hypot(u, v) < 1) & (np.hypot(u - 0.5, v) > 0.8),
    "cross": lambda u, v: (np.minimum(abs(u), abs(v)) < 0.3) & (np.maximum(abs(u), abs(v)) < 1),
    "half": lambda u, v: (np.hypot(u, v + 0.4) < 1.05) & (v > -0.4),
    "heart": lambda u, v: (1.3 * u**2 + 1.3 * v**2 - 0.75) ** 3 < 2 * u**2 * v**3,
    "ring": lambda u, v: np.abs(np.hypot(u, v) - 0.72) < 0.23,
    "square": lambda u, v: np.maximum(abs(u), abs(v)) < 0.75,
    "star": _star,
    "triangle": _triangle,
}


def draw(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """One image for each label (an index into the sorted figure names): (N, 32, 32, 3) uint8."""
    num = len(labels)

    def uniform(low, high, *shape):
        return random.uniform(low, high, (num, *shape)).astype(np.float32)

    axis = (np.arange(_SIZE * _FINE, dtype=np.float32) + 0.5) / _FINE - _SIZE / 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    radius, angle = uniform(6.5, 12.5, 1, 1), uniform(0, 2 * np.pi, 1, 1)
    reach = _SIZE / 2 - radius
    x = (x - uniform(-1, 1, 1, 1) * reach) / radius
    y = (y - uniform(-1, 1, 1, 1) * reach) / radius
    u = np.cos(angle) * x + np.sin(angle) * y  # (N, 64, 64)
    v = np.cos(angle) * y - np.sin(angle) * x
    inside = np.zeros(u.shape, np.float32)
    for label, figure in enumerate(_FIGURES.values()):
        chosen = labels == label
        inside[chosen] = figure(u[chosen], v[chosen])
    inside = inside.reshape(num, _SIZE, _FINE, _SIZE, _FINE).mean((2, 4))
    inside = inside[..., None]  # (N, 32, 32, 1)

    background = uniform(0.15, 0.85, 1, 1, 3)
    # Distinct from the background in two channels, lighter or darker with equal probability.
    contrast = uniform(0.25, 0.6, 1, 1, 3) * np.sign(uniform(-1, 1, 1, 1, 3))
    contrast[np.arange(num), 0, 0, random.integers(0, 3, num)] = 0
    ramp = np.linspace(-1, 1, _SIZE, dtype=np.float32)
    light = (
        uniform(-0.2, 0.2, 1, 1, 1) * ramp[:, None, None]
        + uniform(-0.2, 0.2, 1, 1, 1) * ramp[:, None]
    )
    pixels = background + light + inside * contrast + _clutter(num, random)
    pixels += 0.06 * random.standard_normal(pixels.shape, np.float32)
    return np.clip(np.round(pixels * 255), 0, 255).astype(np.uint8)


def _clutter(num: int, random: np.random.Generator) -> np.ndarray:
    """Three soft blobs of any colour per image: (N, 32, 32, 3)."""
    grid = np.arange(_SIZE, dtype=np.float32)
    clutter = np.zeros((num, _SIZE, _SIZE, 3), np.float32)
    for _ in range(3):
        centre = random.uniform(0, _SIZE, (2, num, 1)).astype(np.float32)
        width = random.uniform(1.0, 2.5, (num, 1)).astype(np.float32)
        rows, columns = (np.exp(-(((grid - c) / width) ** 2)) for c in centre)  # (N, 32) each
        colour = random.uniform(-0.4, 0.4, (num, 1, 1, 3)).astype(np.float32)
        clutter += rows[:, :, None, None] * columns[:, None, :, None] * colour
    return clutter


class Shapes(tfds.core.GeneratorBasedBuilder):
    """The drawn images as a TFDS data set; the same images on every machine."""

    VERSION = tfds.core.Version("1.0.0")
    BUILT_IN = True  # needs no network

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description=__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(_SIZE, _SIZE, 3), encoding_format="png"),
                    "label": tfds.features.ClassLabel(names=tuple(_FIGURES)),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager
        return {split: self._generate_examples(split) for split in _NUM_IMAGES}

    def _generate_examples(self, split: str):
        random = np.random.default_rng([2015, list(_NUM_IMAGES).index(split)])
        num_images = _NUM_IMAGES[split]
        labels = random.permutation(np.arange(num_images) % len(_FIGURES))  # classes of equal size
        for first in range(0, num_images, 500):
            batch = labels[first : first + 500]
            for i, (pixels, label) in enumerate(zip(draw(batch, random), batch, strict=True)):
                yield first + i, {"image": pixels, "label": int(label)}


def pipeline(*, augment: bool = False, labels: int = 0, **shared) -> Pipeline:
    """13 500 / 1 500 / 3 000 images for training / validation / test.

    Args:
        augment: shift by up to 4 pixels and mirror.
        labels: number of training images that keep their labels, equal per class; 0: all.
        shared: options of `augmented`.
    """
    pipeline = Pipeline(
        name="shapes",
        source="shapes:1.0.0",
        splits={"train": "train[:90%]", "validation": "train[90%:]", "test": "test"},
        schema=classes({"image": Field((_SIZE, _SIZE, 3), "uint8")}, tuple(_FIGURES)),
        forms={"image": Form(preprocess=image.scale)},
        augment=image.crop_and_flip(4) if augment else None,
    )
    return few_labels(augmented(pipeline, **shared), labels)
