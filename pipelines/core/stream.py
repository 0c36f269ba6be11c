"""Batches of (x, y, weight) from prepared rows, as a pure function of (seed, step)."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.core import tf_data
from pipelines.core.keys import Keys, integers
from pipelines.core.order import order
from pipelines.core.padding import cut
from pipelines.core.pipeline import Augment, Tensors
from pipelines.core.plan import Plan, evaluation_plan, training_plan
from pipelines.core.prepared import Prepared
from pipelines.core.rows import reader

_PREFETCHED = 4  # batches


def num_steps(prepared: Prepared, split: str, *, batch_size: int, training: bool) -> int:
    """Steps of one pass over the split: whole batches in training, all examples in evaluation."""
    num_rows = prepared.num_rows(split)
    return num_rows // batch_size if training else -(-num_rows // batch_size)


def stream(
    prepared: Prepared,
    split: str,
    *,
    batch_size: int,
    training: bool,
    seed: int,
    start_step: int = 0,
    shard: tuple[int, int] = (0, 1),
    plan: Plan | None = None,
    threads: int = 0,
    epochs: int = 0,
) -> tf.data.Dataset:
    """Batches of (x, y, weight) from step `start_step` on: `assemble` mapped over `order`.

    Training is endless, each epoch in another order. Evaluation is one pass over all examples; the
    last batch is padded with examples of weight 0.

    Args:
        batch_size: examples per step, over all shards together.
        start_step: the first step; those before it are skipped without being computed.
        shard: (i, n) yields worker i's part of every batch; n divides `batch_size`.
        plan: an order that replaces `default_plan`.
        threads: number of threads that make batches; 0: four if the stored rows have a `read`, as
            those on disk, else one: more would take cores from the training kernels.
        epochs: of the whole run, since augmentation may end before the run does; 0: it does not.

    Raises:
        ValueError: the split does not fill one batch, or `batch_size` is not divisible by n.
    """
    worker, workers = shard
    if batch_size % workers:
        raise ValueError(f"batch_size {batch_size} does not divide over {workers} shards")
    local_batch_size = batch_size // workers
    lengths = _lengths(prepared, split, training)
    plan = plan or default_plan(
        prepared, split, batch_size=batch_size, training=training, seed=seed
    )
    rows = order(
        plan,
        start_step=start_step,
        columns=slice(worker * local_batch_size, (worker + 1) * local_batch_size),
        lengths=lengths,
        most={name: prepared.serving_inputs[name].length for name in prepared.padded},
    )
    threads = threads or (4 if prepared.rows[split].read is not None else 1)
    make_batch = assemble(prepared, split, training=training, seed=seed, epochs=epochs)
    dataset = rows.map(make_batch, num_parallel_calls=threads)
    return dataset.prefetch(_PREFETCHED).with_options(tf_data.options(threads))


def default_plan(
    prepared: Prepared, split: str, *, batch_size: int, training: bool, seed: int
) -> Plan:
    """The plan of training: a permutation per epoch; or of evaluation: the stored order."""
    num_rows = prepared.num_rows(split)
    if not training:
        return evaluation_plan(num_rows, batch_size=batch_size)
    lengths = _lengths(prepared, split, training)
    longest = np.maximum.reduce(list(lengths.values())) if lengths else None
    return training_plan(num_rows, batch_size=batch_size, seed=seed, lengths=longest)


def assemble(
    prepared: Prepared, split: str, *, training: bool, seed: int, epochs: int = 0
) -> Callable:
    """The function of (epoch (), row numbers (B,), widths (P,)) that returns (x, y, weight).

    Row number -1 means no example and gets weight 0; `example` receives it unchanged.
    """
    rows = prepared.inputs_of(split)
    if _takes_stored(prepared, training):
        rows = prepared.rows[split]
    take, example, padded = reader(rows), prepared.example, prepared.padded

    def read(keys: Keys, augment: Augment | None = None) -> tuple[Tensors, Any]:
        inputs, target = take(keys.index)
        if augment is not None:
            inputs, target = augment(inputs, target, keys)
        if not rows.are_inputs:
            inputs = prepared.preprocess(inputs)
        return inputs, target

    if training:
        make_inputs = _changed(prepared, rows.num_rows, read, epochs)
    else:
        always = prepared.pipeline.augment if prepared.pipeline.augment_always else None
        make_inputs = functools.partial(read, augment=always)

    @tf.autograph.experimental.do_not_convert
    def batch(epoch: tf.Tensor, index: tf.Tensor, widths: tf.Tensor) -> tuple:
        real = index >= 0
        keys = Keys(tf.constant(seed, tf.int64), epoch, tf.maximum(index, 0))
        inputs, target = make_inputs(keys)
        keys = keys._replace(index=index)
        x, y, weight = example(cut(inputs, padded, widths), target, keys)
        real = tf.reshape(real, [-1] + [1] * (weight.shape.rank - 1))
        return x, y, weight * tf.cast(real, weight.dtype)

    return batch


def _changed(prepared: Prepared, num_rows: int, read: Callable, epochs: int) -> Callable:
    """A function of keys that reads rows, augmented and mixed as the pipeline declares.

    Args:
        read: (keys, augmentation or None) -> inputs and targets of the rows of `keys`.
        epochs: of the run; 0: unknown.
    """
    pipeline = prepared.pipeline

    def full(keys: Keys) -> tuple[Tensors, Any]:
        if pipeline.mix is None:
            return read(keys, pipeline.augment)
        return _mixed(prepared, num_rows, read, keys)

    def late(keys: Keys) -> tuple[Tensors, Any]:
        augment = pipeline.late_augment if pipeline.augment is not None else None
        inputs, target = read(keys, augment)
        return inputs, target if pipeline.mix is None else prepared.class_probabilities(target)

    until = round(pipeline.augment_until * epochs)
    if until >= epochs:
        return full
    return lambda keys: tf.cond(keys.epoch < until, lambda: full(keys), lambda: late(keys))


def _mixed(prepared: Prepared, num_rows: int, read: Callable, keys: Keys) -> tuple[Tensors, Any]:
    """Each row mixed with a randomly drawn one; both are augmented as if each were read alone."""
    own = keys.named("mix")
    partner = tf.cast(integers(own.named("partner"), 0, num_rows), tf.int64)
    both = keys._replace(index=tf.concat([keys.index, partner], axis=0))
    inputs, target = read(both, prepared.pipeline.augment)
    target, other_target = tf.split(prepared.class_probabilities(target), 2)
    halves = {name: tf.split(value, 2) for name, value in inputs.items()}
    first, second = ({name: half[i] for name, half in halves.items()} for i in range(2))
    return prepared.pipeline.mix(first, target, second, other_target, own)


def _lengths(prepared: Prepared, split: str, training: bool) -> dict[str, np.ndarray] | None:
    """Lengths of the padded inputs of each row; None if they are not preprocessed beforehand."""
    if not prepared.padded or _takes_stored(prepared, training):
        return None
    return prepared.inputs_of(split).lengths


def _takes_stored(prepared: Prepared, training: bool) -> bool:
    """Whether raw rows are read, because augmentation comes before preprocessing."""
    return _is_augmented(prepared, training) and prepared.pipeline.arrange is None


def _is_augmented(prepared: Prepared, training: bool) -> bool:
    pipeline = prepared.pipeline
    return pipeline.augment is not None and (training or pipeline.augment_always)
