"""Models that are ensembles: each member has its own loss, and all are combined into one answer.

The output of such a model has one axis more than the task's: (B, members, outputs). Training
minimises the mean of the members' losses; with the loss of their mean they would come to depend on
each other (Gorishniy et al. 2024, "TabM", arXiv 2410.24210). The combined answer, from the task's
`combine`, is measured, tested and exported.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from trainers.tasks.registry import Task
from trainers.training.model import identity


def combined(model: keras.Model, task: Task) -> keras.Model:
    """The model with its members combined, without new weights; unchanged if it has no members."""
    if not _has_members(task, model.output):
        return model
    return keras.Model(model.input, task.combine(model.output), name=model.name)


def trained(task: Task, loss: Callable, output: keras.KerasTensor) -> tuple[Callable, Callable]:
    """The loss (y, outputs, weight) for this output, and the function (outputs) -> answer."""
    return (loss_of(loss), task.combine) if _has_members(task, output) else (loss, identity)


def loss_of(loss: Callable) -> Callable:
    """The mean over members of `loss(y, outputs, weight)`: (B, members, outputs) to (B,)."""

    def of_members(y: tf.Tensor, outputs: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        members, width = outputs.shape[1:]
        y, weight = (tf.repeat(t, members, axis=0) for t in (y, weight))
        losses = loss(y, tf.reshape(outputs, [-1, width]), weight)  # (B * members,)
        return tf.reduce_mean(tf.reshape(losses, [-1, members]), axis=1)

    return of_members


def _has_members(task: Task, output: keras.KerasTensor) -> bool:
    return task.combine is not None and len(output.shape) == 3
