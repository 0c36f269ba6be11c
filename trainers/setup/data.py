"""The data of a run: loaded, with the state that it fitted, and checked against the settings."""

import pathlib

import numpy as np

import pipelines
from pipelines import SPLITS, Pipeline, source
from trainers.setup import workdir
from trainers.setup.errors import ArtefactError, UsageError
from trainers.setup.settings import METRICS, Settings, pipeline_arguments

_NUM_EXAMPLES = 8  # raw rows that an export is compared on


def load(settings: Settings, folder: pathlib.Path | None) -> Pipeline:
    """The prepared data, under the state that the run in `folder` fitted, or else fitted now.

    Args:
        folder: of the run; None: a dry run, which has none.

    Raises:
        DataError: the data is missing or not what was declared.
        UsageError: the data does not go with the settings.
        ArtefactError: the data is not that which the run began with.
    """
    pipeline = pipelines.get(settings.recipe.pipeline, **pipeline_arguments(settings))
    metrics = METRICS[pipeline.task]
    if settings.recipe.class_weights and pipeline.task not in ("classification", "binary"):
        raise UsageError(f"--class_weights: task {pipeline.task} has no classes")
    if settings.recipe.monitor not in metrics:
        raise UsageError(
            f"--monitor={settings.recipe.monitor}: task {pipeline.task} has {', '.join(metrics)}"
        )
    pipeline, rows = source.load(pipeline, data_dir=settings.data_dir or None)
    state = workdir.load_state(folder) if folder else None
    if state is None and settings.init_from:
        state = _inherited_state(settings, pipeline)
    pipeline = pipelines.prepared(pipeline, rows, state)
    _check_rows(settings, pipeline)
    if folder:
        workdir.check_data(folder, settings, pipeline)
        if workdir.load_state(folder) is None and pipeline.state:
            workdir.save_state(folder, pipeline.state)
    return pipeline


def take(pipeline: Pipeline, split: str, index: np.ndarray) -> dict[str, np.ndarray]:
    """Stored raw fields and target of some rows."""
    rows = pipeline.rows[split]
    if rows.table is None:
        return dict(rows.read(index))
    return {name: column[index] for name, column in rows.table.items()}


def examples(pipeline: Pipeline) -> dict[str, np.ndarray]:
    """A few raw rows of the test split, as a client would send them."""
    index = np.arange(min(_NUM_EXAMPLES, pipeline.rows["test"].num_rows))
    rows = take(pipeline, "test", index)
    return {name: rows[name] for name in pipeline.raw}


def _inherited_state(settings: Settings, pipeline: Pipeline) -> dict[str, np.ndarray] | None:
    """The fitted state of the run whose weights are taken, so that both mean the same."""
    folder = pathlib.Path(settings.init_from)
    state = workdir.load_state(folder)
    if state is None:
        return None
    theirs, _ = workdir.settings_of(folder)
    if theirs.recipe.pipeline != settings.recipe.pipeline or pipeline.bind is None:
        raise ArtefactError(
            f"--init_from={folder} was trained on {theirs.recipe.pipeline}, whose fitted state is "
            f"not for {settings.recipe.pipeline}"
        )
    return state


def _check_rows(settings: Settings, pipeline: Pipeline) -> None:
    missing = [split for split in SPLITS if split not in pipeline.rows]
    if missing:
        raise UsageError(f"{pipeline.name} has no {missing}; it has {sorted(pipeline.rows)}")
    num_rows, batch_size = pipeline.rows["train"].num_rows, settings.recipe.batch_size
    if num_rows < batch_size:
        raise UsageError(
            f"--batch_size={batch_size} is more than the {num_rows} training examples of "
            f"{pipeline.source}"
        )
