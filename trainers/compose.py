"""The parts of a run put together: data with its state, records, and the model that is exported."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import pipelines
from pipelines import Pipeline, source
from trainers import fit, machine, workdir
from trainers.errors import ArtefactError, UsageError
from trainers.evaluate import take
from trainers.settings import METRICS, Settings, pipeline_arguments

_NUM_EXAMPLES = 8  # raw rows that an export is compared on


def load_pipeline(settings: Settings, folder: pathlib.Path, *, keep_state: bool = False) -> Pipeline:
    """The prepared data of a run, under the state that it fitted, or fits now and stores.

    Raises:
        DataError: the data is missing or not what was declared.
        UsageError: the task has no such metric as `--monitor`.
        ArtefactError: the data is not that which the run began with.
    """
    pipeline = pipelines.get(settings.recipe.pipeline, **pipeline_arguments(settings))
    if settings.recipe.monitor not in METRICS[pipeline.task]:
        raise UsageError(
            f"--monitor={settings.recipe.monitor}: task {pipeline.task} has {', '.join(METRICS[pipeline.task])}"
        )
    rows = source.load(pipeline, data_dir=settings.data_dir or None)
    state = workdir.load_state(folder)
    if state is None and settings.init_from:
        state = _inherited_state(settings, pipeline)
    pipeline = pipelines.prepared(pipeline, rows, state)
    if keep_state and state is None and pipeline.state:
        workdir.save_state(folder, pipeline.state)
    _check_sizes(settings, pipeline)
    earlier = workdir.read_json(folder / "run.json")
    found = workdir.data_fingerprint(pipeline)
    if earlier and earlier["data"]["fingerprint"] != found and not settings.resume_with_changes:
        raise ArtefactError(
            f"the data is not that of {folder}: {pipeline.source} had fingerprint "
            f"{earlier['data']['fingerprint']}, now {found}; choose another --workdir"
        )
    return pipeline


def record_run(
    folder: pathlib.Path,
    settings: Settings,
    pipeline: Pipeline,
    precision: str,
    why: str,
    strategy: tf.distribute.Strategy,
) -> None:
    """Writes run.json."""
    facts = {
        "precision": precision,
        "precision_because": why,
        "replicas": strategy.num_replicas_in_sync,
        "data": {
            "source": pipeline.source,
            "rows": {split: rows.num_rows for split, rows in pipeline.rows.items()},
            "fingerprint": workdir.data_fingerprint(pipeline),
        },
        **machine.describe(),
    }
    workdir.record(folder, settings, precision, facts)


def finished_report(folder: pathlib.Path, settings: Settings) -> dict[str, Any] | None:
    """The report of a run that is complete as these settings ask; None: there is something to do."""
    report = workdir.read_json(folder / "report.json")
    if report is None or (settings.resume_with_changes and report["epochs"] < settings.recipe.epochs):
        return None
    return report


def headline(
    settings: Settings,
    pipeline: Pipeline,
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    precision: str,
    why: str,
) -> str:
    """What is about to happen, in a few lines."""
    rows = " / ".join(f"{rows.num_rows} {split}" for split, rows in pipeline.rows.items())
    devices = strategy.extended.worker_devices if strategy.num_replicas_in_sync > 1 else ["one device"]
    return "\n".join(
        [
            f"{settings.model}: {model.count_params()} parameters on {pipeline.source} ({rows})",
            f"{precision} ({why}), {strategy.num_replicas_in_sync} replica(s) on {', '.join(devices)}, "
            f"{model.steps_per_execution} step(s) an execution",
            f"run in {settings.run_dir}",
        ]
    )


def for_export(settings: Settings, pipeline: Pipeline, weights: Mapping[str, np.ndarray]) -> keras.Model:
    """The model in float32 with these weights: what is tested and exported."""
    model = fit.build(settings, pipeline, "float32")
    for variable in model.weights:
        variable.assign(weights[variable.path])
    return model


def examples(pipeline: Pipeline) -> dict[str, np.ndarray]:
    """A few raw rows of the test split."""
    split = "test" if "test" in pipeline.rows else next(iter(pipeline.rows))
    rows = take(pipeline, split, np.arange(min(_NUM_EXAMPLES, pipeline.rows[split].num_rows)))
    return {name: rows[name] for name in pipeline.raw}


def card(settings: Settings) -> dict[str, Any]:
    """What the model.json beside an export says of its making."""
    recipe = dataclasses.asdict(settings.recipe)
    return {"model": settings.model, "hparams": settings.hparams, "recipe": recipe}


def _inherited_state(settings: Settings, pipeline: Pipeline) -> dict[str, np.ndarray] | None:
    """The fitted state of the run whose weights are taken, so that both mean the same."""
    folder = pathlib.Path(settings.init_from)
    state = workdir.load_state(folder)
    if state is None:
        return None
    theirs, _ = workdir.settings_of(folder)
    if theirs.recipe.pipeline != settings.recipe.pipeline or pipeline.bind is None:
        raise ArtefactError(
            f"--init_from={folder} was trained on {theirs.recipe.pipeline}, whose fitted state does not "
            f"fit {settings.recipe.pipeline}"
        )
    return state


def _check_sizes(settings: Settings, pipeline: Pipeline) -> None:
    for split in ("train", "validation", "test"):
        if split not in pipeline.rows:
            raise UsageError(f"{pipeline.name} has no split {split!r}; it has {sorted(pipeline.rows)}")
    if pipeline.rows["train"].num_rows < settings.recipe.batch_size:
        raise UsageError(
            f"--batch_size={settings.recipe.batch_size} is more than the "
            f"{pipeline.rows['train'].num_rows} training examples of {pipeline.source}"
        )
