"""Metrics of an exported model, the file that a server would load, over every row."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

import zoo
from pipelines import DataError
from pipelines.core.plan import batches, evaluation_plan
from pipelines.core.prepared import Prepared
from pipelines.core.rows import take
from trainers.config.settings import Settings
from trainers.devices.precision import exact_float32
from trainers.errors import UsageError
from trainers.evaluation import unseen
from trainers.evaluation.metrics import measures
from trainers.serving.signatures import arguments_of
from trainers.store import exports, run_folder, saved_model
from trainers.tasks import registry
from trainers.tasks.registry import Signature, Task
from trainers.training import data
from trainers.training.compile import build


class Evaluation(NamedTuple):
    """A model's outputs for every example of a split, in stored order, and their metrics."""

    metrics: dict[str, float]  # the task's, by name
    row: np.ndarray  # (N,) row numbers in the split
    target: np.ndarray | None  # (N, ...) as stored; None where the data has none
    outputs: dict[str, np.ndarray]  # those that the task keeps, (N, ...) each


def evaluate(
    exported: pathlib.Path, settings: Settings, prepared: Prepared, split: str
) -> Evaluation:
    """One pass of a SavedModel over every example of a split.

    The task's `measured` signature is called with the arguments that it makes from each batch: raw
    rows as a client sends them, or x as the pipeline's `example` returns it.

    Args:
        exported: a version's directory.
        prepared: with rows.

    Raises:
        ArtefactError: the export is damaged.
    """
    task = registry.get(prepared.task)
    model = saved_model.load(exported)  # owns the variables that its signature reads
    function = model.signatures[task.measured]
    return ask(function, measured_signature(task, settings, prepared), settings, prepared, split)


def measured_signature(task: Task, settings: Settings, prepared: Prepared) -> Signature:
    """The signature that the task measures, over a model whose weights do not matter."""
    entry = zoo.get(settings.model)
    model = build(settings, prepared, "float32")
    hparams = {**entry.hparams, **settings.hparams}
    return task.signatures(entry, hparams, model, prepared)[task.measured]


def ask(
    function: Callable, signature: Signature, settings: Settings, prepared: Prepared, split: str
) -> Evaluation:
    """Metrics and outputs of a function over every example of a split.

    Args:
        function: takes what `signature.arguments` makes and returns tensors by name.
        settings: with the batch size and seed of the validation during training.
    """
    task = registry.get(prepared.task)
    metrics = measures(task, prepared)
    rows, answers, targets = [], [], []
    with exact_float32():
        for index, target, made in _batches(signature, settings, prepared, split):
            arguments, y, weight = made
            outputs = function(**arguments)
            for metric in metrics:
                metric.update_state(y, outputs[task.scored], weight)
            rows.append(index)
            targets.append(target)
            answers.append({name: outputs[name].numpy() for name in task.kept})
    return Evaluation(
        {metric.name: float(metric.result()) for metric in metrics},
        np.concatenate(rows),
        None if targets[0] is None else np.concatenate(targets),
        {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]},
    )


def evaluate_views(
    exported: pathlib.Path, settings: Settings, prepared: Prepared, split: str
) -> dict[str, float]:
    """Metrics of a SavedModel whose scores are averaged over the views of every example.

    Raises:
        ArtefactError: the export is damaged.
        UsageError: the data has no views, or the task has no scores of single examples.
    """
    task = registry.get(prepared.task)
    if prepared.pipeline.tta_views is None:
        raise UsageError(f"--views: the examples of {prepared.name} have one view only")
    if task.measured != "serving_default":
        raise UsageError(f"--views: task {prepared.task} has no scores of single examples")
    model = saved_model.load(exported)
    serve = model.signatures["serving_default"]

    def answer(**raw):
        views = [(fraction, serve(**view)) for fraction, view in prepared.pipeline.tta_views(raw)]
        mean = sum(fraction * outputs[task.scored] for fraction, outputs in views)
        return {**views[0][1], task.scored: mean}

    signature = measured_signature(task, settings, prepared)
    return ask(answer, signature, settings, prepared, split).metrics


def evaluate_run(folder: pathlib.Path, split: str, *, views: bool = False) -> dict[str, float]:
    """Metrics of a finished run's newest export on one split, averaged over views on request.

    Warns of values of the split that training never had.

    Raises:
        ArtefactError: the folder holds no run, or one that has exported nothing.
        DataError: the data of the run no longer exists.
        UsageError: there is no such split.
    """
    settings, _ = run_folder.settings_of(folder)
    settings = dataclasses.replace(settings, resume_with_changes=False)  # on the data it ended with
    exported = exports.newest(folder)
    try:
        prepared = data.load(settings, folder)
    except DataError as error:
        raise DataError(f"evaluating needs the data of the run: {error}") from error
    if split not in prepared.rows:
        raise UsageError(f"--split={split}: the splits are {', '.join(prepared.rows)}")
    unseen.warn_of_all(prepared, split)
    if views:
        return evaluate_views(exported, settings, prepared, split)
    return evaluate(exported, settings, prepared, split).metrics


def _batches(
    signature: Signature, settings: Settings, prepared: Prepared, split: str
) -> Iterator[tuple]:
    """(row numbers, targets, (arguments, y, weight)) of every batch, without padding rows."""
    rows = prepared.rows[split]
    if prepared.pipeline.arrange is not None:
        rows = prepared.inputs_of(split)
    made = None
    plan = evaluation_plan(rows.num_rows, batch_size=settings.recipe.batch_size)
    for index in batches(plan):
        stored = take(rows, index)
        target = None if rows.target is None else stored[rows.target]
        if made is None:
            made = arguments_of(
                signature,
                prepared,
                stored,
                seed=settings.recipe.seed,
                target=target,
                are_inputs=rows.are_inputs,
            )
        yield index, target, made(stored, target, index)
