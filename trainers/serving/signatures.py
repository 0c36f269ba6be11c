"""Signatures: what several tasks share, how they are traced, and how their arguments are made."""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from pipelines.core import specs
from pipelines.core.keys import Keys
from pipelines.core.padding import cut_to_need
from trainers.serving import image_bytes, unseen
from trainers.tasks.registry import Batch, Signature


def from_raw(outputs: Callable) -> Callable:
    """A task's `signatures` with `serving_default`, which takes raw rows from a client.

    If the data can tell which values training never had, the output `unknown` (B,) int32 is their
    number, and the signature `unseen` says which they are, in the order of the raw fields. If the
    data is one image of any size, the signature `image_bytes` takes its file instead.

    Args:
        outputs: outputs(output of the model in float32, class names) -> {name: tensor}.
    """

    def signatures(entry, hparams, model, prepared) -> dict[str, Signature]:
        del entry, hparams

        of_floats = any(tf.as_dtype(f.dtype).is_floating for f in prepared.raw.values())

        def answer(inputs: Mapping[str, tf.Tensor], check: bool = False) -> dict[str, tf.Tensor]:
            output = tf.cast(model(inputs, training=False), tf.float32)
            if check:
                output = _nan_where_not_finite(output, inputs)
            return outputs(output, prepared.class_names)

        def serving_default(**raw: tf.Tensor) -> dict[str, tf.Tensor]:
            answers = answer(cut_to_need(prepared.preprocess(raw), prepared.padded), of_floats)
            if prepared.unseen is not None:
                counts = sum(tf.cast(one, tf.int32) for one in faults(**raw).values())
                answers["unknown"] = tf.reduce_sum(counts, axis=1)  # of the row's values
            return answers

        def faults(**raw: tf.Tensor) -> dict[str, tf.Tensor]:
            masks = prepared.unseen.find({name: raw[name] for name in prepared.raw})
            return dict(zip(unseen.FAULTS, masks, strict=True))

        made = {"serving_default": Signature(serving_default, dict(prepared.raw), raw_fields)}
        if prepared.unseen is not None:
            made[unseen.SIGNATURE] = Signature(faults, dict(prepared.raw), raw_fields, exact=True)
        of_bytes = image_bytes.signature(prepared, answer)
        if of_bytes is not None:
            made[image_bytes.SIGNATURE] = of_bytes
        return made

    return signatures


def _nan_where_not_finite(output: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """The output (B, ...), with NaN for rows that still have a number that is not finite.

    This is not left to the network: a ReLU that oneDNN fuses with a product turns NaN into 0, and
    the row would get an answer.
    """
    for value in inputs.values():
        if not value.dtype.is_floating:
            continue
        finite = tf.math.is_finite(value)
        finite = tf.reduce_all(finite, axis=list(range(1, value.shape.rank)))  # (B,)
        finite = tf.reshape(finite, [-1] + [1] * (output.shape.rank - 1))
        output = tf.where(finite, output, float("nan"))
    return output


def raw_fields(batch: Batch) -> dict[str, tf.Tensor]:
    """The raw fields, unchanged: the `arguments` of a signature for clients."""
    return dict(batch.raw)


def traced(signatures: Mapping[str, Signature]) -> dict[str, Callable]:
    """Each signature as one graph for batches of any size; one keyword for each argument."""
    functions = {
        name: tf.function(one.function, autograph=False).get_concrete_function(
            **specs.signature(one.fields)
        )
        for name, one in signatures.items()
    }
    for name, function in functions.items():
        outputs = function.structured_outputs
        if not isinstance(outputs, dict) or len(outputs) < 2:
            raise ValueError(
                f"signature {name!r} returns {outputs}: a task returns at least two tensors by "
                "name, since a server drops the name of a single one"
            )
    return functions


def arguments_of(
    one: Signature,
    prepared,
    some: Mapping[str, np.ndarray],
    *,
    seed: int,
    target: np.ndarray | None,
    are_inputs: bool = False,
) -> Callable:
    """A function from stored rows, their targets and row numbers to (arguments, y, weight).

    x, y and weight are those of validation: of epoch 0, without augmentation unless the pipeline
    always augments. What a signature does not use, such as x where it takes raw fields, is not
    computed.

    Args:
        some: a few rows as they are stored. Stored images have one size, which augmentation needs
            and raw fields leave open.
        seed: of the random draws in the pipeline's `example`.
        target: the targets of `some`, for their type; None: the data has none.
        are_inputs: whether rows are stored as inputs, so that there are no raw fields.
    """
    fields = prepared.serving_inputs if are_inputs else prepared.raw
    if prepared.pipeline.augment_always:
        fields = {n: field._replace(shape=some[n].shape[1:]) for n, field in fields.items()}

    def made(stored, target, index):
        keys = Keys(tf.constant(seed, tf.int64), tf.constant(0, tf.int64), index)
        inputs = stored if are_inputs else prepared.preprocess(stored)
        inputs = seen = cut_to_need(inputs, prepared.padded)
        if prepared.pipeline.augment_always:
            changed, _ = prepared.pipeline.augment(stored, target, keys)
            seen = prepared.preprocess(changed)
        x, y, weight = prepared.example(seen, target, keys)
        raw = {} if are_inputs else stored
        batch = Batch(raw, inputs, target, keys, x, y, weight)
        return dict(one.arguments(batch)), y, weight

    target_spec = None
    if target is not None:
        target_spec = tf.TensorSpec((None, *target.shape[1:]), tf.as_dtype(target.dtype))
    function = specs.trace(
        made, specs.signature(fields), target_spec, tf.TensorSpec((None,), tf.int64)
    )

    def call(stored: Mapping[str, np.ndarray], target: np.ndarray | None, index: np.ndarray):
        columns = {name: tf.constant(stored[name], f.dtype) for name, f in fields.items()}
        return function(columns, None if target is None else tf.constant(target), index)

    return call
