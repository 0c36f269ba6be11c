"""Runs `model.fit`: resumes, monitors, and rolls back when a number is not finite."""

import logging
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines.core.prepared import Prepared
from pipelines.core.stream import num_steps, stream
from trainers.config.settings import Settings
from trainers.devices import loop, machine
from trainers.errors import InterruptedRunError, NonFiniteError, UsageError
from trainers.store import checkpoint
from trainers.store.checkpoint import Checkpoint
from trainers.store.run_folder import Run
from trainers.training import compile as compiling
from trainers.training import optimizers, resumable
from trainers.training.callbacks import signals
from trainers.training.callbacks.averages import AveragedWeights, warn_if_short
from trainers.training.callbacks.monitor import Monitor
from trainers.training.callbacks.saver import Saver
from trainers.training.model import TrainedModel
from trainers.training.start.sources import start
from zoo.spec import Recipe

_LOG = logging.getLogger(__name__)


def fit(
    model: TrainedModel,
    run: Run,
    strategy: tf.distribute.Strategy,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, Any]:
    """Trains to the end of the recipe, from the newest checkpoint or from the start.

    When a number is not finite, it goes back to the newest checkpoint, at most `recover_tries`
    times. The same steps would give the same numbers, so each time the learning rate is halved for
    the rest of the run.

    Args:
        callbacks: the user's own, called before those that log and save.

    Returns:
        The progress of the run: its best epoch, whether it stopped early, the seconds it took.

    Raises:
        InterruptedRunError: a signal or the time budget stopped it after a clean save.
        NonFiniteError: loss, gradients or weights are not finite; nothing bad was saved.
        ArtefactError: the checkpoint does not fit the model, or is of another run.
    """
    checkpoint.begin(run.folder / "checkpoints")
    rollbacks: list[dict[str, Any]] = []
    began = time.monotonic()
    while True:
        begin = start(model, run)
        progress = begin.meta["progress"]
        if not model.trainable_variables:
            return _save_untrained(begin, model, run)
        again = len(rollbacks) - len(progress["rollbacks"])
        if again > 0:
            progress |= {
                "rollbacks": rollbacks,
                "rate_factor": progress["rate_factor"] / 2**again,
            }
        try:
            return _fit_from(begin, model, run, strategy, callbacks, began)
        except NonFiniteError as error:
            # With tries left there is a checkpoint, unless the initial weights are not finite.
            saved = checkpoint.steps(run.folder / "checkpoints")
            if not saved or len(progress["rollbacks"]) >= run.settings.recover_tries:
                raise
            because = str(error).partition(";")[0]
            rollbacks = [
                *progress["rollbacks"],
                {"step": error.step, "to": saved[-1], "because": because},
            ]
            _LOG.warning(
                "%s: back to step %d, at half the learning rate (%d of %d tries)",
                because,
                saved[-1],
                len(rollbacks),
                run.settings.recover_tries,
            )


def _save_untrained(begin: Checkpoint, model: TrainedModel, run: Run) -> dict[str, Any]:
    """Saves the initial weights as step 0, since every weight is frozen: no step is taken."""
    if not begin.arrays:
        _LOG.info("every weight is frozen: the initial weights are tested and exported as they are")
        arrays = {k: np.asarray(v.numpy()) for k, v in checkpoint.variables_of(model).items()}
        whole = begin._replace(arrays=arrays)
        checkpoint.save(run.folder / "checkpoints", whole, best_step=None)
    return begin.meta["progress"]


def _fit_from(
    begin: Checkpoint,
    model: TrainedModel,
    run: Run,
    strategy: tf.distribute.Strategy,
    callbacks: Sequence[keras.callbacks.Callback],
    began: float,
) -> dict[str, Any]:
    """One `model.fit` to the end of the recipe, from a checkpoint already in the model."""
    settings, prepared, progress = run.settings, run.prepared, begin.meta["progress"]
    steps, size = compiling.epoch_steps(settings, prepared), settings.recipe.batch_size
    validation_steps = num_steps(prepared, "validation", batch_size=size, training=False)
    epoch = _first_epoch(begin, settings.recipe, steps)
    if epoch is None:
        return progress
    optimizers.set_rate_factor(model.optimizer, progress["rate_factor"])
    model.forget_bad_step()
    skip = begin.step - epoch * steps
    loop.count_steps(model, strategy, steps=steps, validation_steps=validation_steps, skip=skip)
    train, validation = _streams(settings, prepared, strategy, begin.step)
    monitor = Monitor(run, step=begin.step, validated=progress["validated"], epoch_steps=steps)
    averaged = [AveragedWeights()] if settings.recipe.ema else []
    warn_if_short(settings.recipe.ema, steps * settings.recipe.epochs)
    with signals.defer_signals() as request:
        more = {"epoch_steps": steps, "averaged": averaged, "began": began}
        saver = Saver(run, begin, request, monitor.flush, **more)
        try:
            model.fit(
                train,
                epochs=settings.recipe.epochs,
                initial_epoch=epoch,
                steps_per_epoch=steps,
                validation_data=validation,
                validation_steps=validation_steps,
                callbacks=[*averaged, *callbacks, monitor, saver],
                shuffle=False,
                verbose=0,
            )
        finally:
            monitor.close()
    if request.number:  # a signal came after the last save
        raise InterruptedRunError(*request.message_and_code("trained to the end"))
    return saver.progress


def _first_epoch(begin: Checkpoint, recipe: Recipe, steps: int) -> int | None:
    """The epoch in which a run continues from a checkpoint; None: it is complete."""
    progress = begin.meta["progress"]
    # --resume_with_changes may have changed the patience or the metric.
    progress["stopped"] = resumable.has_stopped(begin.meta, recipe)
    # An epoch that was saved before its validation is entered again, with all its steps done.
    epoch = begin.step // steps - (not progress["validated"])
    return None if epoch >= recipe.epochs or progress["stopped"] else epoch


def _streams(
    settings: Settings, prepared: Prepared, strategy: tf.distribute.Strategy, step: int
) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Training batches from `step` on, and validation batches."""
    recipe = settings.recipe
    chosen = compiling.choices(settings, prepared, strategy)
    train = stream(
        class_weighted(prepared, recipe.class_weights),
        "train",
        batch_size=recipe.batch_size,
        training=True,
        seed=recipe.seed,
        start_step=step,
        plan=compiling.plan(settings, prepared),
        threads=chosen.stream_threads,
        epochs=recipe.epochs,
    )
    validation = stream(
        prepared,
        "validation",
        batch_size=recipe.batch_size,
        training=False,
        seed=recipe.seed,
        threads=chosen.stream_threads,
    )
    return (
        machine.copied_ahead(train, chosen.device),
        machine.copied_ahead(validation, chosen.device),
    )


def class_weighted(prepared: Prepared, weights: str | tuple[float, ...]) -> Prepared:
    """The data with each example's weight multiplied by that of its class.

    Raises:
        UsageError: there is not one weight per class, or a class without examples cannot be
            balanced.
    """
    if not weights:
        return prepared
    rows, num_classes = prepared.rows["train"], len(prepared.class_names)
    if weights == "balanced":
        if rows.table is None:
            raise UsageError(
                "--class_weights=balanced needs the labels in memory: give numbers instead"
            )
        counts = np.bincount(rows.table[rows.target], minlength=num_classes)
        if not counts.all():
            raise UsageError(
                f"--class_weights=balanced: no examples of {prepared.class_names[counts.argmin()]}"
            )
        weights = rows.num_rows / (num_classes * counts)
    if len(weights) != num_classes:
        raise UsageError(
            f"--class_weights: expected {num_classes} numbers, received {len(weights)}"
        )
    table, example = np.asarray(weights, np.float32), prepared.example

    def weighted(inputs, target, keys):
        x, y, weight = example(inputs, target, keys)
        return x, y, weight * _class_weight(table, target)

    return prepared.replace(example=weighted)


def _class_weight(table: np.ndarray, target: tf.Tensor) -> tf.Tensor:
    """The weight of each target's class, (B,); the mean for soft targets (B, classes)."""
    if target.dtype.is_floating:
        return tf.linalg.matvec(target, table)
    return tf.gather(table, target)
