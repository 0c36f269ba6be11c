"""The standard streams of a command: none is missing, and a reader that leaves ends no training."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

_STANDARD = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))  # by their descriptors


class ReaderLeftError(OSError):
    """The reader of stdout, `head` say, has closed the pipe: it has enough answers."""


class _Stream:
    """A text stream that meets an error of writing in a way of its own."""

    def __init__(self, stream: Any, met: Callable[[OSError], None]):
        self._stream, self._met = stream, met

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes the text."""
        try:
            return self._stream.write(text)
        except OSError as error:
            _drop(self._stream)
            self._met(error)
            return len(text)

    def flush(self) -> None:
        """Writes out what is buffered."""
        try:
            self._stream.flush()
        except OSError as error:
            _drop(self._stream)
            self._met(error)


def open_missing() -> None:
    """Opens the standard streams that a shell has closed (`>&-`), on the null device.

    Otherwise the next file that is opened gets the number of a standard stream, and all that is
    printed goes into that file.
    """
    for number, (name, mode) in enumerate(_STANDARD):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def print_any_name() -> None:
    """Lets answers name files whose names are no text in the encoding of stdout.

    Python escapes such characters on stderr; on stdout they are an error at the end of a training.
    """
    if getattr(sys.stdout, "errors", None) == "strict" and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """While it is entered, progress and warnings that cannot be written are dropped.

    Raises:
        ReaderLeftError: nobody reads stdout any more. What else is written there goes nowhere.
        OSError: an answer cannot be written, on a full disk say.
    """

    def answers_lost(error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            raise ReaderLeftError from error
        raise error

    streams = sys.stdout, sys.stderr
    sys.stdout = _Stream(sys.stdout, answers_lost)
    sys.stderr = _Stream(sys.stderr, lambda error: None)
    try:
        yield
        sys.stdout.flush()
    finally:
        sys.stdout, sys.stderr = streams


def _drop(stream: Any) -> None:
    """Sends what a stream has buffered, and all that follows, to the null device."""
    with contextlib.suppress(OSError, ValueError):  # ValueError: it has no descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()
