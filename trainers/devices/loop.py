"""Calls into TensorFlow that take an exact number of steps, on one device or several."""

from collections.abc import Callable

import keras
import tensorflow as tf


def count_steps(
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    *,
    steps: int,
    validation_steps: int,
    skip: int = 0,
) -> None:
    """Gives a `TrainedModel` train and test functions that run an exact number of steps.

    Args:
        steps: of an epoch.
        validation_steps: of a validation.
        skip: steps of the first epoch that an earlier process has already taken; the calls for them
            return at once, so that one `fit` continues in the middle of an epoch.
    """
    per_call = model.steps_per_execution
    train = _compiled(model.train_step, model.jit_compile)
    model.train_function = _counted(
        model, strategy, train, per_call, steps, skip, model.execution_loss
    )
    test = _compiled(model.test_step, model.jit_compile)
    model.test_function = _counted(model, strategy, test, per_call, validation_steps, 0)


def steps_to_take(position: int, per_call: int, per_pass: int, skip: int) -> int:
    """Steps of a call that begins at `position` of a pass; the first `skip` are already taken."""
    end = min(position + per_call, per_pass)
    return end - max(position, min(skip, end))


def _compiled(step: Callable, jit_compile: bool) -> Callable:
    return tf.function(step, jit_compile=True, autograph=False) if jit_compile else step


def _counted(
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    step: Callable,
    per_call: int,
    per_pass: int,
    skip: int,
    execution_loss: tf.Variable | None = None,
) -> Callable:
    @tf.function(reduce_retracing=True, autograph=False)
    def run_steps(iterator, count: tf.Tensor) -> dict[str, tf.Tensor]:
        def body(done: tf.Tensor) -> tf.Tensor:
            strategy.run(step, args=(next(iterator),))
            return done + 1

        if execution_loss is not None:
            before = model.take_loss()
        # The condition reads the counter only: the next step is queued before the last is done.
        tf.while_loop(lambda done: done < count, body, [tf.constant(0)])
        if execution_loss is not None:
            total, weight = model.take_loss()
            execution_loss.assign(tf.math.divide_no_nan(total, weight))
            # Not `before + now`: TensorFlow's graph optimizer merges that addition with those over
            # replicas, in an order that changes from start to start, and so does the last bit.
            sums = zip(before, (total, weight), strict=True)
            model.set_loss(*(tf.reduce_sum(tf.stack(pair)) for pair in sums))
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
        # An epoch with only its validation left reports metrics all the same.
        return {} if position else model.get_metrics_result()

    return function
