"""Choices by machine, apart from precision: compilation, steps per call, threads, copies."""

import os
from typing import NamedTuple

import tensorflow as tf

_PER_EPOCH = 4  # fewest calls in an epoch, so that signals and the log are not late


class Machine(NamedTuple):
    """What the choices depend on."""

    gpus: int
    cores: int


class Choices(NamedTuple):
    """How this machine trains."""

    jit_compile: bool  # whether XLA compiles the step
    steps_per_execution: int  # training steps per call into TensorFlow
    stream_threads: int  # to make batches; 0: one for data in memory, four for data on disk
    device: str | None  # to which batches are copied ahead


def this_machine() -> Machine:
    """The machine that this process runs on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Machine(len(tf.config.list_physical_devices("GPU")), cores or 1)


def choose(machine: Machine, replicas: int, epoch_steps: int) -> Choices:
    """The choices for a machine; `steps_per_execution` for an epoch of `epoch_steps`.

    On a CPU, XLA makes convolutions 1.4 to 5 times slower, more threads of the stream take cores
    from the kernels, and signals are handled only between calls, which therefore take at most 16
    steps. A GPU takes a step in about a millisecond, so calls of 100 hide the time of Python, and
    its stream has cores of its own. Under a strategy XLA is not used, and the strategy copies.
    """
    gpu = machine.gpus > 0
    most = 100 if gpu else 16
    return Choices(
        jit_compile=gpu and replicas == 1,
        steps_per_execution=max(1, min(most, epoch_steps // _PER_EPOCH)),
        stream_threads=max(1, min(8, machine.cores // 2)) if gpu else 0,
        device="GPU:0" if gpu and replicas == 1 else None,
    )


def describe(choices: Choices) -> str:
    """The choices in one line, as it is printed."""
    compiled = "compiled by XLA" if choices.jit_compile else "not compiled by XLA"
    threads = f", {choices.stream_threads} stream threads" if choices.stream_threads else ""
    ahead = f", batches copied ahead to {choices.device}" if choices.device else ""
    return f"step {compiled}, {choices.steps_per_execution} steps per call{threads}{ahead}"


def copied_ahead(dataset: tf.data.Dataset, device: str | None) -> tf.data.Dataset:
    """The data set with two batches copied to the device ahead; with texts it is unchanged."""
    texts = any(spec.dtype == tf.string for spec in tf.nest.flatten(dataset.element_spec))
    if device is None or texts:
        return dataset
    return dataset.apply(tf.data.experimental.prefetch_to_device(f"/{device}", buffer_size=2))
