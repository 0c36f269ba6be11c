"""Metrics of an exported model: computed by the file that a server would load, from raw inputs."""

import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainers.errors import ArtefactError, UsageError

if TYPE_CHECKING:
    from pipelines import Pipeline


class Evaluation(NamedTuple):
    """What an exported model says of every example of a split, in stored order."""

    metrics: dict[str, float]  # the task's, by name
    outputs: dict[str, np.ndarray]  # the signature's, (N, ...) each; class names left out
    target: np.ndarray  # (N,), or (N, labels)


def evaluate(
    exported: pathlib.Path, pipeline: "Pipeline", split: str, *, batch_size: int
) -> Evaluation:
    """One pass of a SavedModel over every example of a split: metrics and answers.

    Args:
        exported: a version's directory.
        pipeline: prepared; its rows are sent raw, as a client would.

    Raises:
        ArtefactError: the export is damaged.
    """
    from trainers.store import saved_model

    model = saved_model.load(exported)  # owns the variables that its signature reads
    return _asked(model.signatures["serving_default"], pipeline, split, batch_size)


def evaluate_views(
    exported: pathlib.Path, pipeline: "Pipeline", split: str, *, batch_size: int
) -> dict[str, float]:
    """Metrics of a SavedModel whose logits are averaged over the views of every example.

    Raises:
        ArtefactError: the export is damaged.
        UsageError: the data has no views.
    """
    from trainers.store import saved_model

    if pipeline.views is None:
        raise UsageError(f"--views: the examples of {pipeline.name} have one view only")
    model = saved_model.load(exported)
    serve = model.signatures["serving_default"]

    def answer(**raw):
        views = pipeline.views(raw)
        return {"logits": sum(share * serve(**view)["logits"] for share, view in views)}

    return _asked(answer, pipeline, split, batch_size).metrics


def _asked(serve: Callable, pipeline: "Pipeline", split: str, batch_size: int) -> Evaluation:
    import tensorflow as tf

    from pipelines.core.plan import evaluation_plan
    from trainers.tasks.registry import TASKS, reported_loss
    from trainers.training.data import take

    task = TASKS[pipeline.task]
    metrics = [reported_loss(task), *task.metrics(pipeline.spec.num_outputs)]
    answers, targets = [], []
    for index in evaluation_plan(pipeline.rows[split].num_rows, batch_size=batch_size):
        batch = take(pipeline, split, index[index >= 0])
        outputs = serve(**{name: tf.constant(batch[name]) for name in pipeline.raw})
        for metric in metrics:
            metric.update_state(batch[pipeline.target], outputs["logits"])
        answers.append({k: v.numpy() for k, v in outputs.items() if v.dtype != tf.string})
        targets.append(batch[pipeline.target])
    return Evaluation(
        {metric.name: float(metric.result()) for metric in metrics},
        {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]},
        np.concatenate(targets),
    )


def evaluate_run(folder: pathlib.Path, split: str, *, views: bool = False) -> dict[str, float]:
    """Metrics of a finished run's newest export on one split, of all views of it on request.

    Raises:
        ArtefactError: the folder holds no run, or one that has exported nothing.
        UsageError: there is no such split.
    """
    from trainers.serving import export
    from trainers.store import run_folder
    from trainers.training import data

    settings, _ = run_folder.settings_of(folder)
    place = folder / "export" / settings.model
    versions = export.versions(place)
    if not versions:
        raise ArtefactError(f"{folder} has no export: the same trainers.run command finishes it")
    pipeline = data.load(settings, folder)
    if split not in pipeline.rows:
        raise UsageError(f"--split={split}: the splits are {', '.join(pipeline.rows)}")
    exported = place / str(versions[-1])
    batch_size = settings.recipe.batch_size
    if views:
        return evaluate_views(exported, pipeline, split, batch_size=batch_size)
    return evaluate(exported, pipeline, split, batch_size=batch_size).metrics
