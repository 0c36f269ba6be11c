"""Initial weights of the last layer, fitted on the features that the rest of the network computes.

Logistic or ridge regression, which takes seconds: fine-tuning that begins under a random last layer
would distort good features first (Kumar et al. 2022, arXiv 2202.10054). The features are those of
the training rows without augmentation, computed once and cached.
"""

import hashlib
import pathlib
import re
from collections.abc import Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf

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
from trainers.training.start import linear_head
from trainers.training.start.match import Matched
from zoo.spec import Field

NAME = "probe"
_MOST_ROWS = 50_000  # evenly spaced if there are more: 256 MB of 1280 features
_BATCH = 50  # images at a time


def matched(model: keras.Model, unset: Mapping[str, keras.Variable], run: Run) -> Matched:
    """Kernel and bias of the last layer, where no earlier source has set them.

    Args:
        model: with the initial weights of earlier sources.
        unset: variables that none of them has set, by path.

    Raises:
        UsageError: the model has no layer of features followed by one linear layer.
    """
    prepared, settings = run.prepared, run.settings
    if not _is_answered(prepared.schema.target, prepared.spec.num_outputs):
        why = f"task {prepared.task} has no output for each class or label, or for a number"
        return Matched({}, [f"left out: {why}"])
    layer = _last_layer(model, settings)
    paths = [layer.kernel.path, layer.bias.path]
    if not set(paths) <= set(unset):
        return Matched({}, ["left out: the last layer has its weights already"])
    index = reading.spaced(prepared.rows["train"].num_rows, _MOST_ROWS)
    features, targets = features_of(model, settings, prepared, index)
    if len(np.unique(targets, axis=0)) < 2:
        return Matched({}, ["left out: all training rows have the same target"])
    head = linear_head.fitted(features, targets, layer.units, linear_head.unit_of(model))
    line = f"{layer.name} fitted on the features of {len(targets)} rows, {head.summary}"
    return Matched(dict(zip(paths, (head.kernel, head.bias), strict=True)), [line])


def _is_answered(target: Field | None, outputs: int) -> bool:
    """Whether a linear layer with this number of outputs can predict the target."""
    if target is None or target.shape:
        return target is not None and target.shape == (outputs,)
    if target.ids is None:
        return outputs == 1 and target.dtype.startswith("float")
    return target.ids == outputs or (target.ids, outputs) == (2, 1)


def features_of(
    model: keras.Model, settings: Settings, prepared: Prepared, index: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, width) float32 and targets (n, ...) of the training rows `index`, (n,).

    They are cached for the next run of the same network, weights and rows.
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
    unit = linear_head.unit_layer(model)
    output = model.outputs[0] if unit is None else unit.input
    features = model.get_layer(entry.features).output if entry.features else None
    for layer in model.layers:
        if not isinstance(layer, keras.layers.Dense) or layer.output is not output:
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
