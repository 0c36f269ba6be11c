"""Settings, size, memory and time of a run, measured on a few steps; writes nothing."""

import dataclasses
import math
import tempfile
import time

import keras
import tensorflow as tf

import pipelines
from pipelines.core.prepared import Prepared
from pipelines.core.stream import stream
from pipelines.storage import builders
from trainers.config import sizes
from trainers.config.settings import FIELDS, Settings, values
from trainers.devices import loop, machine, precision
from trainers.devices.strategy import check_batch_size, choose
from trainers.evaluation import unseen
from trainers.store.finished import SPLITS
from trainers.training import compile as compiling
from trainers.training import data, fit, kernels
from trainers.training.model import TrainedModel
from trainers.ways import registry

_TIMED = 12  # steps, after a first execution that traces
_MOST_TIMED = 100  # steps per execution: the most that is chosen automatically


def describe(settings: Settings) -> str:
    """Resolved settings and estimates as text.

    A built-in data set that is not prepared yet is prepared in a temporary folder.

    Raises:
        DataError: the data set would have to be downloaded first.
    """
    strategy = choose(settings.replicas)
    divisor = registry.batch_divisor(settings.way, settings.way_options)
    check_batch_size(settings.recipe.batch_size, strategy, divisor)
    dtype, why = precision.choose_precision(settings.recipe.precision)
    prepared = _prepared(settings)
    unseen.warn(prepared, SPLITS)
    settings = sizes.chosen(settings, prepared.num_rows("train"))
    check_batch_size(settings.recipe.batch_size, strategy, divisor)  # again: now it is chosen
    model = compiling.compiled(settings, prepared, strategy, precision.policy(dtype))
    chosen = compiling.choices(settings, prepared, strategy)
    chosen = chosen._replace(jit_compile=model.jit_compile)  # XLA cannot compile every model
    steps = compiling.epoch_steps(settings, prepared)
    frozen = not model.trainable_variables  # then no step is taken
    seconds = 0.0 if frozen else _seconds_per_step(model, settings, prepared, strategy)
    memory = _memory(model, settings, prepared)
    total = 0 if frozen else settings.recipe.epochs * steps
    lines = [f"{field} = {value!r}" for field, value in _resolved(settings).items()]
    rows = ", ".join(f"{split} {rows.num_rows}" for split, rows in prepared.rows.items())
    return "\n".join(
        [
            *lines,
            "",
            f"run         {settings.run_dir} (not written)",
            f"data        {prepared.source}: {rows}",
            f"parameters  {model.count_params()}",
            f"precision   {dtype}: {why}",
            f"kernels     {kernels.installed(model)}",
            f"machine     {machine.describe(chosen)}",
            f"replicas    {strategy.num_replicas_in_sync}",
            f"memory      about {memory / 2**20:.0f} MiB for data, weights and a step",
            f"steps       {steps} an epoch, {total} in all, {seconds * 1e3:.1f} ms each, measured",
            f"time        about {_duration(seconds * total)} of training steps",
        ]
    )


def _resolved(settings: Settings) -> dict:
    return {
        name: value
        for name, value in values(settings).items()
        if FIELDS[name].metadata["changes_numbers"]
    }


def _prepared(settings: Settings) -> Prepared:
    name, data_dir = data.taken_from(settings, data.declared(settings))
    if not name:
        return data.load(settings, None)
    builder = builders.find_builder(name, data_dir)
    if builders.is_prepared(builder):
        return data.load(settings, None)
    if not getattr(builder, "BUILT_IN", False):
        raise pipelines.DataError(
            f"{name} is not prepared, and a dry run downloads nothing: run without it"
        )
    with tempfile.TemporaryDirectory() as folder:
        return data.load(dataclasses.replace(settings, data_dir=folder), None)


def _seconds_per_step(
    model: TrainedModel,
    settings: Settings,
    prepared: Prepared,
    strategy: tf.distribute.Strategy,
) -> float:
    recipe, chosen = settings.recipe, compiling.choices(settings, prepared, strategy)
    data = stream(
        fit.class_weighted(prepared, recipe.class_weights),
        "train",
        batch_size=recipe.batch_size,
        training=True,
        seed=recipe.seed,
        plan=compiling.plan(settings, prepared),
        threads=chosen.stream_threads,
    )
    data = machine.copied_ahead(data, chosen.device)
    # Each call is a whole pass, of at most _MOST_TIMED steps even at --steps_per_execution=5000.
    per_call = min(model.steps_per_execution, _MOST_TIMED)
    loop.count_steps(model, strategy, steps=per_call, validation_steps=1)
    iterator = iter(strategy.experimental_distribute_dataset(data))
    model.train_function(iterator)
    executions = math.ceil(_TIMED / per_call)
    started = time.perf_counter()
    for _ in range(executions):
        float(model.train_function(iterator)["loss"])
    return (time.perf_counter() - started) / (executions * per_call)


def _memory(model: keras.Model, settings: Settings, prepared: Prepared) -> int:
    """Bytes of tables, weights, gradients, optimizer and the activations that a step keeps."""
    tables = sum(
        column.nbytes for rows in prepared.rows.values() for column in (rows.table or {}).values()
    )
    weights = 4 * sum(
        math.prod(v.shape) for v in [*model.trainable_variables, *model.optimizer.variables]
    )
    gradients = 4 * sum(math.prod(v.shape) for v in model.trainable_variables)
    activations = sum(
        math.prod(size or 1 for size in layer.output.shape) * tf.as_dtype(layer.compute_dtype).size
        for layer in model.layers
        if hasattr(layer.output, "shape")
    )
    return tables + weights + gradients + 2 * settings.recipe.batch_size * activations


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
