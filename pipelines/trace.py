"""The shapes that a pipeline's steps return, found by tracing them: nothing is typed twice."""

import tensorflow as tf

from pipelines.keys import Keys
from zoo.spec import DataSpec, Field


def signature(fields, batch_size: int | None = None) -> dict[str, tf.TensorSpec]:
    """TensorSpecs of a batch of these fields, by name."""
    return {
        name: tf.TensorSpec((batch_size, *field.shape), field.dtype, name=name)
        for name, field in fields.items()
    }


def served(pipeline) -> dict[str, Field]:
    """Fields that `preprocess` returns for a batch of raw fields."""
    return _fields(_trace(pipeline.preprocess, signature(pipeline.raw)))


def spec(pipeline) -> DataSpec:
    """Fields of x that `example` returns, with the task and the width of its output."""
    x, _, _ = batch_signature(pipeline)
    num_outputs = 1 if pipeline.task == "binary" else len(pipeline.class_names)
    return DataSpec(_fields(x), pipeline.task, num_outputs)


def batch_signature(pipeline) -> tuple:
    """TensorSpecs of a batch (x, y, weight) of any size."""
    keys = Keys(*(tf.TensorSpec(shape, tf.int64) for shape in ((), (), (None,))))
    target = tf.TensorSpec((None,), tf.int64)
    return _trace(example_of(pipeline), signature(served(pipeline)), target, keys)


def example_of(pipeline):
    """The pipeline's `example`, or the one that takes inputs and target as they are."""
    return pipeline.example or _as_they_are


def _as_they_are(inputs, target, keys):
    return inputs, target, tf.ones_like(keys.index, tf.float32)


def _trace(function, *specs):
    return tf.function(function, autograph=False).get_concrete_function(*specs).structured_outputs


def _fields(tensors) -> dict[str, Field]:
    return {name: Field(tuple(t.shape[1:]), t.dtype.name) for name, t in tensors.items()}
