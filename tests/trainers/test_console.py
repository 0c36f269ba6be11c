"""Standard streams that are closed, full, or whose reader has left."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

# Prints an answer, logs 5000 lines, writes a file and prints an answer again.
_COMMAND = """
import logging, sys
from trainers import errors

def command(argv):
    print("first answer", flush=True)
    file = open("trained", "w")
    for number in range(5000):
        logging.getLogger("trainers.x").info("step %d", number)
        sys.stderr.write("progress\\n")
    file.write("whole")
    file.close()
    print("answer " * 20000)

errors.run_command(command)
"""


def run(folder, redirect: str, program: str = _COMMAND) -> subprocess.CompletedProcess:
    """The command under a shell that reports the exit code of Python, not of the pipe's end."""
    (folder / "program.py").write_text(program)
    script = f'{{ "$0" program.py; echo $? > code; }} {redirect}'
    done = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable],
        cwd=folder,
        env={"PYTHONPATH": ROOT, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return subprocess.CompletedProcess(
        done.args, int((folder / "code").read_text()), done.stdout, done.stderr
    )


@pytest.mark.parametrize(
    "redirect",
    [
        "| head -1",
        "2>&1 | head -1",
        "2>&1 >/dev/null | head -1",
        ">&-",
        "2>&-",
        "<&- >&- 2>&-",
        "2>/dev/full",  # a full disk for a log ends no training
    ],
)
def test_work_is_done_whatever_becomes_of_the_output(redirect, tmp_path):
    done = run(tmp_path, redirect)
    assert (tmp_path / "trained").read_text() == "whole"
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "error" not in done.stderr


def test_answer_that_the_disk_does_not_take_is_an_error(tmp_path):
    program = "from trainers import errors\nerrors.run_command(lambda argv: print('answer'))\n"
    done = run(tmp_path, ">/dev/full", program)
    assert done.returncode == 6
    assert done.stderr == "error: the disk is full: [Errno 28] No space left on device\n"


def test_pipe_to_another_process_that_breaks_is_an_error(tmp_path):
    program = (
        "from trainers import errors\n"
        "def command(argv):\n"
        "    raise BrokenPipeError('the child has gone')\n"
        "errors.run_command(command)\n"
    )
    done = run(tmp_path, "", program)
    assert done.returncode == 6
    assert done.stderr == "error: the child has gone\n"
