"""The training step, from a batch to the updated weights; it is written only here."""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from trainers.training import gradients as of
from trainers.training import loss_scale
from trainers.ways.way import Way


def identity(outputs):
    """The outputs themselves: the default answer of a model."""
    return outputs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """What a step minimises and measures."""

    loss: Callable  # (y, outputs, weight) -> weighted losses, one per element: (B,) or (B, T)
    metrics: Sequence[keras.metrics.Metric]  # of (y, answer), weighted; the first is the loss
    batch_size: int  # of the update, over all replicas
    elements: int  # losses per example: 1, or the full length of a sequence
    answer: Callable = identity  # (outputs) -> what the metrics take
    reduction: str = "mean"  # over elements of the batch, or "sum"
    clip_norm: float = 0.0  # largest global norm of the gradients; 0: no clipping
    keep_rows: bool = False  # gradients of embeddings stay sparse (tf.IndexedSlices)


class Gradients(NamedTuple):
    """The gradient norm of the last step, and the first step that was refused."""

    norm: float  # global, before clipping
    bad_step: int | None  # counted from 1; None: there was none
    bad_path: str | None  # of the first variable whose gradient was not finite


class TrainedModel(keras.Model):
    """A functional model, built from inputs and outputs, with the training step below.

    Under a strategy each replica runs `train_step` on its share of the batch. `gradient_norm`,
    `first_bad` and `execution_loss` are read between two calls into TensorFlow.
    """

    def compile(self, optimizer, objective: Objective, ways: Sequence[Way] = (), **options) -> None:
        """Sets the optimizer, the objective and the ways; `options` are those of Keras."""
        with warnings.catch_warnings():  # the run's own log says whether XLA compiles its steps
            warnings.filterwarnings("ignore", "Model doesn't support `jit_compile")
            super().compile(optimizer=optimizer, **options)
        self.objective, self.ways = objective, tuple(ways)
        for way in self.ways:
            if way.gradients is not None:
                self.gradients = functools.partial(way.gradients, self, self.gradients)
            if way.step is not None:
                self.train_step = functools.partial(way.step, self)
        kept = {"trainable": False, "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}
        self.gradient_norm = tf.Variable(0.0, **kept)
        self.first_bad = tf.Variable([0, 0], dtype=tf.int64, **kept)  # step, index of the variable
        self.execution_loss = tf.Variable(0.0, **kept)  # of the last call into TensorFlow alone

    def train_step(self, batch) -> None:
        """One update from a batch of (x, y, weight), and its metrics."""
        before = [tf.identity(variable) for variable in self.statistics]
        gradients, outputs = self.gradients(batch)
        self.update(gradients, before)
        self.measure(batch, outputs)

    def gradients(self, batch):
        """Gradients of this replica's part of the loss, and the outputs."""
        x, _, _ = batch
        with tf.GradientTape() as tape:
            outputs = self(x, training=True)
            loss = self.optimizer.scale_loss(self.loss_of(batch, outputs))
        zero = tf.UnconnectedGradients.ZERO  # of a variable that the loss does not depend on
        return tape.gradient(loss, self.trainable_variables, unconnected_gradients=zero), outputs

    def loss_of(self, batch, outputs) -> tf.Tensor:
        """A batch's part of the loss; the parts of all replicas and slices add up to the whole."""
        objective, (_, y, weight) = self.objective, batch
        losses = objective.loss(y, outputs, weight)
        loss = tf.reduce_sum(losses)
        if objective.reduction == "mean":
            loss /= objective.batch_size * objective.elements
        if self.losses:  # penalties on weights
            part = tf.cast(tf.shape(losses)[0], loss.dtype) / objective.batch_size
            loss += part * tf.add_n([tf.reduce_sum(penalty) for penalty in self.losses])
        return loss

    def update(self, gradients, before) -> None:
        """Sums gradients over replicas, measures, clips and applies them, unless one is not finite.

        Args:
            before: values of `statistics` before the step.
        """
        replica = tf.distribute.get_replica_context()
        gradients = [(of.combined if self.objective.keep_rows else of.dense)(g) for g in gradients]
        if replica.num_replicas_in_sync > 1:
            gradients = replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        if loss_scale.is_scaled(self.optimizer):
            gradients = [of.scaled(g, 1.0 / self.optimizer.dynamic_scale) for g in gradients]
        sizes = tf.stack([of.half_square(gradient) for gradient in gradients])
        norm = tf.sqrt(2.0 * tf.reduce_sum(sizes))
        if self.objective.clip_norm:
            factor = tf.minimum(1.0, self.objective.clip_norm / norm)
            gradients = [of.scaled(gradient, factor) for gradient in gradients]
        # Replicas may not branch around updates: in merge_call one branch decides for all.
        replica.merge_call(self._apply_if_finite, args=(gradients, sizes, norm, before))

    def measure(self, batch, outputs) -> None:
        """Updates the metrics with a batch."""
        _, y, weight = batch
        answer = self.objective.answer(outputs)
        for metric in self.metrics:
            metric.update_state(y, answer, sample_weight=weight)

    def test_step(self, batch) -> None:
        """Updates the metrics with a batch, in inference mode."""
        x, _, _ = batch
        self.measure(batch, self(x, training=False))

    def _apply_if_finite(self, strategy, gradients, sizes, norm, before) -> None:
        """Applies the gradients on all replicas, or leaves every weight as it was.

        Under float16 a step that overflows halves the loss scale and is skipped; it is refused
        only at a scale of 1. After a refused step none is applied until `forget_bad_step`.
        """
        sizes, norm = (strategy.experimental_local_results(value)[0] for value in (sizes, norm))
        on_replicas = strategy.extended.call_for_each_replica
        bad = tf.logical_not(tf.math.is_finite(sizes))
        stopped = self.first_bad[0] > 0
        self.gradient_norm.assign(norm)

        def apply():
            on_replicas(self._apply, args=(gradients,))
            if loss_scale.is_scaled(self.optimizer):
                loss_scale.count_success(self.optimizer)

        def refuse():
            refused = tf.logical_not(stopped)
            if loss_scale.is_scaled(self.optimizer):
                overflow = tf.convert_to_tensor(self.optimizer.dynamic_scale) > 1.0
                loss_scale.halve(self.optimizer, overflow & refused)
                refused &= tf.logical_not(overflow)
            step = tf.cast(tf.convert_to_tensor(self.optimizer.iterations), tf.int64) + 1
            step_and_index = tf.stack([step, tf.argmax(bad)])
            self.first_bad.assign(tf.where(refused, step_and_index, self.first_bad))
            on_replicas(self._restore, args=(before,))

        tf.cond(tf.reduce_any(bad) | stopped, refuse, apply)

    def _apply(self, gradients) -> None:
        variables = self.trainable_variables
        loss_scale.unwrapped(self.optimizer).apply(gradients, variables)
        for way in self.ways:
            if way.after_update is not None:
                way.after_update(variables)

    def _restore(self, before) -> None:
        for variable, value in zip(self.statistics, before, strict=True):
            variable.assign(value)

    @property
    def statistics(self) -> list[keras.Variable]:
        """Variables that the forward pass updates: moving statistics, but no random states."""
        return [v for v in self.non_trainable_variables if v.dtype.startswith(("float", "bfloat"))]

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The objective's metrics: Keras's own loss metric would count padding."""
        return list(self.objective.metrics) if self.compiled else []

    def take_loss(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the first metric's weighted sum of losses and sum of weights, and resets both.

        The difference of two running sums would lose precision late in a long epoch.
        """
        loss = self.metrics[0]
        taken = tf.identity(loss.total), tf.identity(loss.count)
        self.set_loss(*(tf.zeros_like(value) for value in taken))
        return taken

    def set_loss(self, total: tf.Tensor, weight: tf.Tensor) -> None:
        """Sets both sums; called once for all replicas."""
        self.metrics[0].total.assign(total)
        self.metrics[0].count.assign(weight)

    def last_gradients(self) -> Gradients:
        """The gradient norm of the last step, and the first step that was refused."""
        step, index = self.first_bad.numpy()
        path = self.trainable_variables[index].path if step else None
        return Gradients(float(self.gradient_norm.numpy()), int(step) or None, path)

    def forget_bad_step(self) -> None:
        """Lets steps be applied again after one was refused."""
        self.first_bad.assign([0, 0])
