"""One device or several: the strategy for this machine."""

import functools
import os

import tensorflow as tf

from trainers.errors import UsageError


def choose(replicas: int) -> tf.distribute.Strategy:
    """The strategy for `replicas` devices; 0: all GPUs there are, or one CPU.

    On a machine without GPUs, N replicas are N logical devices of its CPU: no faster, but the same
    arithmetic as N GPUs. Call it before TensorFlow has started.

    Raises:
        UsageError: there are too few devices, or the environment asks for several workers.
    """
    if os.environ.get("TF_CONFIG"):
        raise UsageError("TF_CONFIG is set, but training on several workers is not built: unset it")
    gpus = tf.config.list_physical_devices("GPU")
    number = replicas or max(1, len(gpus))
    if number == 1:
        return tf.distribute.get_strategy()
    if gpus:
        if number > len(gpus):
            raise UsageError(f"--replicas={number}, but this machine has {len(gpus)} GPUs")
        return _mirrored(tuple(f"GPU:{i}" for i in range(number)))
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * number
        )
    except RuntimeError:
        started = len(tf.config.list_logical_devices("CPU"))
        if started < number:
            raise UsageError(
                f"--replicas={number}, but TensorFlow has already started with {started} CPU "
                "device(s) in this process: start a new one"
            ) from None
    return _mirrored(tuple(f"CPU:{i}" for i in range(number)))


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    """One strategy for these devices in a process: two would give their reductions the same ids."""
    return tf.distribute.MirroredStrategy(devices)


def check_batch_size(batch_size: int, strategy: tf.distribute.Strategy, divisor: int = 1) -> None:
    """UsageError unless every replica gets an equal share of a batch, in `divisor` equal parts."""
    replicas = strategy.num_replicas_in_sync
    if batch_size % (replicas * divisor):
        parts = f", in {divisor} parts each" if divisor > 1 else ""
        raise UsageError(
            f"--batch_size={batch_size} does not divide over {replicas} replicas{parts}"
        )


def gathered(value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | int]:
    """The rows of all replicas, and the index of this replica's first one.

    Gradients flow back: that of a replica's rows is the sum of those from all replicas.

    Args:
        value: rows (b, ...) of this replica; all replicas have the same number.
    """
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return value, 0
    rows = replica.all_gather(value, axis=0)
    return rows, replica.replica_id_in_sync_group * tf.shape(value)[0]
