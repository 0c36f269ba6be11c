"""Exit codes, the one line of an error, and what is shown of the log."""

import logging
import sys

import pytest

from pipelines import DataError
from tests.conftest import run_python
from trainers import errors


class ResourceExhaustedError(Exception):
    """Stands for TensorFlow's, which is matched by its name."""

    __module__ = "tensorflow.python.framework.errors_impl"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError(), 2),
        (DataError(), 3),
        (errors.ArtefactError(), 4),
        (errors.NonFiniteError("", 7), 5),
        (OSError(), 6),
        (MemoryError(), 6),
        (ResourceExhaustedError(), 6),
        (errors.BusyError(), 75),
        (errors.InterruptedRunError("", errors.OUT_OF_TIME), 124),
        (errors.InterruptedRunError("", errors.signalled(15)), 143),
        (KeyboardInterrupt(), 130),
        (ValueError(), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_code_of_each_error(error, code):
    assert errors.exit_code(error) == code


def ended(monkeypatch, command, *flags: str) -> int:
    monkeypatch.setattr(sys, "argv", ["run", *flags])
    with pytest.raises(SystemExit) as caught:
        errors.run_command(command)
    return caught.value.code


def test_run_command_prints_an_error_as_one_line(monkeypatch, capsys):
    def command(argv):
        raise DataError("line 1\nline 2")

    assert ended(monkeypatch, command) == 3
    assert capsys.readouterr().err == "error: line 1 line 2\n"
    assert ended(monkeypatch, command, "--debug") == 3
    assert "Traceback" in capsys.readouterr().err


def test_run_command_shows_the_traceback_of_a_defect(monkeypatch, capsys):
    assert ended(monkeypatch, lambda argv: 1 / 0) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_run_command_says_what_to_do_without_memory(monkeypatch, capsys):
    def command(argv):
        raise ResourceExhaustedError("OOM")

    assert ended(monkeypatch, command) == 6
    assert "choose a smaller --batch_size" in capsys.readouterr().err


def test_run_command_shows_the_log_on_stderr_alone(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run"])

    def command(argv):
        logging.getLogger("trainers.training.run").info("%d rows", 3)
        logging.getLogger("pipelines.csv").warning("two rows are equal")
        logging.getLogger("pipelines.csv").debug("hidden")
        logging.getLogger("other").info("hidden")
        print("answer")

    errors.run_command(command)
    output = capsys.readouterr()
    assert output.out == "answer\n"
    assert output.err == "3 rows\nwarning: two rows are equal\n"
    logging.getLogger("trainers.training.run").info("after the command")
    assert capsys.readouterr().err == ""


def test_data_errors_finds_a_data_error_inside_of_tensorflows():
    class Wrapped(Exception):
        __module__ = "tensorflow.python.framework.errors_impl"

    with pytest.raises(DataError, match=r"^row 7 is damaged$"), errors.data_errors():
        raise Wrapped("Traceback: ...\npipelines.DataError: row 7 is damaged\n")
    with pytest.raises(ValueError, match="DataError: row 7"), errors.data_errors():
        raise ValueError("DataError: row 7")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--debug"], True),
        (["-debug=true"], True),
        (["--debug=false"], False),
        (["--debug", "--nodebug"], False),
        (["debug"], False),  # a file of this name
    ],
)
def test_tracebacks_are_printed_where_debug_is_on(words, shown):
    probe = (
        "from trainers import errors\n"
        "def fail(argv): raise errors.UsageError('no')\n"
        "errors.run_command(fail)"
    )
    done = run_python("-c", probe, *words, check=False)
    assert done.returncode == errors.USAGE
    assert ("Traceback" in done.stderr) == shown


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii"])
def test_answers_name_files_whose_names_are_no_text(encoding, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    probe = (
        "from trainers import errors\nerrors.run_command(lambda argv: print('run in caf\\udce9'))"
    )
    assert run_python("-c", probe).stdout == "run in caf\\udce9\n"
