"""The standard streams of a command: missing ones are opened; a closed pipe ends no training."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

_STANDARD = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))  # by their descriptors


class ReaderLeftError(OSError):
    """The reader of stdout, for example `head`, has closed the pipe: it needs no more output."""


class _Stream:
    """A text stream that hands its write errors to a function."""

    def __init__(self, stream: Any, on_error: Callable[[OSError], None]):
        self._stream, self._on_error = stream, on_error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes the text."""
        try:
            return self._stream.write(text)
        except OSError as error:
            _drop(self._stream)
            self._on_error(error)
            return len(text)

    def flush(self) -> None:
        """Writes out what is buffered."""
        try:
            self._stream.flush()
        except OSError as error:
            _drop(self._stream)
            self._on_error(error)


def open_missing() -> None:
    """Opens the standard streams that a shell has closed (`>&-`), on the null device.

    Otherwise the next file that is opened gets the number of a standard stream, and everything
    that is printed goes into that file.
    """
    for number, (name, mode) in enumerate(_STANDARD):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def print_any_name() -> None:
    """Escapes characters that the encoding of stdout cannot represent, as in names of files.

    Python does so on stderr; on stdout they would be an error at the end of a training.
    """
    if getattr(sys.stdout, "errors", None) == "strict" and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """Within this context, progress and warnings that cannot be written are dropped.

    Raises:
        ReaderLeftError: nobody reads stdout any more; further output to it is dropped.
        OSError: output cannot be written to stdout, for example on a full disk.
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
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        stream.flush()
