"""What can go wrong, as exceptions; on the command line each is one line and an exit code."""

import contextlib
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator

from pipelines import DataError
from pipelines.files.shown import escaped, one_line
from pipelines.storage import system
from trainers import console

# Exit codes. 0: done; 1: an unexpected exception, which is a bug; 128 + n: signal n.
USAGE, DATA, ARTEFACT, NON_FINITE, SYSTEM, BUSY, OUT_OF_TIME = 2, 3, 4, 5, 6, 75, 124
_DEFECT, _SIGNALLED = 1, 128


class UsageError(ValueError):
    """A flag or recipe that is not valid, or a combination of them that is not."""


class ArtefactError(ValueError):
    """A checkpoint, run folder or export that is damaged or belongs to another run."""


class NonFiniteError(ArithmeticError):
    """Loss, gradients or weights became NaN or infinite at `step`."""

    def __init__(self, message: str, step: int):
        super().__init__(message)
        self.step = step


class BusyError(RuntimeError):
    """Another process trains in the same folder."""


class InterruptedRunError(BaseException):
    """The run stopped after a clean save; the same command continues it.

    Like KeyboardInterrupt it is not an `Exception`, so `except Exception` does not catch it.
    """

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code


_CODES = (
    (BusyError, BUSY),
    (NonFiniteError, NON_FINITE),
    (ArtefactError, ARTEFACT),
    (DataError, DATA),
    ((OSError, MemoryError), SYSTEM),
    (UsageError, USAGE),
)


def exit_code(error: BaseException) -> int:
    """The exit code for this exception."""
    if isinstance(error, InterruptedRunError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return signalled(2)
    for kinds, code in _CODES:
        if isinstance(error, kinds):
            return code
    return SYSTEM if system.described(error) else _DEFECT


def signalled(number: int) -> int:
    """The exit code of a process that a signal ended, as a shell reports it."""
    return _SIGNALLED + number


@contextlib.contextmanager
def data_errors() -> Iterator[None]:
    """Raises a DataError itself, where TensorFlow has wrapped one while a data set was read.

    The error that wraps it has the traceback in its message.
    """
    try:
        yield
    except Exception as error:
        match = re.search(r"\bDataError: (.*)", str(error))
        if match and type(error).__module__.startswith("tensorflow"):
            raise DataError(match[1]) from error
        raise


def import_tensorflow() -> None:
    """Imports TensorFlow without the lines it prints before its log level is read.

    An import that fails still raises.
    """
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "3":
            os.dup2(null, 2)
        import tensorflow  # noqa: F401
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


def run_command(command: Callable[[list[str]], None]) -> None:
    """Runs `command(argv)` as a program: errors are one line on stderr, a traceback with --debug.

    The packages' logs go to stderr, so that stdout has the results only. An unexpected exception
    keeps its traceback: it is a bug.
    """
    console.open_missing()
    console.print_any_name()
    debug = _is_debugged(sys.argv[1:])
    if not debug:  # TensorFlow prints a dozen lines at every start otherwise
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with console.lasting(), _logged(), data_errors():
            command(sys.argv)
    except console.ReaderLeftError:
        pass  # stdout has results only: the work is done, or nobody reads more of them
    except (Exception, KeyboardInterrupt, InterruptedRunError) as error:
        code = exit_code(error)
        if debug or code == _DEFECT:
            traceback.print_exc()
        else:
            text = system.described(error) if code == SYSTEM else ""
            text = one_line(text or str(error)) or type(error).__name__
            print(f"error: {text}", file=sys.stderr)
        sys.exit(code)


def _is_debugged(arguments: list[str]) -> bool:
    """The value of the last --debug, read before the flags are parsed: parsing may fail."""
    debug = False
    for argument in arguments:
        match = re.fullmatch(r"--?(no)?debug(?:=(.*))?", argument)
        if match:
            debug = not match[1] and (match[2] or "true").lower() not in ("false", "f", "0")
    return debug


def _one_line(record: logging.LogRecord) -> str:
    prefix = "warning: " if record.levelno >= logging.WARNING else ""
    return prefix + escaped(record.getMessage())


@contextlib.contextmanager
def _logged() -> Iterator[None]:
    """Prints what our packages log, warnings with a prefix."""
    handler, formatter = logging.StreamHandler(sys.stderr), logging.Formatter()
    formatter.format = _one_line
    handler.setFormatter(formatter)
    loggers = [logging.getLogger(package) for package in ("pipelines", "trainers")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False  # absl, which TensorFlow imports, may listen at the root
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
