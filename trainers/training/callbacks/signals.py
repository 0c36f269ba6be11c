"""Handles SIGTERM, Ctrl-C and a closed terminal: a run stops where nothing is lost."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from trainers.errors import InterruptedRunError

CONTINUES = "the same command continues the run"


def stop_signals() -> list[signal.Signals]:
    """The signals that ask a command to stop; not SIGHUP if it is ignored, as under nohup."""
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGINT, *([] if ignored else [signal.SIGHUP])]


class Request:
    """Whether the process was asked to stop, and by which signal; 0: it was not."""

    number = 0

    def message_and_code(self, how: str) -> tuple[str, int]:
        """The message when the process stops, and the exit code."""
        return f"{signal.Signals(self.number).name}: {how}; {CONTINUES}", 128 + self.number


@contextlib.contextmanager
def defer_signals() -> Iterator[Request]:
    """In this context a first signal is only noted; a second one ends the process at once."""
    request = Request()

    def note(number: int, frame: Any) -> None:
        if request.number:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        request.number = number

    with _handled_by(note):
        yield request


@contextlib.contextmanager
def raise_on_signal() -> Iterator[None]:
    """In this context a signal raises at once: nothing is under way that must be finished first.

    Raises:
        InterruptedRunError: at any point of the program.
    """

    def stop(number: int, frame: Any) -> None:
        raise InterruptedRunError(f"{signal.Signals(number).name}: {CONTINUES}", 128 + number)

    with _handled_by(stop):
        yield


@contextlib.contextmanager
def _handled_by(handler: Callable) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only it may set handlers
        yield
        return
    before = {number: signal.signal(number, handler) for number in stop_signals()}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
