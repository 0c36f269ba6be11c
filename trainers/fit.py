"""One `model.fit`: built, compiled, resumed and watched."""

import dataclasses
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo
from pipelines import Pipeline
from pipelines.stream import num_steps, stream
from pipelines.trace import batch_signature, example_of
from trainers import checkpoint, distribute, optimizers
from trainers.checkpoint import Checkpoint
from trainers.setup.errors import ArtefactError, UsageError
from trainers.setup.settings import Settings
from trainers.tasks import TASKS, reported_loss
from trainers.watch.monitor import Monitor
from trainers.watch.saver import NEW_PROGRESS, AveragedWeights, Saver, averages

_MOST_STEPS_PER_EXECUTION = 16  # a signal is answered between two executions


def build(settings: Settings, pipeline: Pipeline, policy: str) -> keras.Model:
    """The model for this data under a dtype policy.

    Raises:
        UsageError: the model does not take this data.
    """
    entry = zoo.get(settings.model)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = entry.build(pipeline.spec, **{**entry.hparams, **settings.hparams})
        if pipeline.task != "regression":
            return model
        mean, deviation = units(pipeline)
        # Networks answer with numbers around zero; the user's numbers have a place and a unit.
        rescale = keras.layers.Rescaling(deviation, mean, dtype="float32", name="units")
        return keras.Model(model.inputs, rescale(model.output), name=model.name)
    except ValueError as error:
        raise UsageError(f"{settings.model} on {pipeline.name}: {error}") from error
    finally:
        keras.config.set_dtype_policy(before)


def units(pipeline: Pipeline) -> tuple[float, float]:
    """Mean and standard deviation of a regression's training targets, as `prepare` found them."""
    state = pipeline.state
    return float(state.get("target_mean", 0.0)), float(state.get("target_deviation", 1.0))


def compiled(
    settings: Settings, pipeline: Pipeline, strategy: tf.distribute.Strategy, policy: str
) -> keras.Model:
    """The model ready for `fit`: optimizer, loss and metrics with all their variables built."""
    recipe, task = settings.recipe, TASKS[pipeline.task]
    epoch_steps = num_steps(pipeline, "train", batch_size=recipe.batch_size, training=True)
    # Names that Keras counts up, and start weights, do not depend on what this process did before.
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(recipe.seed)
    with strategy.scope():
        model = build(settings, pipeline, policy)
        optimizers.freeze(model.trainable_variables, recipe.lr_scale)
        if recipe.l1 or recipe.l2:
            for variable in model.trainable_variables:
                if len(variable.shape) >= 2:  # kernels and embeddings
                    variable.regularizer = keras.regularizers.L1L2(recipe.l1, recipe.l2)
        model.compile(
            optimizer=optimizers.build(recipe, recipe.epochs * epoch_steps),
            loss=task.loss(recipe.label_smoothing),
            # A regression is trained in units of the targets' deviation, and reported in theirs.
            loss_weights=[units(pipeline)[1] ** -2] if pipeline.task == "regression" else None,
            weighted_metrics=[reported_loss(task), *task.metrics(pipeline.spec.num_outputs)],
            steps_per_execution=recipe.steps_per_execution
            or max(1, min(_MOST_STEPS_PER_EXECUTION, epoch_steps // 10)),
            jit_compile=False,  # on a CPU it makes convolutions 1.4 to 5 times slower
        )
        optimizers.finish(model.optimizer, model.trainable_variables, recipe.lr_scale)
        distribute.cure(model, batch_signature(pipeline), strategy)
    return model


def fit(
    model: keras.Model,
    settings: Settings,
    pipeline: Pipeline,
    strategy: tf.distribute.Strategy,
    folder: pathlib.Path,
) -> dict[str, Any]:
    """Trains from the newest checkpoint on, or from the start, to the end of the recipe.

    Returns:
        The progress of the run: its best epoch, whether it stopped early, the seconds it took.

    Raises:
        InterruptedRunError: a signal or the time budget stopped it after a clean save.
        NonFiniteError: loss or weights are not finite; nothing bad was saved.
        ArtefactError: the checkpoint does not fit the model.
    """
    recipe = settings.recipe
    epoch_steps = num_steps(pipeline, "train", batch_size=recipe.batch_size, training=True)
    validation_steps = num_steps(
        pipeline, "validation", batch_size=recipe.batch_size, training=False
    )
    resumed = start(model, settings, pipeline, folder)
    step = resumed.step if resumed else 0
    progress = resumed.meta["progress"] if resumed else NEW_PROGRESS
    if step >= recipe.epochs * epoch_steps or progress["stopped"]:
        return progress

    train = stream(
        class_weighted(pipeline, recipe.class_weights),
        "train",
        batch_size=recipe.batch_size,
        training=True,
        seed=recipe.seed,
        start_step=step,
    )
    validation = stream(
        pipeline, "validation", batch_size=recipe.batch_size, training=False, seed=recipe.seed
    )
    skip = step % epoch_steps
    distribute.count_steps(
        model, strategy, steps=epoch_steps, validation_steps=validation_steps, skip=skip
    )
    saver = Saver(folder / "checkpoints", settings, resumed, epoch_steps)
    monitor = Monitor(folder, pipeline, settings, step=step, epoch_steps=epoch_steps)
    try:
        model.fit(
            train,
            epochs=recipe.epochs,
            initial_epoch=step // epoch_steps,
            steps_per_epoch=epoch_steps,
            validation_data=validation,
            validation_steps=validation_steps,
            callbacks=[*([AveragedWeights()] if recipe.ema else []), monitor, saver],
            shuffle=False,
            verbose=1 if sys.stdout.isatty() else 2,
        )
    finally:
        monitor.close()
        saver.restore_signals()
    return saver.progress


def start(
    model: keras.Model, settings: Settings, pipeline: Pipeline, folder: pathlib.Path
) -> Checkpoint | None:
    """Puts the newest checkpoint into the model, or else what `--init_from` or `adapt` gives."""
    newest = checkpoint.load_newest(folder / "checkpoints")
    if newest is not None:
        checkpoint.restore(checkpoint.variables_of(model), newest.arrays)
        return newest
    if settings.init_from:
        _start_from(model, pathlib.Path(settings.init_from))
        return None
    adapt = zoo.get(settings.model).adapt
    if adapt is not None:
        batch = stream(
            pipeline, "train", batch_size=settings.recipe.batch_size, training=False, seed=0
        ).take(1)
        for x, _, _ in batch:
            adapt(model, x)
    return None


def finished_weights(
    model: keras.Model, folder: pathlib.Path, progress: Mapping[str, Any], keep: str
) -> dict[str, np.ndarray]:
    """The weights that are tested and exported, by path: last or best; the averages with EMA.

    They are read back from the checkpoint, so that what is exported is what was saved.
    """
    checkpoints = folder / "checkpoints"
    step = progress["best_step"] if keep == "best" else checkpoint.steps(checkpoints)[-1]
    checkpoint.restore(checkpoint.variables_of(model), checkpoint.load(checkpoints, step).arrays)
    values = {variable.path: variable.numpy() for variable in model.weights}
    return values | {path: average.numpy() for path, (_, average) in averages(model).items()}


def class_weighted(pipeline: Pipeline, weights: str | tuple[float, ...]) -> Pipeline:
    """The pipeline with each example's weight multiplied by that of its class.

    Raises:
        UsageError: not one weight a class, or a class without examples cannot be balanced.
    """
    if not weights:
        return pipeline
    rows, num_classes = pipeline.rows["train"], len(pipeline.class_names)
    if weights == "balanced":
        if rows.table is None:
            raise UsageError(
                "--class_weights=balanced needs the labels in memory: give numbers instead"
            )
        counts = np.bincount(rows.table[rows.target], minlength=num_classes)
        if not counts.all():
            raise UsageError(
                f"--class_weights=balanced: no examples of {pipeline.class_names[counts.argmin()]}"
            )
        weights = rows.num_rows / (num_classes * counts)
    if len(weights) != num_classes:
        raise UsageError(
            f"--class_weights: expected {num_classes} numbers, received {len(weights)}"
        )
    table, example = np.asarray(weights, np.float32), example_of(pipeline)

    def weighted(inputs, target, keys):
        x, y, weight = example(inputs, target, keys)
        return x, y, weight * tf.gather(table, target)

    return dataclasses.replace(pipeline, example=weighted)


def _start_from(model: keras.Model, folder: pathlib.Path) -> None:
    """Takes weights of the same path and shape from a finished run; says which stay new."""
    found = checkpoint.load_newest(folder / "checkpoints")
    if found is None:
        raise ArtefactError(f"--init_from={folder} has no checkpoint")
    kept = []
    for variable in model.weights:
        array = found.arrays.get(f"model/{variable.path}")
        if array is not None and tuple(array.shape) == tuple(variable.shape):
            variable.assign(array)
        else:
            kept.append(variable.path)
    if len(kept) == len(model.weights):
        raise ArtefactError(f"--init_from={folder} has no weights that fit: {', '.join(kept)}")
    print(f"start weights from {folder}; new: {', '.join(kept) or 'none'}")
