"""The shapes that a pipeline's steps return, found by tracing them: nothing is typed twice."""

import functools

import tensorflow as tf

from pipelines.core.keys import Keys
from zoo.spec import DataSpec, Field


def signature(fields, batch_size: int | None = None) -> dict[str, tf.TensorSpec]:
    """TensorSpecs of a batch of these fields, by name."""
    return {
        name: tf.TensorSpec((batch_size, *field.shape), field.dtype, name=name)
        for name, field in fields.items()
    }


@functools.lru_cache(maxsize=16)  # a tokenizer takes a second to trace
def preprocess_function(preprocess, fields: tuple[tuple[str, Field], ...]):
    """`preprocess` as one graph, for batches of these fields of any size."""
    return _trace(preprocess, signature(dict(fields)))


def served(pipeline) -> dict[str, Field]:
    """Fields that `preprocess` returns for a batch of raw fields."""
    function = preprocess_function(pipeline.preprocess, tuple(pipeline.raw.items()))
    return _fields(function.structured_outputs)


def target(pipeline) -> Field:
    """The target of one example, as it is stored: a class, a number, or a flag for each label."""
    if pipeline.task == "multi_label":
        return Field((len(pipeline.class_names),), "float32")
    return Field((), "float32" if pipeline.task == "regression" else "int64")


def spec(pipeline) -> DataSpec:
    """Fields of x that `example` returns, with the task and the width of its output."""
    x, _, _ = batch_signature(pipeline)
    one = pipeline.task in ("binary", "regression")
    longest = [served(pipeline)[name].shape[0] for name in pipeline.padded]
    return DataSpec(
        _fields(x),
        pipeline.task,
        num_outputs=1 if one else len(pipeline.class_names),
        vocab_size=len(pipeline.state["vocabulary"]) if "vocabulary" in pipeline.state else None,
        max_length=max(longest, default=None),
    )


def batch_signature(pipeline) -> tuple:
    """TensorSpecs of a batch (x, y, weight) of any size."""
    keys = Keys(*(tf.TensorSpec(shape, tf.int64) for shape in ((), (), (None,))))
    inputs = served(pipeline)
    inputs |= {name: inputs[name]._replace(shape=(None,)) for name in pipeline.padded}
    (shape, dtype), example = target(pipeline), example_of(pipeline)
    spec = tf.TensorSpec((None, *shape), dtype)
    return _trace(example, signature(inputs), spec, keys).structured_outputs


def cut(pipeline, inputs: dict[str, tf.Tensor], width: tf.Tensor) -> dict[str, tf.Tensor]:
    """The inputs with the padded ones cut to their first `width` places."""
    return {k: v[:, :width] if k in pipeline.padded else v for k, v in inputs.items()}


def cut_to_need(pipeline, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The inputs with the padded ones cut to the longest row among them, one place at least."""
    if not pipeline.padded:
        return inputs
    lengths = [tf.math.count_nonzero(inputs[name], axis=1) for name in pipeline.padded]
    longest = tf.reduce_max(tf.concat([tf.ones(1, tf.int64), *lengths], axis=0))
    return cut(pipeline, inputs, longest)


def example_of(pipeline):
    """The pipeline's `example`, or the one that takes inputs and target as they are."""
    return pipeline.example or _as_they_are


def _as_they_are(inputs, target, keys):
    return inputs, target, tf.ones_like(keys.index, tf.float32)


def _trace(function, *specs):
    return tf.function(function, autograph=False).get_concrete_function(*specs)


def _fields(tensors) -> dict[str, Field]:
    return {name: Field(tuple(t.shape[1:]), t.dtype.name) for name, t in tensors.items()}
