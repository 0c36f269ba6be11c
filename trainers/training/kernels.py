"""Faster TensorFlow kernels for Keras's own layers.

Keras writes its layers in operations that every backend has, and on TensorFlow some of them are
slow: batch normalisation that is not fused reads its input ten times, dropout takes 4.6
nanoseconds per number where 0.9 are enough (BUILD_NOTES.md). Here such a layer of a built model
gets another `call`, which computes the same from the same variables. Its class, configuration and
saved files do not change, nor do other backends.

Convolutions and matrix products stay with oneDNN, because XLA is slower at them on a CPU; XLA fuses
the operations between them. These kernels of XLA are not used on GPUs, where they were not tried,
nor in exported models, since not every server can compile.
"""

import collections
import functools
import math
from collections.abc import Callable

import keras
import tensorflow as tf

from trainers.devices import keras_patches

# Keras's activations that get a kernel of their own. `relu` is not here: oneDNN fuses it with the
# layer before.
_ACTIVATIONS = ("elu", "gelu", "mish", "selu", "silu", "softplus")
# From this many filters and up to this many pixels a matrix product computes the weight gradient
# faster than oneDNN: layers of 256 filters gain half at 9 pixels, nothing at 49 (BUILD_NOTES.md).
_MANY, _SMALL = 256, 16


def install(model: keras.Model) -> None:
    """Gives the layers of a built model their fastest kernels for training."""
    on_cpu = not tf.config.list_physical_devices("GPU")
    for layer in keras_patches.layers_of(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            _normalise_batch(layer)
        elif isinstance(layer, keras.layers.LayerNormalization) and on_cpu:
            _normalise_rows(layer)
        elif type(layer) in (keras.layers.Embedding, keras.layers.ReversibleEmbedding):
            _look_up(layer)
        elif type(layer) is keras.layers.Dropout and on_cpu:
            _drop(layer)
        elif on_cpu:
            _convolve(layer)
            _activate(layer)


def installed(model: keras.Model) -> str:
    """Which layers of a model have other kernels than Keras's, as text."""
    counts = collections.Counter(
        type(layer).__name__
        for layer in keras_patches.layers_of(model)
        if any(_is_own(vars(layer).get(name)) for name in ("call", "convolution_op"))
        or getattr(layer, "activation", None) in map(_activation, _ACTIVATIONS)
    )
    named = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    return f"own for {named}" if named else "Keras's"


def _is_own(function: Callable | None) -> bool:
    return getattr(function, "__module__", None) == __name__


def compiled(function: Callable) -> Callable:
    """A function of tensors, compiled by XLA: one fused loop for it and another for its gradient.

    The backward pass keeps only the inputs and recomputes the rest, which costs less than reading
    it from memory. Constants are passed by keyword.
    """
    forward = tf.function(function, jit_compile=True, autograph=False)

    @functools.partial(tf.function, jit_compile=True, autograph=False)
    def back(inputs, upstream, **constants):
        numbers = [x for x in inputs if x.dtype.is_floating]  # a seed has no gradient
        with tf.GradientTape() as tape:
            tape.watch(numbers)
            outputs = function(*inputs, **constants)
        gradients = iter(tape.gradient(outputs, numbers, upstream))
        return [next(gradients) if x.dtype.is_floating else None for x in inputs]

    def both(*inputs, **constants):
        @tf.custom_gradient
        def differentiable(*inputs):
            return forward(*inputs, **constants), lambda d: back(inputs, d, **constants)

        return differentiable(*inputs)

    return both


def _normalise_batch(layer: keras.layers.BatchNormalization) -> None:
    """Uses the fused kernel: one pass computes the statistics and one applies them."""
    slow = layer.call
    # cuDNN refuses a smaller epsilon; the kernel needs four dimensions, channels last.
    fits = layer.epsilon >= 1.001e-5 and layer.input_spec.ndim == 4 and layer.axis in (3, -1)
    if not fits or layer.renorm:
        return
    on_gpu = bool(tf.config.list_physical_devices("GPU"))

    def call(inputs, training=None, mask=None):
        several = tf.distribute.get_strategy().num_replicas_in_sync > 1
        learning = bool(training) and layer.trainable
        # The backward pass through a frozen layer has no deterministic kernel on GPUs.
        frozen = on_gpu and not layer.trainable
        if mask is not None or several or frozen or inputs.dtype == tf.float64:
            # Keras can sum statistics over replicas: `keras_patches.normalise_together`.
            return slow(inputs, training=training, mask=mask)
        moving = [tf.convert_to_tensor(v) for v in (layer.moving_mean, layer.moving_variance)]
        mean, variance = ([], []) if learning else moving
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(layer.gamma) if layer.scale else tf.ones_like(moving[0]),
            offset=tf.convert_to_tensor(layer.beta) if layer.center else tf.zeros_like(moving[0]),
            mean=mean,
            variance=variance,
            epsilon=layer.epsilon,
            is_training=learning,
        )
        if learning:
            # The kernel returns the batch's variance times N / (N - 1); Keras keeps the variance.
            count = tf.cast(tf.size(inputs) / tf.size(mean), tf.float32)
            variance *= (count - 1.0) / count
            keep = layer.momentum
            layer.moving_mean.assign(moving[0] * keep + mean * (1.0 - keep))
            layer.moving_variance.assign(moving[1] * keep + variance * (1.0 - keep))
        return outputs

    layer.call = call


def _look_up(layer: keras.layers.Embedding) -> None:
    """Reads rows, then casts them.

    Keras casts the whole table, and reading a table whose rows are updated copies it: 51 MB for
    200 000 rows of 64.
    """
    slow = layer.call
    if layer.lora_enabled or layer.quantization_mode:
        return

    def call(inputs, **options):
        several = tf.distribute.get_strategy().num_replicas_in_sync > 1
        if several or not inputs.dtype.is_integer or any(options.values()):  # reverse=True
            return slow(inputs, **options)
        table = keras_patches.variable_in(layer.embeddings)
        return tf.cast(tf.gather(table, inputs), layer.compute_dtype)

    layer.call = call


def _normalise_rows(layer: keras.layers.LayerNormalization) -> None:
    """Normalises over the last dimension in a compiled loop."""
    if layer.axis not in (-1, [-1]) or not (layer.center and layer.scale):
        return

    def call(inputs):
        weights = tf.convert_to_tensor(layer.gamma), tf.convert_to_tensor(layer.beta)
        return _rows(inputs, *weights, epsilon=layer.epsilon)

    layer.call = call


@compiled
def _rows(x, gamma, beta, *, epsilon: float):
    rows = tf.cast(x, tf.float32)
    rows -= tf.reduce_mean(rows, -1, keepdims=True)
    rows *= tf.math.rsqrt(tf.reduce_mean(tf.square(rows), -1, keepdims=True) + epsilon)
    return tf.cast(rows * gamma + beta, x.dtype)


def _convolve(layer: keras.layers.Layer) -> None:
    """Uses a faster weight gradient for small images with many channels in bfloat16."""
    plain = type(layer) is keras.layers.Conv2D and layer.data_format == "channels_last"
    if not plain or layer.padding != "same" or layer.compute_dtype != "bfloat16":
        return
    if {*layer.strides, *layer.dilation_rate, layer.groups} != {1} or layer.filters < _MANY:
        return
    if not _small(getattr(layer, "input", None)):  # a layer within another has none
        return
    slow = layer.convolution_op

    def convolution_op(inputs, kernel):
        if not _small(inputs):  # the layer's second use in a model
            return slow(inputs, kernel)
        return _convolution(inputs, tf.convert_to_tensor(kernel, inputs.dtype))

    layer.convolution_op = convolution_op


def _small(images) -> bool:
    """Whether (B, H, W, C) has few pixels; unknown sizes count as large."""
    sizes = [None] if images is None else images.shape[1:3]
    return math.prod(size or math.inf for size in sizes) <= _SMALL


@tf.custom_gradient
def _convolution(x, kernel):
    """Computes the weight gradient as one product of input patches and output gradients."""
    rows, columns, channels, filters = kernel.shape
    height, width = x.shape[1:3]

    def back(upstream):
        sides = [[(size - 1) // 2, size // 2] for size in (rows, columns)]
        wide = tf.pad(x, [[0, 0], *sides, [0, 0]])
        seen = [wide[:, i : i + height, j : j + width] for i in range(rows) for j in range(columns)]
        patches = tf.reshape(tf.concat(seen, -1), [-1, rows * columns * channels])
        product = tf.matmul(patches, tf.reshape(upstream, [-1, filters]), transpose_a=True)
        inputs = tf.nn.conv2d_transpose(upstream, kernel, tf.shape(x), 1, "SAME")
        return inputs, tf.reshape(product, kernel.shape)

    return tf.nn.conv2d(x, kernel, 1, "SAME"), back


def _activate(layer: keras.layers.Layer) -> None:
    """Computes the activation in float32; its name, and so the saved file, stay the same."""
    name = getattr(getattr(layer, "activation", None), "__name__", "")
    if name in _ACTIVATIONS and layer.activation is getattr(keras.activations, name):
        layer.activation = _activation(name)


@functools.cache
def _activation(name: str) -> Callable:
    function = getattr(keras.activations, name)
    fast = compiled(lambda x: tf.cast(function(tf.cast(x, tf.float32)), x.dtype))
    return functools.wraps(function)(fast)


def _drop(layer: keras.layers.Dropout) -> None:
    """Decides which numbers to keep by a hash of their index."""
    if not layer.rate:
        return

    def call(inputs, training=False):
        if not training:
            return inputs
        if layer.rate == 1:
            return inputs * tf.zeros([], inputs.dtype)  # with a gradient, which is 0 too
        seed = tf.bitcast(tf.cast(layer.seed_generator.next(), tf.int32), tf.uint32)  # (2,)
        shape = tuple(layer.noise_shape or [None] * len(inputs.shape))
        return _thinned(inputs, seed, rate=layer.rate, shape=shape)

    layer.call = call


@compiled
def _thinned(x, seed, *, rate: float, shape: tuple[int | None, ...]):
    """Keeps each number with probability 1 - rate; a dimension of 1 in `shape` shares one draw."""
    sizes = tf.unstack(tf.shape(x))
    sizes = [n if size is None else size for n, size in zip(sizes, shape, strict=True)]
    index = tf.reshape(tf.range(tf.reduce_prod(sizes)), sizes)
    bits = _mix(_mix(tf.cast(index, tf.uint32) + _mix(seed[0])) + _mix(seed[1]))
    kept = bits >= tf.constant(round(rate * 2**32), tf.uint32)
    return tf.where(kept, x * tf.cast(1.0 / (1.0 - rate), x.dtype), tf.zeros([], x.dtype))


def _mix(bits):
    """A bijection of 32 bits that flips each with probability 1/2 (Wellons 2018, lowbias32)."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, _u32(shift)))
        bits *= _u32(factor)
    return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, _u32(16)))


def _u32(number: int):
    return tf.constant(number, tf.uint32)
