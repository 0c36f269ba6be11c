"""Python functions of data sets, which must not be running when the interpreter shuts down.

A thread of tf.data that asks for the interpreter then never gets it, and the process hangs or
aborts instead of ending. A data set reads ahead, so leaving in the middle of an epoch is enough.
"""

import atexit
import threading
import time
from collections.abc import Callable

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


@atexit.register
def _leave() -> None:
    """Lets calls end; data sets then fill their buffers with refusals, and ask for no more."""
    _leaving.set()
    while _running or time.monotonic() - _last < _QUIET:
        time.sleep(_QUIET / 10)
