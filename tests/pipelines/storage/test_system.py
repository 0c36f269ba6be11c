"""Disk, limits and memory told apart, in the words in which TensorFlow and array_record do."""

import errno

import numpy as np
import pytest
import tensorflow as tf

from pipelines import DataError
from pipelines.storage import system

OUT = "/data/digits/incomplete.ZP5RGN_1.0.0/digits-train.tfrecord-00000-of-00001"


def raised_by_tfds() -> Exception:
    """As TFDS wraps what TensorFlow says of a full disk."""
    error = RuntimeError("ResourceExhaustedError: Failed to finalize writing of split")
    error.__cause__ = tf.errors.ResourceExhaustedError(
        None, None, f"{OUT}; No space left on device"
    )
    return error


FAULTS = {
    "python": (OSError(errno.ENOSPC, "No space left on device", OUT), f"the disk is full: {OUT}"),
    "tensorflow": (
        tf.errors.ResourceExhaustedError(None, None, f"{OUT}; No space left on device"),
        f"the disk is full: {OUT}",
    ),
    "tfds": (raised_by_tfds(), f"the disk is full: {OUT}"),
    "array_record": (
        RuntimeError(
            f'split "train": write() failed: No space left on device; writing {OUT}; at byte 65536'
        ),
        f"the disk is full: {OUT}",
    ),
    "no path": (
        tf.errors.InternalError(None, None, "No space left on device"),
        "the disk is full: No space left on device",
    ),
    "quota": (
        tf.errors.ResourceExhaustedError(None, None, f"{OUT}; Disk quota exceeded"),
        f"the disk quota is used up: {OUT}",
    ),
    "read-only": (
        tf.errors.FailedPreconditionError(None, None, f"{OUT}; Read-only file system"),
        f"Read-only file system: {OUT}",
    ),
    "too large": (
        tf.errors.UnknownError(None, None, f"{OUT}; File too large"),
        f"File too large: {OUT}",
    ),
    "too many files": (
        tf.errors.ResourceExhaustedError(None, None, f"{OUT}; Too many open files"),
        f"too many open files: raise the limit (ulimit -n): {OUT}",
    ),
    "too many in python": (
        OSError(errno.EMFILE, "Too many open files", OUT),
        f"too many open files: raise the limit (ulimit -n): {OUT}",
    ),
}
SMALLER = "out of memory: choose a smaller --batch_size"
MEMORY = {
    "tensorflow": tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"),
    "gpu": tf.errors.InternalError(
        None, None, "Failed to allocate 2 bytes: CUDA_ERROR_OUT_OF_MEMORY"
    ),
    "gpu copy": tf.errors.InternalError(None, None, "Dst tensor is not initialized."),
    "python": MemoryError(),
    "fork": OSError(errno.ENOMEM, "Cannot allocate memory"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_disks_and_limits_are_described_with_what_was_written(name):
    error, expected = FAULTS[name]
    assert system.described(error) == expected


@pytest.mark.parametrize("name", MEMORY)
def test_memory_is_described_with_what_to_do(name):
    assert system.described(MEMORY[name]).startswith(SMALLER)
    assert system.fault_of(MEMORY[name]) is None


def test_numpy_s_memory_error_says_how_much_it_wanted():
    with pytest.raises(MemoryError) as caught:
        np.empty(2**50, np.uint8)
    assert "1.00 PiB" in system.described(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("expected 2, received 3"),
        OSError(errno.ENOENT, "No such file or directory", OUT),
        tf.errors.InternalError(None, None, "something else"),
        RuntimeError("out of memory, says somebody else's library"),
    ],
)
def test_other_errors_are_not_described(error):
    assert system.described(error) == ""
    with pytest.raises(type(error)) as caught, system.as_os_error():
        raise error
    assert caught.value is error


def test_as_os_error_gives_number_and_path_whoever_raised_it():
    with pytest.raises(OSError, match="the disk is full") as caught, system.as_os_error():
        raise raised_by_tfds()
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, OUT)
    error = DataError("a damaged file")
    with pytest.raises(DataError) as caught, system.as_os_error():
        raise error
    assert caught.value is error
