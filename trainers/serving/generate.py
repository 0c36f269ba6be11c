"""The signature of tasks that make images: `generate(seed (B,), label (B,))`.

The argument for the class is `label`, since `class` is a keyword of Python.
"""

import dataclasses
import functools
from collections.abc import Callable

import tensorflow as tf

from pipelines.core import specs
from pipelines.core.keys import Keys
from pipelines.core.pipeline import Pipeline, Schema
from trainers.errors import UsageError
from trainers.tasks.registry import Batch, Signature
from zoo.spec import Field

_FORM, _IMAGE = "image", "image"
_FIELDS = {"seed": Field((), "int64"), "label": Field((), "int64")}


def over_images(
    task: str, pipeline: Pipeline, schema: Schema, *, no_class: bool, **steps: Callable
) -> tuple[Pipeline, Schema]:
    """The pipeline of images with one class each, without augmentation.

    Args:
        no_class: whether the model's labels begin with one that means no class.
        **steps: steps of the pipeline to replace, such as `make_example`.

    Raises:
        UsageError: a row of the data is not one image with one class.
    """
    target = schema.target
    if _FORM not in pipeline.forms or target is None or not target.ids or target.shape:
        raise UsageError(
            f"task {task} takes images of one class each; {pipeline.name} has the input forms "
            f"{', '.join(pipeline.forms)} and the task {schema.task or 'of no labels'}"
        )
    form = pipeline.forms[_FORM]
    label = Field((), "int32", ids=target.ids + no_class)

    def fields(part) -> dict[str, Field]:
        return {**(form.fields(part) if form.fields else {}), "label": label}

    pipeline = dataclasses.replace(
        pipeline,
        forms={_FORM: dataclasses.replace(form, fields=fields)},
        # With it the model would learn the distribution of augmented images.
        augment=None,
        mix=None,
        augment_until=1.0,
        tta_views=None,
        **steps,
    )
    return pipeline, schema._replace(task=task)


def image_shape(pipeline: Pipeline, schema: Schema, state) -> tuple[int, int, int]:
    """Height, width and channels of the images as the model takes them."""
    form = pipeline.forms[_FORM]
    preprocess = form.preprocess or form.make_preprocess(state.get(f"inputs/{_FORM}", {}))
    traced = specs.preprocess_function(preprocess, tuple(schema.raw.items()))
    return specs.fields_of(traced.structured_outputs)[_IMAGE].shape


def signature(make: Callable, class_names: tuple[str, ...]) -> Signature:
    """`generate`: an image and the name of its class for each seed and class.

    `image` is (B, H, W, C) uint8, `class_name` (B,). An image depends only on its seed and class,
    up to the rounding of products, which differs between batch sizes.

    Args:
        make: make(keys, label (B,) int32) -> images (B, H, W, C) in -1..1; `keys.index` are seeds.
    """

    def generate(seed: tf.Tensor, label: tf.Tensor) -> dict[str, tf.Tensor]:
        known = (label >= 0) & (label < len(class_names))
        fault = f"label is not a class from 0 to {len(class_names) - 1}:"
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(known), [fault, label])]):
            label = tf.identity(label)
        zero = tf.constant(0, tf.int64)
        images = make(Keys(zero, zero, seed), tf.cast(label, tf.int32))
        return {"image": as_pixels(images), "class_name": tf.gather(class_names, label)}

    def rows(batch: Batch) -> dict[str, tf.Tensor]:
        return {"seed": batch.keys.index, "label": tf.cast(batch.target, tf.int64)}

    return Signature(generate, _FIELDS, rows)


def as_pixels(images: tf.Tensor) -> tf.Tensor:
    """Images in -1..1 as uint8: the inverse of `pipelines.steps.image.scale`."""
    return tf.cast(tf.clip_by_value(tf.round((images + 1.0) * 127.5), 0.0, 255.0), tf.uint8)


def heun(velocity: Callable, noise: tf.Tensor, steps: int) -> tf.Tensor:
    """Integrates a velocity in equal steps from noise (B, ...) at time 1 to images at time 0.

    Heun's method of second order, as in Karras et al. 2022 (arXiv 2206.00364, algorithm 1), uses
    the mean of the velocities at both ends of a step. The velocity at time 0 is not computed, so
    the last step is Euler's. It takes `2 steps - 1` calls.

    Args:
        velocity: velocity(x (B, ...), time (B,)) -> (B, ...).
    """

    def at(x: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        time = 1.0 - tf.cast(k, tf.float32) / steps
        return velocity(x, tf.fill(tf.shape(x)[:1], time))

    def step(k: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        begin = at(x, k)
        end = at(x - begin / steps, k + 1)
        return k + 1, x - (begin + end) / 2.0 / steps

    last, start = steps - 1, (tf.constant(0), noise)
    _, x = tf.while_loop(lambda k, x: k < last, step, start, maximum_iterations=last)
    return x - at(x, tf.constant(last)) / steps


def guided(velocity: Callable, label: tf.Tensor, guidance: float) -> Callable:
    """Classifier-free guidance: a velocity (x, time) from one of (x, time, label); 0 is no class.

    With a guidance of 1 it is the velocity of the class; a larger guidance moves it further away
    from the velocity of no class (Ho and Salimans 2022, arXiv 2207.12598).
    """
    if guidance == 1.0:
        return functools.partial(_of_class, velocity, label)

    def both(x: tf.Tensor, time: tf.Tensor) -> tf.Tensor:
        of_class = velocity(x, time, label)
        of_none = velocity(x, time, tf.zeros_like(label))
        return of_none + guidance * (of_class - of_none)

    return both


def _of_class(velocity: Callable, label: tf.Tensor, x: tf.Tensor, time: tf.Tensor) -> tf.Tensor:
    return velocity(x, time, label)
