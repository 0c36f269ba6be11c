"""Images that an export generates, and how another run's classifier judges them.

The Frechet distance compares two sets of features as if both were normally distributed (Heusel et
al. 2017, arXiv 1706.08500, section 2.2): it is 0 where means and covariances agree, and large where
images are unlike real ones or less varied. It shrinks as more images are compared, so two values
can be compared only for the same number of images and the same classifier.
"""

import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

import zoo
from pipelines.core.pipeline import Rows
from pipelines.core.prepared import Prepared
from pipelines.core.rows import take, targets
from pipelines.steps import image
from pipelines.storage.progress import progress
from trainers.config.settings import Settings
from trainers.devices.precision import exact_float32
from trainers.errors import UsageError
from trainers.evaluation import statistics
from trainers.store import saved_model
from trainers.store.files import fingerprint
from trainers.store.finished import Finished, finished
from trainers.training.compile import build

CLASSES, PER_CLASS = 10, 10  # of the images that the report and TensorBoard show
_ROWS = 250  # per batch
_FIRST_SEED = 1_000_000  # of judged images, which are not those that are shown
_ENOUGH = 10  # rows per feature; with fewer, a millionth is added to the variances


class Judge(NamedTuple):
    """A classifier of another run."""

    folder: pathlib.Path
    name: str  # of its model
    weights: str  # fingerprint of its weights
    prepared: Prepared  # without rows
    ask: Callable  # images (B, H, W, C) as its network takes them -> (classes (B,), features)


class Seen(NamedTuple):
    """A judge's classes and features of some images."""

    classes: np.ndarray  # (N,)
    features: np.ndarray  # (N, width) float64


def shown(generate: Callable, num_classes: int) -> dict[str, np.ndarray]:
    """`image` (classes, 10, H, W, C) uint8 of the first classes, and `label` (classes,)."""
    classes = np.arange(min(num_classes, CLASSES))
    labels = np.repeat(classes, PER_CLASS)
    made = np.concatenate(list(_made(generate, np.arange(len(labels)), labels)))
    return {"image": made.reshape(len(classes), PER_CLASS, *made.shape[1:]), "label": classes}


def shown_by(exported: pathlib.Path, prepared: Prepared) -> dict[str, np.ndarray]:
    """The same as `shown`, made by an export. ArtefactError: it is damaged."""
    model = saved_model.load(exported)  # owns the variables that its signature reads
    with exact_float32():
        return shown(model.signatures["generate"], len(prepared.class_names))


def judge_of(settings: Settings, prepared: Prepared) -> Judge:
    """The classifier of the run that --judge names.

    Raises:
        UsageError: its model is not one for these images and classes, or names no features; or
            no class has two images among those that are compared.
        ArtefactError: it is not finished, or damaged.
    """
    past = finished(pathlib.Path(os.path.expanduser(settings.judge)))
    entry, of_judge = zoo.get(past.settings.model), past.prepared
    if not entry.features:
        able = sorted(name for name, one in zoo.listing().items() if one.features)
        raise UsageError(
            f"--judge={settings.judge}: {entry.name} names no layer of features; these do: "
            f"{', '.join(able)}"
        )
    if of_judge.class_names != prepared.class_names or of_judge.raw != prepared.raw:
        raise UsageError(
            f"--judge={settings.judge} was trained on {of_judge.source}, with other classes or "
            f"images than {prepared.source}: train a judge on the same data"
        )
    own, shape = of_judge.spec.inputs.get("image"), prepared.spec.inputs["image"].shape
    if own is None or own.shape != shape:
        raise UsageError(f"--judge={settings.judge} takes no images of {shape}")
    test = prepared.rows["test"]
    labels = targets(test)[_drawn(test.num_rows, _number(settings, prepared))]
    if len(np.unique(labels)) == len(labels):
        raise UsageError(
            f"--judge: no two of the {len(labels)} test images that are compared are of one class"
        )
    return Judge(
        past.folder, entry.name, fingerprint(past.weights), of_judge, _asking(past, entry.features)
    )


def judged(
    generate: Callable, settings: Settings, prepared: Prepared, judge: Judge
) -> dict[str, Any]:
    """The judge's results on generated images, at most as many as there are test rows.

    Generated images have the classes of the test rows. The floor is the mean distance of two
    halves of the training rows from the test rows: no generator can be expected to be nearer.

    Args:
        generate: the signature of an export.
        prepared: with rows.

    Returns:
        `accuracy`: fraction of the images in which the judge sees the class that was asked for;
        `frechet_distance` and its `floor`; `spread`: how far features of a class lie apart, as a
        fraction of that of real images, 0 if the judge sees no difference between real images;
        `accuracy_of_real`: of the judge on the test rows; and what was compared.
    """
    test, train = prepared.rows["test"], prepared.rows["train"]
    number = _number(settings, prepared)
    num_classes = len(prepared.class_names)
    real, target = _real(test, _drawn(test.num_rows, number), judge)
    seeds = _FIRST_SEED + np.arange(number)
    with exact_float32():
        made = _made(generate, seeds, target)
        made = progress(made, -(-number // _ROWS), "generating images")
        scaled = (image.scale({"image": tf.constant(pixels)})["image"] for pixels in made)
        fake = _seen(scaled, judge)
    features = fake.features, real.features
    halves = _drawn(train.num_rows, 2 * number)
    floors = [
        frechet_distance(_real(train, half, judge)[0].features, real.features)
        for half in (halves[:number], halves[number:])
    ]
    return {
        "judge": judge.name,
        "run": str(settings.judge),
        "weights": judge.weights,
        "asked": settings.judge_samples,
        "samples": number,
        "accuracy": float(np.mean(fake.classes == target)),
        "accuracy_of_real": float(np.mean(real.classes == target)),
        "frechet_distance": frechet_distance(*features),
        "floor": float(np.mean(floors)),
        "spread": float(statistics.ratio(*(spread(f, target, num_classes) for f in features))),
    }


def _number(settings: Settings, prepared: Prepared) -> int:
    """How many images are compared."""
    test, train = prepared.rows["test"], prepared.rows["train"]
    return min(settings.judge_samples, test.num_rows, train.num_rows // 2)


def write_scalars(folder: pathlib.Path, judged: Mapping[str, Any]) -> None:
    """Writes the judge's results as TensorBoard scalars into the folder of a run."""
    with tf.summary.create_file_writer(str(folder / "tensorboard" / "judge")).as_default(step=0):
        for name, value in judged.items():
            if isinstance(value, float):
                tf.summary.scalar(f"judge/{name}", value)


def is_judged(report: Mapping[str, Any], settings: Settings, judge: Judge) -> bool:
    """Whether a report has this judge's results on the same number of images."""
    results = report.get("judged") or {}
    same_judge = results.get("weights") == judge.weights
    return bool(same_judge and results.get("asked") == settings.judge_samples)


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """|m - n|^2 + trace(A + B - 2 (A B)^(1/2)) of means m, n and covariances A, B; float64.

    If there are few rows for the width, a millionth is added to the variances, so that no
    direction has a variance of 0.

    Args:
        one, other: (N, width).
    """
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    width = one.shape[1]
    few = min(len(one), len(other)) < _ENOUGH * width
    added = 1e-6 * np.eye(width) if few else 0.0
    a, b = (np.atleast_2d(np.cov(rows, rowvar=False)) + added for rows in (one, other))
    # The eigenvalues of A B are those of a matrix that is positive semidefinite.
    roots = np.sqrt(np.maximum(np.linalg.eigvals(a @ b).real, 0.0))
    apart = one.mean(axis=0) - other.mean(axis=0)
    return float(max(0.0, apart @ apart + np.trace(a) + np.trace(b) - 2.0 * roots.sum()))


def spread(features: np.ndarray, target: np.ndarray, num_classes: int) -> float:
    """The mean squared distance of features from the mean of their class.

    Args:
        features: (N, width).
        target: (N,).
    """
    squared = 0.0
    for label in range(num_classes):
        own = features[target == label]
        if len(own):
            squared += np.square(own - own.mean(axis=0)).sum()
    return float(squared / len(features))


def _asking(past: Finished, layer: str) -> Callable:
    """A function from images to classes and features: a finished run's network in float32."""
    model = build(past.settings, past.prepared, "float32")
    for variable in model.weights:
        variable.assign(past.weights[variable.path])
    both = keras.Model(model.input, [model.output, model.get_layer(layer).output])
    binary = model.output.shape[-1] == 1

    @tf.function(autograph=False, reduce_retracing=True)
    def ask(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits, features = both({"image": images}, training=False)
        answer = tf.cast(logits[:, 0] > 0, tf.int64) if binary else tf.argmax(logits, axis=-1)
        return answer, features

    return ask


def _made(generate: Callable, seeds: np.ndarray, classes: np.ndarray) -> Iterator[np.ndarray]:
    """Generated images, batch by batch: (B, H, W, C) uint8."""
    for first in range(0, len(seeds), _ROWS):
        part = slice(first, first + _ROWS)
        arguments = {
            "seed": tf.constant(seeds[part], tf.int64),
            "label": tf.constant(classes[part], tf.int64),
        }
        yield generate(**arguments)["image"].numpy()


def _real(rows: Rows, index: np.ndarray, judge: Judge) -> tuple[Seen, np.ndarray]:
    """A judge's classes and features of stored rows, and their true classes."""
    targets = []

    def images() -> Iterator[tf.Tensor]:
        for first in range(0, len(index), _ROWS):
            stored = take(rows, index[first : first + _ROWS])
            targets.append(np.asarray(stored[rows.target]))
            raw = {name: tf.constant(stored[name]) for name in judge.prepared.raw}
            yield judge.prepared.preprocess(raw)["image"]

    with exact_float32():
        seen = _seen(images(), judge)
    return seen, np.concatenate(targets)


def _seen(images: Iterator[tf.Tensor], judge: Judge) -> Seen:
    classes, features = zip(*(judge.ask(batch) for batch in images), strict=True)
    flat = [np.asarray(one, np.float64).reshape(len(one), -1) for one in features]
    return Seen(np.concatenate([one.numpy() for one in classes]), np.concatenate(flat))


def _drawn(num_rows: int, number: int) -> np.ndarray:
    """Distinct random row numbers, always the same: rows of a class may be stored together."""
    return np.random.default_rng(0).permutation(num_rows)[:number]
