"""Speed of single layers with Keras's kernels and with the trainer's, measured in turn.

    python benchmarks/kernel_speed.py --rounds=5

Times the forward and backward pass of a layer in training, in nanoseconds per element of its input,
and how many times faster the trainer's kernels are than Keras's: medians over the rounds, and the
range of the ratio, which is taken within a round.
"""

import statistics
import time

from absl import app, flags, logging

from trainers.errors import import_tensorflow

_ROUNDS = flags.DEFINE_integer("rounds", 5, "Turns per side.", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 0.5, "Seconds per turn; at least three steps.")
_PRECISIONS = flags.DEFINE_list("precisions", ["float32", "bfloat16"], "Precisions to time.")
_IMAGES, _TOKENS, _ATTENTION = (500, 15, 15, 128), (64, 256, 64), (64, 2, 256, 256)
_MIN_STEPS = 3


def _layers() -> dict:
    """The timed layers: name -> (a call that makes the layer, the shape of its input)."""
    import keras

    return {
        "batch normalisation": (keras.layers.BatchNormalization, _IMAGES),
        "layer normalisation": (keras.layers.LayerNormalization, _TOKENS),
        "dropout": (lambda: keras.layers.Dropout(0.1), _ATTENTION),
        "gelu": (lambda: keras.layers.Activation("gelu"), _IMAGES),
        "silu": (lambda: keras.layers.Activation("silu"), _IMAGES),
        "convolution 4x4x256": (lambda: _convolution(256), (500, 4, 4, 256)),
        "convolution 3x3x256": (lambda: _convolution(256), (500, 3, 3, 256)),
        "relu (Keras's twice)": (lambda: keras.layers.Activation("relu"), _IMAGES),
    }


def _convolution(filters: int):
    import keras

    return keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)


def _step(make, shape: tuple[int, ...], fast: bool):
    """A call that runs the layer forward and backward once, and waits for the result."""
    import keras
    import tensorflow as tf

    from trainers.training import kernels

    inputs = keras.Input(
        shape[1:], batch_size=shape[0], dtype=keras.config.dtype_policy().compute_dtype
    )
    model = keras.Model(inputs, make()(inputs))
    if fast:
        kernels.install(model)
    x = tf.cast(tf.random.stateless_normal(shape, (0, 0)), inputs.dtype)
    upstream = tf.cast(tf.random.stateless_normal(model.output.shape, (0, 1)), inputs.dtype)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = model(x, training=True)
        weights = [variable.value for variable in model.trainable_variables]
        gradients = tape.gradient(outputs, [x, *weights], upstream)
        # One element of each tensor, so that nothing is optimised away and little time is added.
        return [tf.reshape(tensor, [-1])[0] for tensor in (outputs, *gradients)]

    return lambda: [number.numpy() for number in step()]


def _turn(step) -> float:
    """Seconds per step."""
    steps, begun = 0, time.perf_counter()
    while (passed := time.perf_counter() - begun) < _SECONDS.value or steps < _MIN_STEPS:
        step()
        steps += 1
    return passed / steps


def main(argv: list[str]) -> None:
    if argv[1:]:
        raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
    logging.set_verbosity(logging.ERROR)
    import_tensorflow()
    import keras
    import numpy as np

    print(f"{'layer':22} {'precision':9} {'Keras':>9} {'trainer':>9}  times faster")
    for precision in _PRECISIONS.value:
        keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
        for name, (make, shape) in _layers().items():
            sides = [_step(make, shape, fast) for fast in (False, True)]
            for step in sides:
                step()  # traces and compiles
            turns = [[_turn(step) for step in sides] for _ in range(_ROUNDS.value)]
            slow, fast = (statistics.median(column) for column in zip(*turns, strict=True))
            ratios = [one / other for one, other in turns]
            numbers = np.prod(shape) / 1e9
            print(
                f"{name:22} {precision:9} {slow / numbers:6.2f} ns {fast / numbers:6.2f} ns  "
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
                flush=True,
            )


if __name__ == "__main__":
    app.run(main)
