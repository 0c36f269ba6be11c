"""What is chosen for machines that are described, not had."""

import numpy as np
import pytest
import tensorflow as tf

from trainers.devices import machine
from trainers.devices.machine import Choices, Machine

LAPTOP, WORKSTATION = Machine(gpus=0, cores=8), Machine(gpus=1, cores=16)


@pytest.mark.parametrize(
    ("described", "replicas", "epoch_steps", "expected"),
    [
        (LAPTOP, 1, 390, Choices(False, 16, 0, None)),
        (LAPTOP, 2, 390, Choices(False, 16, 0, None)),
        (LAPTOP, 1, 17, Choices(False, 4, 0, None)),
        (LAPTOP, 1, 1, Choices(False, 1, 0, None)),
        (WORKSTATION, 1, 390, Choices(True, 97, 8, "GPU:0")),
        (WORKSTATION, 1, 5000, Choices(True, 100, 8, "GPU:0")),
        (Machine(gpus=2, cores=4), 2, 5000, Choices(False, 100, 2, None)),
        (Machine(gpus=1, cores=1), 1, 5000, Choices(True, 100, 1, "GPU:0")),
    ],
)
def test_choices_by_machine(described, replicas, epoch_steps, expected):
    assert machine.choose(described, replicas, epoch_steps) == expected


def test_choices_are_said_in_one_line():
    cpu, gpu = (machine.choose(described, 1, 390) for described in (LAPTOP, WORKSTATION))
    assert machine.describe(cpu) == "step not compiled by XLA, 16 steps per call"
    assert machine.describe(gpu) == (
        "step compiled by XLA, 97 steps per call, 8 stream threads, batches copied ahead to GPU:0"
    )


def test_this_machine_has_a_core_and_the_tests_no_gpu():
    assert machine.this_machine().cores >= 1
    assert machine.this_machine().gpus == len(tf.config.list_physical_devices("GPU"))


def test_batches_copied_ahead_are_the_same_batches():
    data = tf.data.Dataset.from_tensor_slices(np.arange(6.0)).batch(2)
    assert machine.copied_ahead(data, None) is data
    copied = machine.copied_ahead(data, "CPU:1")
    batches = list(copied)
    assert [batch.numpy().tolist() for batch in batches] == [[0, 1], [2, 3], [4, 5]]
    assert {batch.device[-5:] for batch in batches} == {"CPU:1"}


def test_texts_stay_on_the_host():
    data = tf.data.Dataset.from_tensor_slices({"text": ["a", "b"], "x": [1.0, 2.0]})
    assert machine.copied_ahead(data, "CPU:1") is data
