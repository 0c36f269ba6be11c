"""Accumulates the gradients of a batch slice by slice, so that a large batch needs little memory.

The update, and so order, schedule, averages and checkpoints, are those of the whole batch. Batch
normalisation takes its statistics from one slice at a time.
"""

import tensorflow as tf
from keras import tree

from trainers.training import gradients as of
from trainers.ways.way import Way

OPTIONS = {"steps": 4}  # equal slices of each replica's share of a batch
LIMITS = {"steps": (1, 1025)}
BATCH_DIVISOR = "steps"


def way(*, steps: int) -> Way:
    """Gradients and outputs of the whole batch from `steps` slices of it."""

    def gradients(model, inner, batch):
        del model
        slices = [_slice(batch, i, steps) for i in range(steps)]
        total, outputs = inner(slices[0])
        outputs = [outputs]
        # Unrolled: sums of batch statistics over replicas fail within tf.while_loop.
        for part in slices[1:]:
            # A slice waits for the gradients before it, or all slices would be in memory at once.
            with tf.control_dependencies(tree.flatten([of.values(g) for g in total])):
                part = tree.map_structure(tf.identity, part)
            more, part_outputs = inner(part)
            total = [of.added(one, other) for one, other in zip(total, more, strict=True)]
            outputs.append(part_outputs)
        return total, tree.map_structure(lambda *parts: tf.concat(parts, axis=0), *outputs)

    return Way(gradients=gradients)


def _slice(batch, i: int, steps: int):
    def part(tensor: tf.Tensor) -> tf.Tensor:
        size = tf.shape(tensor)[0] // steps
        return tensor[i * size : (i + 1) * size]

    return tree.map_structure(part, batch)
