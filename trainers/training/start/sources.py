"""The start of a run: its newest checkpoint, or else initial weights from its sources in order."""

import logging
import pathlib
from collections.abc import Mapping

import keras
import numpy as np

import zoo
from pipelines.core.plan import order_version
from trainers.config.checks import VECTOR_FILES
from trainers.config.settings import Settings
from trainers.errors import ArtefactError, UsageError
from trainers.store import checkpoint
from trainers.store.checkpoint import Checkpoint
from trainers.store.run_folder import Run
from trainers.training.callbacks.saver import NEW_PROGRESS
from trainers.training.start import keras_file, match, statistics, vectors
from trainers.training.start import run as run_source

_LOG = logging.getLogger(__name__)
_NONE = "none"  # instead of the model's own sources


def start(model: keras.Model, run: Run) -> Checkpoint:
    """Puts the newest checkpoint into the model, or else what its sources give.

    Returns:
        That checkpoint with its metrics alone, or one of step 0 without arrays.

    Raises:
        ArtefactError: the checkpoint does not fit the model, or is of another run or another order
            of the rows; or a source lacks weights that the model needs.
    """
    checkpoints = run.folder / "checkpoints"
    newest = checkpoint.load_newest(checkpoints)
    order = order_version(run.prepared.rows["train"].num_rows)
    if newest is None:
        initialise(model, run)
        meta = {"run": run.number, "order": order, "progress": dict(NEW_PROGRESS)}
        return Checkpoint(0, {}, meta)
    checkpoint.check_run(checkpoints, newest, run.number)
    if newest.meta.get("order", 1) != order:
        raise ArtefactError(
            f"{run.folder} was begun by a version that orders so many rows otherwise: finish it "
            "with that version, or choose another --workdir"
        )
    checkpoint.restore(checkpoint.variables_of(model), newest.arrays)
    checkpoint.set_aside(checkpoints, after=newest.step)
    # Keras resets the metrics before the first epoch: they are put back there.
    of_metrics = ("metrics/", checkpoint.SHARES)
    metrics = {k: v for k, v in newest.arrays.items() if k.startswith(of_metrics)}
    return newest._replace(arrays=metrics, meta={**newest.meta, "order": order})


def initialise(model: keras.Model, run: Run) -> None:
    """Initial weights from each source in order; what one has set, a later one leaves alone."""
    entry, unset = zoo.get(run.settings.model), {v.path: v for v in model.weights}
    for source in sources(run.settings):
        if source == statistics.NAME:
            arrays = statistics.weights(model, run)
            matched = match.exactly(unset, arrays)
        elif source.endswith(VECTOR_FILES) and not pathlib.Path(source).expanduser().is_dir():
            paths = {v.path for v in model.weights}
            matched = vectors.matched(source, paths, unset, run.prepared)
        else:
            arrays = _read(source, run)
            matched = match.all_or_refused(
                source,
                unset,
                arrays,
                head=entry.head,
                positions=entry.positions,
                init_new=run.settings.init_new,
            )
        for path, value in matched.values.items():
            unset.pop(path).assign(value)
        for line in matched.lines:
            _LOG.info("initial weights from %s: %s", source, line)


def sources(settings: Settings) -> list[str]:
    """What --init_from lists, then the model's own sources, unless the list names `none`.

    Raises:
        UsageError: it names `statistics` and the model takes none.
    """
    listed, adapts = list(settings.init_from), zoo.get(settings.model).adapt is not None
    if statistics.NAME in listed and not adapts:
        raise UsageError(f"--init_from={statistics.NAME}: {settings.model} takes none of its data")
    own = [statistics.NAME] if adapts and not {_NONE, statistics.NAME} & set(listed) else []
    return [source for source in listed if source != _NONE] + own


def _read(source: str, run: Run) -> Mapping[str, np.ndarray]:
    path = pathlib.Path(source).expanduser()
    return run_source.weights(path) if path.is_dir() else keras_file.weights(path, run.prepared)
