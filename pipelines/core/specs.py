"""Shapes and dtypes of what a pipeline's steps return, by tracing them."""

import functools
from collections.abc import Callable, Mapping

import tensorflow as tf

from zoo.spec import Field


def signature(fields: Mapping[str, Field], batch_size: int | None = None) -> dict:
    """TensorSpecs of a batch of these fields, by name."""
    return {
        name: tf.TensorSpec((batch_size, *field.shape), field.dtype, name=name)
        for name, field in fields.items()
    }


@functools.lru_cache(maxsize=16)  # a tokenizer takes a second to trace
def preprocess_function(preprocess: Callable, fields: tuple[tuple[str, Field], ...]):
    """`preprocess` as one graph, for batches of these fields of any size."""
    return trace(preprocess, signature(dict(fields)))


def trace(function: Callable, *specs):
    """The function as one graph for tensors of these specs."""
    return tf.function(function, autograph=False).get_concrete_function(*specs)


def fields_of(tensors: Mapping[str, tf.Tensor]) -> dict[str, Field]:
    """The fields of a batch of tensors or TensorSpecs, by name."""
    return {name: Field(tuple(t.shape[1:]), t.dtype.name) for name, t in tensors.items()}


def field_after(function: Callable, field: Field) -> Field:
    """The field that a function of one batched tensor returns."""
    traced = trace(function, tf.TensorSpec((None, *field.shape), field.dtype))
    return fields_of({"": traced.structured_outputs})[""]
