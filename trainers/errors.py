"""What can go wrong, as exceptions; at the command line one line and an exit code each."""

import contextlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator

from pipelines import DataError


class UsageError(ValueError):
    """A flag, a recipe or a combination of them that cannot be meant."""


class ArtefactError(ValueError):
    """A checkpoint, run folder or export that is damaged or belongs to another run."""


class NonFiniteError(ArithmeticError):
    """Loss, gradients or weights became NaN or infinite at `step`."""

    def __init__(self, message: str, step: int):
        super().__init__(message)
        self.step = step


class BusyError(RuntimeError):
    """Another process trains in the same folder."""


class InterruptedRunError(RuntimeError):
    """The run stopped after a clean save; the same command continues it."""

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code


def exit_code(error: BaseException) -> int:
    """The exit code that stands for this exception."""
    if isinstance(error, InterruptedRunError):
        return error.exit_code
    for kinds, code in (
        (BusyError, 75),
        (NonFiniteError, 5),
        (ArtefactError, 4),
        (DataError, 3),
        ((OSError, MemoryError), 6),
        (KeyboardInterrupt, 130),
        (UsageError, 2),
    ):
        if isinstance(error, kinds):
            return code
    # Matched by name, since a refusal must not import TensorFlow.
    return 6 if type(error).__name__ == "ResourceExhaustedError" else 1


@contextlib.contextmanager
def data_errors() -> Iterator[None]:
    """Raises a DataError as such that was raised while a data set was read.

    TensorFlow makes an error of its own of it, with the traceback in its message.
    """
    try:
        yield
    except Exception as error:
        found = re.search(r"\bDataError: (.*)", str(error))
        if found and type(error).__module__.startswith("tensorflow"):
            raise DataError(found[1]) from error
        raise


def import_tensorflow() -> None:
    """Imports TensorFlow without the lines it prints before its log level is read.

    An import that fails still raises.
    """
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "3":
            os.dup2(nowhere, 2)
        import tensorflow  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def run_command(command: Callable[[list[str]], None]) -> None:
    """Runs `command(argv)` as a program: errors are one line on stderr, a traceback with --debug.

    An exception that is not foreseen keeps its traceback: it is a defect of ours.
    """
    debug = any(argument.lstrip("-").partition("=")[0] == "debug" for argument in sys.argv[1:])
    if not debug:  # TensorFlow prints a dozen lines at every start otherwise
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with data_errors():
            command(sys.argv)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` say, has had enough: no error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (Exception, KeyboardInterrupt) as error:
        code = exit_code(error)
        if debug or code == 1:
            traceback.print_exc()
        else:
            text = " ".join(str(error).split()) or type(error).__name__
            if type(error).__name__ == "ResourceExhaustedError":
                text = f"out of memory: choose a smaller --batch_size ({text[:200]})"
            print(f"error: {text}", file=sys.stderr)
        sys.exit(code)
