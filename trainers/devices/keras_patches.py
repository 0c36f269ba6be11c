"""One device or many, and the cures for what Keras 3.15 gets wrong under tf.distribute.

Every patch of Keras's private code is in this file. `cure` refuses versions it was not tried on,
and tests/test_distribute.py has one test for each defect that fails once Keras has mended it:

* `fit` pulls a real batch through `strategy.reduce` to build the model: strings and batches that
  do not divide evenly crash there (keras#19246). Here everything is built from zeros first.
* several steps per execution fail under a strategy, and elsewhere overshoot an epoch that they do
  not divide. Here the loop takes an explicit number of steps.
* gradients are clipped on each replica before they are summed, so the update depends on the number
  of replicas. Here the sum is clipped.
* gradients of embeddings are rows, one for each token: their norm counts a word that occurs twice
  as two words, on one device too, and gathering them over replicas fails where a step of a loop has
  another number of tokens than the first. Here they are whole tables before anything is done.
* dropout draws the same mask on every replica. Here each folds its number into the seed.

Between sum and clip every step's gradients are measured: of all the numbers of a step they are the
ones that show first that something is not finite. A loss can hide it (a fused ReLU on a CPU does).
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import tree

from trainers.errors import UsageError

_TRIED = ("3.15", "3.16")
_SEED_STEP = 0x3C6EF372  # an odd-looking stride between the seeds of two replicas


def choose(replicas: int) -> tf.distribute.Strategy:
    """The strategy for so many devices; 0: all GPUs there are, or one CPU.

    On a machine without GPUs, N replicas are N logical devices of its CPU: no faster, but the same
    arithmetic as N GPUs. Call it before TensorFlow has started.

    Raises:
        UsageError: there are not so many devices.
    """
    gpus = tf.config.list_physical_devices("GPU")
    wanted = replicas or max(1, len(gpus))
    if wanted == 1:
        return tf.distribute.get_strategy()
    if gpus:
        if wanted > len(gpus):
            raise UsageError(f"--replicas={wanted}, but this machine has {len(gpus)} GPUs")
        return _mirrored(tuple(f"GPU:{i}" for i in range(wanted)))
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * wanted
        )
    except RuntimeError:
        started = len(tf.config.list_logical_devices("CPU"))
        if started < wanted:
            raise UsageError(
                f"--replicas={wanted}, but TensorFlow has already started with {started} CPU "
                "device(s) in this process: start a new one"
            ) from None
    return _mirrored(tuple(f"CPU:{i}" for i in range(wanted)))


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    """One strategy for these devices in a process: two would number their reductions alike."""
    return tf.distribute.MirroredStrategy(devices)


def check_batch_size(batch_size: int, strategy: tf.distribute.Strategy) -> None:
    """UsageError unless every replica gets an equal share of a batch."""
    if batch_size % strategy.num_replicas_in_sync:
        raise UsageError(
            f"--batch_size={batch_size} does not divide over "
            f"{strategy.num_replicas_in_sync} replicas"
        )


def cure(model: keras.Model, example: tuple, strategy: tf.distribute.Strategy) -> None:
    """Builds a compiled model's metrics and mends what fails under a strategy; inside its scope.

    Args:
        model: compiled, its optimizer built.
        example: specs of one batch (x, y, weight) for one replica.
    """
    if not keras.__version__.startswith(_TRIED):
        raise RuntimeError(f"trainers.distribute knows Keras {_TRIED}, found {keras.__version__}")
    model._symbolic_build(data_batch=tree.map_structure(_zeros, example))
    model._maybe_symbolic_build = lambda iterator=None, data_batch=None: None
    optimizer = _inner(model)
    measure = _measure(optimizer)
    if strategy.num_replicas_in_sync == 1:
        _measure_then_clip(optimizer, measure)
    else:
        _sum_then_clip(optimizer, measure)
        for layer in model._flatten_layers():
            for generator in layer._seed_generators:
                _differ_by_replica(generator)


class Gradients(NamedTuple):
    """What the gradients of the last step were, and of the first step that was not finite."""

    norm: float  # of all gradients together, before clipping
    bad_step: int | None  # counted from 1; None: there was none
    bad_path: str | None  # of the first variable whose gradient was not finite


def gradients_of(model: keras.Model) -> Gradients:
    """The measures of a model that `cure` has mended, as of its last step."""
    optimizer = _inner(model)
    step, index = optimizer.first_bad.read_value().numpy()
    bad = (int(step), optimizer._trainable_variables[index].path) if step else (None, None)
    return Gradients(float(optimizer.gradient_norm.read_value()), *bad)


def forget_bad_gradients(model: keras.Model) -> None:
    """Lets steps be taken again after one that was not finite."""
    _inner(model).first_bad.assign([0, 0])


def count_steps(
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    *,
    steps: int,
    validation_steps: int,
    skip: int,
) -> None:
    """Gives the compiled model train and test functions that run an exact number of steps.

    Args:
        steps: of an epoch.
        validation_steps: of a validation.
        skip: steps of the first epoch that an earlier process has already taken; the calls for them
            return at once, so that one `fit` continues in the middle of an epoch.
    """
    per_call = model.steps_per_execution
    model.train_function = _counted(model, strategy, model.train_step, per_call, steps, skip)
    model.test_function = _counted(model, strategy, model.test_step, per_call, validation_steps, 0)


def steps_to_take(position: int, per_call: int, per_pass: int, skip: int) -> int:
    """Steps that a call takes which begins at `position` of a pass; the first `skip` are taken."""
    end = min(position + per_call, per_pass)
    return end - max(position, min(skip, end))


def _counted(
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    step: Callable,
    per_call: int,
    per_pass: int,
    skip: int,
) -> Callable:
    bad = _inner(model).first_bad

    @tf.function(reduce_retracing=True, autograph=False)
    def run_steps(iterator, count: tf.Tensor) -> dict[str, tf.Tensor]:
        def body(done: tf.Tensor) -> tf.Tensor:
            strategy.run(step, args=(next(iterator),))
            return done + 1

        def more(done: tf.Tensor) -> tf.Tensor:  # nothing is built upon a step that is not finite
            return (done < count) & (bad.read_value()[0] == 0)

        tf.while_loop(more, body, [tf.constant(0)])
        return model.get_metrics_result()

    position = 0

    def function(iterator) -> dict[str, tf.Tensor]:
        nonlocal position, skip
        count = steps_to_take(position, per_call, per_pass, skip)
        position = min(position + per_call, per_pass) % per_pass
        if position == 0:
            skip = 0
        if count:
            return run_steps(iterator, tf.constant(count))
        # An epoch of which only the validation is left to do has metrics all the same.
        return {} if position else model.get_metrics_result()

    return function


def _zeros(spec: tf.TensorSpec) -> tf.Tensor:
    return tf.zeros([1 if size is None else size for size in spec.shape], spec.dtype)


def _inner(model: keras.Model) -> keras.optimizers.Optimizer:
    """The optimizer that updates the weights: float16 has another around it, for its loss scale."""
    return getattr(model.optimizer, "inner_optimizer", model.optimizer)


def _measure(optimizer) -> Callable:
    """Gives the optimizer `gradient_norm` and `first_bad`, and returns what keeps them up."""
    # Written by every replica for itself, all alike after the sum; that of the first is read.
    kept = {
        "trainable": False,
        "synchronization": tf.VariableSynchronization.ON_READ,
        "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA,
    }
    optimizer.gradient_norm = tf.Variable(0.0, **kept)
    optimizer.first_bad = tf.Variable([0, 0], dtype=tf.int64, **kept)  # step and variable's number

    def measure(gradients: list[tf.Tensor]) -> None:
        # One pass over each; a sum of squares that overflows is as useless as a NaN.
        sizes = tf.stack([tf.cast(tf.nn.l2_loss(g), tf.float32) for g in gradients])
        optimizer.gradient_norm.assign(tf.sqrt(2.0 * tf.reduce_sum(sizes)))
        bad = tf.logical_not(tf.math.is_finite(sizes))
        here = tf.stack([tf.cast(optimizer.iterations, tf.int64) + 1, tf.argmax(bad)])
        new = tf.reduce_any(bad) & (optimizer.first_bad[0] == 0)
        optimizer.first_bad.assign(tf.where(new, here, optimizer.first_bad))

    return measure


def _measure_then_clip(optimizer, measure: Callable) -> None:
    clip = optimizer._clip_gradients

    def measured_and_clipped(gradients):
        tables = [tf.convert_to_tensor(gradient) for gradient in gradients]
        measure(tables)
        return clip(tables)

    optimizer._clip_gradients = measured_and_clipped


def _sum_then_clip(optimizer, measure: Callable) -> None:
    clip, all_reduce = optimizer._clip_gradients, optimizer._all_reduce_sum_gradients

    def clipped_sum(grads_and_vars):
        reduced = all_reduce([(tf.convert_to_tensor(g), v) for g, v in grads_and_vars])
        gradients = [gradient for gradient, _ in reduced]
        measure(gradients)
        return [
            (gradient, variable)
            for gradient, (_, variable) in zip(clip(gradients), reduced, strict=True)
        ]

    optimizer._clip_gradients = lambda gradients: gradients
    optimizer._all_reduce_sum_gradients = clipped_sum


def _differ_by_replica(generator: keras.random.SeedGenerator) -> None:
    draw = generator.next

    def next_seed(ordered: bool = True) -> tf.Tensor:
        seed = draw(ordered)
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group if context else 0
        return seed + tf.cast(tf.stack([replica * _SEED_STEP, 0]), seed.dtype)

    generator.next = next_seed
