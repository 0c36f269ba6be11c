"""One `model.fit`: resumed, watched, and gone back from where numbers blow up."""

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
from pipelines.core.specs import example_of
from pipelines.core.stream import num_steps, stream
from trainers.config.settings import Settings
from trainers.devices import keras_patches as distribute
from trainers.errors import ArtefactError, InterruptedRunError, NonFiniteError, UsageError
from trainers.store import checkpoint, keras_file
from trainers.store.checkpoint import Checkpoint
from trainers.training import optimizers
from trainers.training.callbacks import signals
from trainers.training.callbacks.monitor import Monitor
from trainers.training.callbacks.saver import NEW_PROGRESS, AveragedWeights, Saver, averages


def fit(
    model: keras.Model,
    settings: Settings,
    pipeline: Pipeline,
    strategy: tf.distribute.Strategy,
    folder: pathlib.Path,
    run: str,
) -> dict[str, Any]:
    """Trains from the newest checkpoint on, or from the start, to the end of the recipe.

    Where numbers are not finite it goes back to that checkpoint as often as `recover_tries` says.
    The same steps would meet the same numbers: each time the learning rate is halved, for the rest
    of the run.

    Args:
        run: its number, that its checkpoints must carry.

    Returns:
        The progress of the run: its best epoch, whether it stopped early, the seconds it took.

    Raises:
        InterruptedRunError: a signal or the time budget stopped it after a clean save.
        NonFiniteError: loss, gradients or weights are not finite; nothing bad was saved.
        ArtefactError: the checkpoint does not fit the model, or is of another run.
    """
    checkpoint.begin(folder / "checkpoints")
    rollbacks: list[dict[str, Any]] = []
    while True:
        begun = start(model, settings, pipeline, folder, run)
        progress = begun.meta["progress"]
        again = len(rollbacks) - len(progress["rollbacks"])
        if again > 0:
            progress |= {
                "rollbacks": rollbacks,
                "rate_factor": progress["rate_factor"] / 2**again,
            }
        try:
            return _fit_once(model, settings, pipeline, strategy, folder, begun)
        except NonFiniteError as error:
            if len(progress["rollbacks"]) >= settings.recover_tries:
                raise
            last = checkpoint.steps(folder / "checkpoints")[-1]
            because = str(error).partition(";")[0]
            rollbacks = [
                *progress["rollbacks"],
                {"step": error.step, "to": last, "because": because},
            ]
            print(
                f"{because}: back to step {last}, at half the learning rate "
                f"({len(rollbacks)} of {settings.recover_tries} tries)"
            )


def _fit_once(
    model: keras.Model,
    settings: Settings,
    pipeline: Pipeline,
    strategy: tf.distribute.Strategy,
    folder: pathlib.Path,
    begun: Checkpoint,
) -> dict[str, Any]:
    recipe = settings.recipe
    epoch_steps = num_steps(pipeline, "train", batch_size=recipe.batch_size, training=True)
    validation_steps = num_steps(
        pipeline, "validation", batch_size=recipe.batch_size, training=False
    )
    step, progress = begun.step, begun.meta["progress"]
    # An epoch whose validation is still to come is entered once more, with all its steps taken.
    epoch = step // epoch_steps - (not progress["validated"])
    if epoch >= recipe.epochs or progress["stopped"]:
        return progress
    optimizers.set_rate_factor(model.optimizer, progress["rate_factor"])
    distribute.forget_bad_gradients(model)

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
    distribute.count_steps(
        model,
        strategy,
        steps=epoch_steps,
        validation_steps=validation_steps,
        skip=step - epoch * epoch_steps,
    )
    averaged = AveragedWeights() if recipe.ema else None
    monitor = Monitor(folder, pipeline, settings, step=step, epoch_steps=epoch_steps)
    with signals.noted() as request:
        saver = Saver(
            folder / "checkpoints",
            settings,
            begun,
            epoch_steps=epoch_steps,
            averaged=averaged,
            request=request,
        )
        try:
            model.fit(
                train,
                epochs=recipe.epochs,
                initial_epoch=epoch,
                steps_per_epoch=epoch_steps,
                validation_data=validation,
                validation_steps=validation_steps,
                callbacks=[*([averaged] if averaged else []), monitor, saver],
                shuffle=False,
                verbose=1 if sys.stdout.isatty() else 2,
            )
        finally:
            monitor.close()
    if request.number:  # after the last save
        raise InterruptedRunError(*request.met("trained to the end"))
    return saver.progress


def start(
    model: keras.Model, settings: Settings, pipeline: Pipeline, folder: pathlib.Path, run: str
) -> Checkpoint:
    """Puts the newest checkpoint into the model, or else what `--init_from` or `adapt` gives.

    Returns:
        That checkpoint with its metrics alone, or one of step 0 without arrays.

    Raises:
        ArtefactError: the checkpoint does not fit the model, or is of another run.
    """
    newest = checkpoint.load_newest(folder / "checkpoints")
    if newest is not None:
        if newest.meta.get("run") != run:
            raise ArtefactError(
                f"the checkpoint of step {newest.step} in {folder} is of another run: remove it"
            )
        checkpoint.restore(checkpoint.variables_of(model), newest.arrays)
        # Keras resets the metrics before the first epoch: they are put back there.
        metrics = {k: v for k, v in newest.arrays.items() if k.startswith("metrics/")}
        return newest._replace(arrays=metrics)
    new = Checkpoint(0, {}, {"run": run, "progress": dict(NEW_PROGRESS)})
    if settings.init_from:
        _start_from(model, pathlib.Path(settings.init_from), pipeline)
        return new
    adapt = zoo.get(settings.model).adapt
    if adapt is not None:
        batch = stream(
            pipeline, "train", batch_size=settings.recipe.batch_size, training=False, seed=0
        ).take(1)
        for x, _, _ in batch:
            adapt(model, x)
    return new


def finished_weights(
    model: keras.Model, folder: pathlib.Path, progress: Mapping[str, Any], keep: str
) -> dict[str, np.ndarray]:
    """The weights that are tested and exported, by path: last or best; the averages with EMA.

    They are read back from the checkpoint, so that what is exported is what was saved.
    """
    checkpoints = folder / "checkpoints"
    if not checkpoints.is_dir():
        raise FileNotFoundError(f"{folder} was removed while a run used it")
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


def _start_from(model: keras.Model, source: pathlib.Path, pipeline: Pipeline) -> None:
    """Takes weights of the same path and shape from a run or a .keras file; says which stay new."""
    if source.is_dir():
        found = checkpoint.load_newest(source / "checkpoints")
        if found is None:
            raise ArtefactError(f"--init_from={source} has no checkpoint")
        arrays = {
            key.removeprefix("model/"): array
            for key, array in found.arrays.items()
            if key.startswith("model/")
        }
    else:
        arrays = keras_file.load(source)
    kept = []
    for variable in model.weights:
        array = arrays.get(variable.path, np.array(""))
        numbers = array.dtype.name.startswith(("float", "bfloat"))
        if numbers and tuple(array.shape) == tuple(variable.shape):
            variable.assign(array)
        else:
            kept.append(variable.path)
    if len(kept) == len(model.weights):
        raise ArtefactError(f"--init_from={source} has no weights that fit: {', '.join(kept)}")
    print(f"start weights from {source}; new: {', '.join(kept) or 'none'}")
    if source.is_file() and pipeline.state:
        print(
            f"warning: {source} has weights alone: vocabulary or statistics were fitted anew and "
            "may not be those that it was trained under",
            file=sys.stderr,
        )
