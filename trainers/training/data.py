"""The data of a run: loaded, with the state that it fitted, and checked against the settings."""

import pathlib

import numpy as np

import pipelines
from pipelines import SPLITS, Pipeline
from pipelines.storage import tfds as source
from trainers.config.settings import METRICS, Settings, pipeline_arguments
from trainers.errors import ArtefactError, UsageError
from trainers.store import run_folder

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
    few = len(pipeline.class_names) <= 5  # then there is no top_5_accuracy; see trainers.tasks
    metrics = [m for m in METRICS[pipeline.task] if not (few and m == "top_5_accuracy")]
    if settings.recipe.class_weights and pipeline.task not in ("classification", "binary"):
        raise UsageError(f"--class_weights: task {pipeline.task} has no classes")
    if settings.recipe.monitor not in metrics:
        raise UsageError(
            f"--monitor={settings.recipe.monitor}: {pipeline.name} ({pipeline.task}) has "
            f"{', '.join(metrics)}"
        )
    pipeline, rows = source.load(pipeline, data_dir=settings.data_dir or None)
    state = run_folder.load_state(folder) if folder else None
    if state is None and settings.init_from:
        state = _inherited_state(settings, pipeline)
    pipeline = pipelines.prepared(pipeline, rows, state)
    _check_rows(settings, pipeline)
    if folder:
        run_folder.check_data(folder, settings, pipeline)
        if run_folder.load_state(folder) is None and pipeline.state:
            run_folder.save_state(folder, pipeline.state)
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
    state = run_folder.load_state(folder)
    if state is None:
        return None
    theirs, _ = run_folder.settings_of(folder)
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
