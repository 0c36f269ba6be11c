"""Guards against two ways in which tf.data blocks a process that stops reading.

First, a Python function inside a data set must not run while the interpreter shuts down: its thread
then waits for the interpreter forever, and the process hangs or aborts. Data sets read ahead, so
ending a process in the middle of an epoch is enough. Second, the autotuning thread of a data set
sleeps for up to a minute, and deleting the data set's iterator waits for it.
"""

import atexit
import threading
import time
from collections.abc import Callable

import tensorflow as tf

_QUIET = 0.1  # seconds without a call after which the buffers of all data sets are full

_lock = threading.Lock()
_exiting = threading.Event()
_running = 0
_last = float("-inf")  # when a call began or ended


def refuse_at_exit(function: Callable) -> Callable:
    """A wrapper for tf.numpy_function: calls `function`, but raises once the interpreter exits."""

    def call(*arguments):
        global _running, _last
        with _lock:
            _running, _last = _running + 1, time.monotonic()
        try:
            if _exiting.is_set():
                raise RuntimeError("the interpreter is shutting down")
            return function(*arguments)
        finally:
            with _lock:
                _running, _last = _running - 1, time.monotonic()

    return call


def untuned() -> tf.data.Options:
    """Options of a data set without autotuning; AUTOTUNE then means a fixed number of threads.

    TensorFlow 2.21 joins the tuning thread when an iterator is deleted. If it is notified too
    early, it sleeps to the end of its period, which doubles from 10 ms up to 60 s
    (RootDataset::Iterator).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def options(threads: int) -> tf.data.Options:
    """Options of a stream of batches: untuned, in order, on its own threads, unsharded."""
    chosen = untuned()
    chosen.threading.private_threadpool_size = threads
    chosen.threading.max_intra_op_parallelism = 1
    chosen.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    chosen.deterministic = True
    return chosen


@atexit.register
def _wait_for_calls() -> None:
    """Waits for running calls; data sets then fill their buffers with errors and stop calling."""
    _exiting.set()
    while _running or time.monotonic() - _last < _QUIET:
        time.sleep(_QUIET / 10)
