"""The last layer, fitted on the features that the rest of the network computes as it is.

Multinomial logistic regression, whose optimum is found in seconds: fine-tuning that begins under a
random last layer would distort good features first (Kumar et al. 2022, arXiv 2202.10054). The
features are those of the training rows without augmentation, computed once and kept.
"""

import hashlib
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
import threadpoolctl
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

import zoo
from pipelines.core import rows as reading
from pipelines.core.prepared import Prepared
from pipelines.storage import kept
from pipelines.storage.progress import progress
from trainers.config.settings import Settings
from trainers.errors import UsageError
from trainers.store import files, state
from trainers.store.run_folder import Run
from trainers.training import kernels
from trainers.training.compile import build
from trainers.training.start.match import Matched

NAME = "probe"
_MOST_ROWS = 50_000  # evenly spaced, of more: 256 MB of 1280 features
_FOLDED_ROWS = 2_000  # of which the strength of the penalty is chosen: seconds, not minutes
_FOLDS = 3
# Inverse strengths of the penalty, for rows of mean square 1 about their mean.
_STRENGTHS = tuple(10.0 ** (exponent / 2) for exponent in range(-2, 7))
_BATCH = 50  # images at a time


class Head(NamedTuple):
    """A linear layer: logits are features @ kernel + bias."""

    kernel: np.ndarray  # (width, classes)
    bias: np.ndarray  # (classes,)
    strength: float  # inverse of the penalty that was chosen


def matched(model: keras.Model, unset: Mapping[str, keras.Variable], run: Run) -> Matched:
    """Kernel and bias of the last layer, where no earlier source has set them.

    Args:
        model: with the initial weights of the sources before.
        unset: variables that none of them has set, by path.

    Raises:
        UsageError: the model has no layer of features with one linear layer above.
    """
    prepared, settings = run.prepared, run.settings
    target = prepared.schema.target
    if target is None or target.shape or target.ids != prepared.spec.num_outputs:
        return Matched({}, [f"left out: task {prepared.task} has no output for each class"])
    layer = _last_layer(model, settings)
    paths = [layer.kernel.path, layer.bias.path]
    if not set(paths) <= set(unset):
        return Matched({}, ["left out: the last layer has its weights already"])
    index = reading.spaced(prepared.rows["train"].num_rows, _MOST_ROWS)
    features, labels = features_of(model, settings, prepared, index)
    if len(np.unique(labels)) < 2:
        return Matched({}, ["left out: all training rows are of one class"])
    head = fitted(features, labels, layer.units)
    share = float(np.mean(np.argmax(features @ head.kernel + head.bias, 1) == labels))
    line = (
        f"{layer.name} fitted on the features of {len(labels)} rows, C={head.strength:.3g}, "
        f"accuracy on them {share:.4f}"
    )
    return Matched(dict(zip(paths, (head.kernel, head.bias), strict=True)), [line])


def features_of(
    model: keras.Model, settings: Settings, prepared: Prepared, index: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, width) float32 and labels (n,) of the training rows `index`, (n,).

    They are kept for the next run of the same network, weights and rows.
    """
    entry, rows = zoo.get(settings.model), prepared.rows["train"]
    weights = {v.path: v.numpy() for v in model.weights if not _is_head(v.path, entry)}
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(zoo.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    content = rows.identity if rows.table is None else files.fingerprint(rows.table)
    contents = [
        f"features {settings.model} {dict(settings.hparams)} {keras.__version__} {tf.__version__}",
        digest.hexdigest(),
        files.fingerprint(weights),
        f"{prepared.name} {dict(prepared.pipeline.options)} {state.fingerprint(prepared.state)}",
        f"{content} {len(index)} of {rows.num_rows}",
    ]

    def make() -> tuple[np.ndarray, np.ndarray]:
        whole = build(settings, prepared, "float32")
        for variable in whole.weights:
            variable.assign(weights.get(variable.path, variable))
        network = keras.Model(whole.input, whole.get_layer(entry.features).output)
        kernels.install(network)
        return _computed(network, prepared, index)

    return kept.by_content(make, contents, "these features", "features as computed before")


def _computed(
    network: keras.Model, prepared: Prepared, index: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    rows = prepared.rows["train"]
    function = tf.function(lambda raw: network(prepared.preprocess(raw), training=False))

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for chunk in reading.chunks(rows, index):
            for first in range(0, len(chunk[rows.target]), _BATCH):
                part = {name: column[first : first + _BATCH] for name, column in chunk.items()}
                raw = {name: tf.constant(part[name]) for name in prepared.raw}
                yield function(raw).numpy(), part[rows.target]

    label = f"{prepared.name}: features of the training rows"
    made = list(progress(batches(), -(-len(index) // _BATCH), label))
    features, labels = (np.concatenate(parts) for parts in zip(*made, strict=True))
    return features, labels


def _last_layer(model: keras.Model, settings: Settings) -> keras.layers.Dense:
    """The linear layer from the features to the output. UsageError: there is none."""
    entry = zoo.get(settings.model)
    features = model.get_layer(entry.features).output if entry.features else None
    for layer in model.layers:
        if not isinstance(layer, keras.layers.Dense) or layer.output is not model.outputs[0]:
            continue
        below = {id(layer.input)} | {
            id(other.input)
            for other in model.layers
            if isinstance(other, keras.layers.Dropout) and other.output is layer.input
        }
        if features is not None and id(features) in below and layer.bias is not None:
            return layer
    raise UsageError(
        f"--init_from={NAME}: {settings.model} has no linear layer with a bias on its features"
    )


def _is_head(path: str, entry: zoo.registry.Model) -> bool:
    return any(re.search(pattern, path) for pattern in entry.head)


def fitted(features: np.ndarray, labels: np.ndarray, classes: int) -> Head:
    """Logistic regression with a quadratic penalty, its strength chosen by folds of the rows.

    It is fitted on features of length 1, which suits them better (docs/tried.md); the mean length
    goes into the kernel.

    Args:
        features: (N, width), a row each.
        labels: (N,) class numbers; a class may have no row.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    rows = features / np.maximum(lengths, 1e-12)
    mean = rows.mean(axis=0, dtype=np.float64)
    rows = rows - mean
    scale = max(np.sqrt(np.mean(np.sum(rows**2, axis=1))), 1e-12)
    axes = np.eye(rows.shape[1])
    if len(rows) < rows.shape[1]:
        # The penalty does not change when the axes are turned: as many as rows hold all there is.
        _, _, axes = np.linalg.svd(rows, full_matrices=False)
    turned = rows @ axes.T / scale
    with threadpoolctl.threadpool_limits(1):  # products this small only wait for each other
        strength = _chosen(turned, labels)
        solved = _solved(turned, labels, strength, tolerance=1e-6)
    coefficients, intercept = solved.coef_, solved.intercept_
    if len(solved.classes_) == 2:  # one logit, of the second class against the first
        coefficients, intercept = (np.concatenate([-c, c]) / 2 for c in (coefficients, intercept))
    kernel, bias = np.zeros((features.shape[1], classes)), np.zeros(classes)
    kernel[:, solved.classes_] = axes.T @ coefficients.T / scale
    bias[solved.classes_] = intercept - mean @ kernel[:, solved.classes_]
    # A class without a row is as unlikely as the least likely answer to any row.
    absent = np.setdiff1d(np.arange(classes), solved.classes_)
    bias[absent] = (turned @ coefficients.T + intercept).min()
    return Head((kernel / lengths.mean()).astype(np.float32), bias.astype(np.float32), strength)


def _chosen(rows: np.ndarray, labels: np.ndarray) -> float:
    """The strongest penalty whose log-loss on rows that were left out is as good as the best.

    That is within a standard error of it (Breiman et al. 1984, section 3.4.3): the best itself
    gives a little less accuracy where rows are few (docs/tried.md).
    """
    some = reading.spaced(len(rows), _FOLDED_ROWS)
    rows, labels = rows[some], labels[some]
    if np.unique(labels, return_counts=True)[1].min() < _FOLDS:
        return 1.0
    losses = np.zeros((len(_STRENGTHS), len(labels)))
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    for train, held in folds.split(rows, labels):
        for i, strength in enumerate(_STRENGTHS):
            solved = _solved(rows[train], labels[train], strength)
            right = np.searchsorted(solved.classes_, labels[held])
            losses[i, held] = -solved.predict_log_proba(rows[held])[np.arange(len(held)), right]
    means = losses.mean(axis=1)
    error = losses[means.argmin()].std() / np.sqrt(len(labels))
    return _STRENGTHS[int(np.argmax(means <= means.min() + error))]


def _solved(
    rows: np.ndarray, labels: np.ndarray, strength: float, *, tolerance: float = 1e-4
) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=1000, tol=tolerance).fit(rows, labels)
