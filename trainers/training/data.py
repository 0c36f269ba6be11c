"""Loads the data of a run, adapted to its task, with the state that the run fitted or adopts."""

import logging
import pathlib
from collections.abc import Sequence

import pipelines
import zoo
from pipelines.core.pipeline import Pipeline, Schema
from pipelines.core.prepared import Prepared, prepare
from pipelines.files.shown import shown
from pipelines.storage import builders, tfds
from trainers.config.checks import check_task_options, pipeline_arguments, task_of
from trainers.config.settings import Settings
from trainers.errors import UsageError
from trainers.evaluation.metrics import measures
from trainers.store import run_folder
from trainers.store import state as state_file
from trainers.tasks import registry as tasks
from trainers.training.start.run import adopted_state

_LOG = logging.getLogger(__name__)


def load(settings: Settings, folder: pathlib.Path | None) -> Prepared:
    """The prepared data, with the state that the run in `folder` stored, or else fitted now.

    Args:
        folder: of the run; None: a dry run, which has none.

    Raises:
        DataError: the data is missing or not what was declared.
        UsageError: the data does not suit the settings.
        ArtefactError: the data is not what the run began with.
    """
    pipeline = declared(settings)
    if pipeline.schema is not None:
        under_task(settings, pipeline, pipeline.schema)  # refuses before data is read
    pipeline, rows, schema = tfds.load(pipeline, data_dir=settings.data_dir or None)
    pipeline, schema = under_task(settings, pipeline, schema)
    form, stored = zoo.describe(settings.model).inputs, None
    if folder and run_folder.is_begun(folder):  # else a state there may be of other data
        stored = state_file.load(folder, default_form=next(iter(pipeline.forms)))
    state = (
        adopted_state(settings, pipeline, schema, rows.get("train"), form)
        if stored is None
        else stored
    )
    prepared = prepare(pipeline, schema, rows, form=form, state=state)
    _log_unused_columns(settings, schema, prepared)
    # The number of outputs is known only now: top_5_accuracy needs more than five.
    _check_monitor(
        settings, prepared, [m.name for m in measures(tasks.get(prepared.task), prepared)]
    )
    num_rows, batch_size = prepared.num_rows("train"), settings.recipe.batch_size
    if num_rows < batch_size:
        raise UsageError(
            f"--batch_size={batch_size} is more than the {num_rows} training examples of "
            f"{prepared.source}"
        )
    if folder:
        run_folder.check_data(folder, settings, prepared)
    return prepared


def _log_unused_columns(settings: Settings, schema: Schema, prepared: Prepared) -> None:
    left = [shown(name, 60) for name in schema.raw if name not in prepared.raw]
    if left:
        takes = "the run began without" if settings.model == "tabular" else "--model=tabular takes"
        _LOG.info("left out: %s (free text, which %s)", ", ".join(left), takes)


def declared(settings: Settings) -> Pipeline:
    """The run's data set as its task uses it, without reading data."""
    pipeline = pipelines.get(settings.recipe.pipeline, **pipeline_arguments(settings))
    return tasks.source(task_of(settings, ""), pipeline)


def check_present(settings: Settings) -> None:
    """Raises MissingDataError if a run's data would have to be downloaded; downloads nothing.

    The user's own files are checked only when they are read.
    """
    name, data_dir = taken_from(settings, declared(settings))
    if name:
        builders.check_prepared(name, data_dir)


def taken_from(settings: Settings, pipeline: Pipeline) -> tuple[str, str | None]:
    """The data set of TFDS that a pipeline reads, or none (empty), and the folder of the data."""
    name = pipeline.source if pipeline.read is None else pipeline.dataset
    return name, pipeline.options.get("data_dir") or settings.data_dir or None


def under_task(settings: Settings, pipeline: Pipeline, schema: Schema) -> tuple[Pipeline, Schema]:
    """The pipeline and its schema under the task of the run.

    The task is --task, else the first of the model's own tasks, else the pipeline's.

    Raises:
        UsageError: the model is for other tasks, the task does not fit the data, or a setting does
            not fit the task.
    """
    name = task_of(settings, schema.task)
    check_task_options(settings, name)
    pipeline, schema = tasks.over(name, pipeline, schema, settings.task_options)
    if settings.judge and not tasks.get(name).generates:
        able = ", ".join(one for one in tasks.names() if tasks.get(one).generates)
        raise UsageError(f"--judge is for tasks that make images ({able}), not for task {name}")
    if settings.recipe.class_weights and not tasks.get(name).class_weights:
        raise UsageError(f"--class_weights: task {name} has no classes")
    if pipeline.mix is not None and not tasks.get(name).mixes:
        raise UsageError(f"--pipeline_options: mix: task {name} has no classes that can be mixed")
    _check_monitor(settings, pipeline, tasks.describe(name).metrics)
    return pipeline, schema


def _check_monitor(
    settings: Settings, pipeline: Pipeline | Prepared, metrics: Sequence[str]
) -> None:
    if settings.recipe.monitor not in metrics:
        raise UsageError(
            f"--monitor={settings.recipe.monitor}: expected one of {', '.join(metrics)}, the "
            f"metrics of this task on {pipeline.name}"
        )
