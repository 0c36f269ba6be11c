"""Evaluates features on labels that they were not trained with: neighbours, a linear model."""

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipelines.core.pipeline import Rows
from pipelines.core.prepared import Prepared
from pipelines.core.rows import spaced, take, targets
from trainers.config.settings import Settings
from trainers.devices.precision import exact_float32
from trainers.store import saved_model
from trainers.store.finished import SPLITS

# Weighted neighbours of Wu et al. 2018, arXiv 1805.01978, section 3.4. Numbers of their code for
# CIFAR-10 and of the demo of MoCo (K. He et al. 2020); for ImageNet the paper has 0.07.
_NEIGHBOURS, _TEMPERATURE = 200, 0.1
_PENALTIES = (0.01, 0.1, 1.0)  # scikit-learn's C; validation chooses one
_MOST = 50_000  # training rows whose features are computed
_STEPS = 500  # of the linear model's optimizer, at most


def probe(exported: pathlib.Path, settings: Settings, prepared: Prepared) -> dict[str, Any] | None:
    """Accuracies of two simple models on the exported features, if rows have labels.

    Both are fitted on training rows without augmentation. Rows without a label (-1) are left out in
    every split: TFDS hides the labels of some test splits.

    Returns:
        The numbers of `rows` and `neighbours`, and for validation and test `knn` and `linear`;
        None: there are no labels of two classes, or none in validation or test.

    Raises:
        ArtefactError: the export is damaged.
    """
    if not all(_has_classes(prepared.rows[split]) for split in ("train", *SPLITS)):
        return None
    labels = {split: targets(prepared.rows[split]) for split in ("train", *SPLITS)}
    known = {split: np.flatnonzero(of_split >= 0) for split, of_split in labels.items()}
    different = np.unique(labels["train"][known["train"]])
    if len(different) < 2 or not all(map(len, known.values())):
        return None
    known["train"] = known["train"][spaced(len(known["train"]), _MOST)]
    model = saved_model.load(exported)  # owns the variables that its signature reads
    serve, size = model.signatures["serving_default"], settings.recipe.batch_size

    def labelled(split: str) -> tuple[np.ndarray, np.ndarray]:
        parts = list(_features(serve, prepared, split, size, known[split]))
        return tuple(map(np.concatenate, zip(*parts, strict=True)))

    with exact_float32():
        train, held_out = labelled("train"), {split: labelled(split) for split in SPLITS}
    fitted = {"knn": neighbours(*train), "linear": linear(*train, *held_out["validation"])}
    scores = {
        split: {name: float(one.score(*held_out[split])) for name, one in fitted.items()}
        for split in SPLITS
    }
    return {"rows": len(known["train"]), "neighbours": fitted["knn"].n_neighbors, **scores}


def neighbours(features: np.ndarray, labels: np.ndarray) -> KNeighborsClassifier:
    """A classifier by the 200 nearest rows, each with the weight exp(10 cosine).

    Args:
        features: (N, width).
        labels: (N,).
    """

    def weights(distance: np.ndarray) -> np.ndarray:
        return np.exp((1.0 - distance) / _TEMPERATURE)

    number = min(_NEIGHBOURS, len(labels))
    model = KNeighborsClassifier(number, weights=weights, metric="cosine", algorithm="brute")
    return model.fit(features, labels)


def linear(features: np.ndarray, labels: np.ndarray, others: np.ndarray, true: np.ndarray):
    """Logistic regression on standardised features.

    Args:
        features: (N, width); `others` are those of validation, which chooses the penalty.
        labels: (N,); `true` are those of validation.
    """
    tried = [
        make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=_STEPS))
        for penalty in _PENALTIES
    ]
    return max(
        (model.fit(features, labels) for model in tried), key=lambda m: m.score(others, true)
    )


def _has_classes(rows: Rows) -> bool:
    if rows.target is None:
        return False
    field = rows.fields[rows.target]
    return field.shape == () and field.dtype.startswith("int")


def _features(
    serve, prepared: Prepared, split: str, size: int, index: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(features, labels) of the rows at `index`, `size` at a time."""
    rows = prepared.rows[split]
    for first in range(0, len(index), size):
        stored = take(rows, index[first : first + size])
        raw = {name: tf.constant(stored[name]) for name in prepared.raw}
        yield serve(**raw)["features"].numpy(), stored[rows.target]
