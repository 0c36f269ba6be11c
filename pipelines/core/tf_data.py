"""Data sets that can be left at any time: two ways in which tf.data keeps a process waiting.

A Python function must not be running when the interpreter shuts down: a thread of tf.data that asks
for the interpreter then never gets it, and the process hangs or aborts instead of ending. A data
set reads ahead, so leaving in the middle of an epoch is enough. And the thread that tunes a data
set sleeps for up to a minute, which now and then whoever drops the data set has to sit out.
"""

import atexit
import threading
import time
from collections.abc import Callable

import tensorflow as tf

_QUIET = 0.1  # seconds without a call after which the buffers of all data sets are full

_lock = threading.Lock()
_leaving = threading.Event()
_running = 0
_last = float("-inf")  # when a call began or ended


def until_exit(function: Callable) -> Callable:
    """The function, for tf.numpy_function: at the interpreter's exit it refuses to begin."""

    def call(*arguments):
        global _running, _last
        with _lock:
            _running, _last = _running + 1, time.monotonic()
        try:
            if _leaving.is_set():
                raise RuntimeError("the interpreter is shutting down")
            return function(*arguments)
        finally:
            with _lock:
                _running, _last = _running - 1, time.monotonic()

    return call


def untuned() -> tf.data.Options:
    """Options of a data set that nothing tunes: AUTOTUNE stands for a fixed number of threads.

    TensorFlow 2.21 joins the tuning thread when an iterator goes; woken too early, it sleeps on to
    the end of its period, which doubles from 10 ms up to 60 s (RootDataset::Iterator).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


@atexit.register
def _leave() -> None:
    """Lets calls end; data sets then fill their buffers with refusals, and ask for no more."""
    _leaving.set()
    while _running or time.monotonic() - _last < _QUIET:
        time.sleep(_QUIET / 10)
