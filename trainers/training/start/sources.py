"""The start of a run: its newest checkpoint, or else initial weights from its sources in order."""

import logging
import os
import pathlib
from collections.abc import Mapping

import keras
import numpy as np

import zoo
from pipelines.core.plan import order_version
from trainers.config import packages
from trainers.config.checks import VECTOR_FILES, start_sources
from trainers.config.settings import Settings
from trainers.errors import ArtefactError, UsageError
from trainers.store import checkpoint
from trainers.store.checkpoint import Checkpoint
from trainers.store.run_folder import Run
from trainers.tasks import registry as tasks
from trainers.training import optimizers
from trainers.training.callbacks.saver import NEW_PROGRESS
from trainers.training.start import keras_file, match, packaged, probe, statistics, vectors
from trainers.training.start import run as run_source
from trainers.training.start.match import Matched

_LOG = logging.getLogger(__name__)


def start(model: keras.Model, run: Run) -> Checkpoint:
    """Loads the newest checkpoint into the model, or else initial weights from its sources.

    Returns:
        That checkpoint with only its metrics, or one of step 0 without arrays.

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
    checkpoint.mark_damaged(checkpoints, after=newest.step)
    # Keras resets the metrics before the first epoch; `Saver` then restores them.
    of_metrics = ("metrics/", checkpoint.SHARES)
    metrics = {k: v for k, v in newest.arrays.items() if k.startswith(of_metrics)}
    return newest._replace(arrays=metrics, meta={**newest.meta, "order": order})


def initialise(model: keras.Model, run: Run) -> None:
    """Sets initial weights from each source in order; a later source changes none that are set."""
    unset = {v.path: v for v in model.weights}
    for source in sources(run.settings):
        matched = _matched(source, model, unset, run)
        for path, value in matched.values.items():
            unset.pop(path).assign(value)
        for line in matched.lines:
            _LOG.info("initial weights from %s: %s", source, line)

    drawn = [
        path for path in unset if optimizers.factor_of(path, run.settings.recipe.lr_scale) == 0
    ]
    if drawn:
        more = " and others" if len(drawn) > 3 else ""
        _LOG.warning("frozen as they were drawn at random: %s%s", ", ".join(drawn[:3]), more)


def sources(settings: Settings) -> list[str]:
    """What --init_from lists, then the model's own sources, unless the list names `none`.

    Raises:
        UsageError: it names `statistics` and the model takes none.
    """
    listed, adapts = start_sources(settings), zoo.get(settings.model).adapt is not None
    if statistics.NAME in listed and not adapts:
        raise UsageError(f"--init_from={statistics.NAME}: {settings.model} takes none of its data")
    own = adapts and not {"none", statistics.NAME} & set(settings.init_from)
    return [*listed, *([statistics.NAME] if own else [])]


def _matched(
    source: str, model: keras.Model, unset: Mapping[str, keras.Variable], run: Run
) -> Matched:
    """The source's values for variables that no earlier source has set."""
    if source == statistics.NAME:
        return match.exactly(unset, statistics.weights(model, run))
    if source == probe.NAME:
        return probe.matched(model, unset, run)
    if source.endswith(VECTOR_FILES) and not pathlib.Path(os.path.expanduser(source)).is_dir():
        return vectors.matched(source, {v.path for v in model.weights}, unset, run.prepared)
    entry, task = zoo.get(run.settings.model), tasks.get(run.prepared.task)
    return match.all_or_refused(
        source,
        unset,
        _read(source, run),
        head=(*entry.head, *task.own_weights),
        positions=entry.positions,
        grids=entry.grids,
        init_new=run.settings.init_new,
    )


def _read(source: str, run: Run) -> Mapping[str, np.ndarray]:
    if source == packages.SOURCE:
        return packaged.weights(run.settings.model)
    path = pathlib.Path(os.path.expanduser(source))
    if path.is_dir():
        return run_source.weights(path, run.settings)
    return keras_file.weights(path, run.settings, run.prepared)
