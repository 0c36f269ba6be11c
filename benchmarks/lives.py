"""Runs commands in "lives": forks of one process that has imported everything and started nothing.

So a command takes one second instead of ten. TensorFlow starts its threads only in the forks: the
parent process must never run an operation itself.
"""

import os

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import contextlib
import pathlib
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

import trainers.evaluation.evaluate
import trainers.reports.write
import trainers.serving.predict
import trainers.training.run  # noqa: F401 - the modules that commands import late
from trainers import errors, evaluate, export, predict, report, run
from trainers.serving import compare

COMMANDS = {
    "run": run,
    "evaluate": evaluate,
    "predict": predict,
    "report": report,
    "export": export,
}
_POLLED = 0.005  # seconds between two polls


class Life(NamedTuple):
    """How a command ended, and what it printed."""

    code: int | None  # exit code; negative: the signal; None: it was killed at its time limit
    out: str
    errors: str
    seconds: float


def live(
    words: Sequence[str],
    folder: pathlib.Path,
    *,
    limit: float | None = None,
    hook: Callable[[], None] | None = None,
) -> Life:
    """Runs one command in a fork of this process; SIGKILL ends it at its time limit.

    Args:
        words: the command's name and its arguments.
        folder: a folder for the printed output, and for temporary files, in `tmp`.
        limit: seconds.
        hook: called in the fork before the command.
    """
    files = [folder / "out.txt", folder / "errors.txt"]
    sys.stdout.flush()
    sys.stderr.flush()
    began = time.monotonic()
    child = os.fork()
    if not child:
        code = 1
        try:
            for number, path in enumerate(files, start=1):
                handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
                os.dup2(handle, number)
            sys.stdout, sys.stderr = (open(n, "w", closefd=False) for n in (1, 2))  # noqa: SIM115
            code = _command(words, folder, hook)
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
    code = _ended(child, limit)
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in files]
    return Life(code, *texts, time.monotonic() - began)


def _command(words: Sequence[str], folder: pathlib.Path, hook: Callable[[], None] | None) -> int:
    name, *arguments = words
    (folder / "tmp").mkdir(exist_ok=True)
    tempfile.tempdir = str(folder / "tmp")
    os.chdir(folder)
    sys.argv = [f"trainers.{name}", *arguments]
    compare.run_in_new_process = _here
    if hook:
        hook()
    try:
        errors.run_command(COMMANDS[name].main)
    except SystemExit as leaving:
        return leaving.code or 0
    return 0


def _here(exported: pathlib.Path, arguments: compare.Answers) -> compare.Answers:
    """Replaces `compare.run_in_new_process`: calls the export in this process."""
    model = tf.saved_model.load(str(exported))
    answers = {}
    for signature, named in arguments.items():
        outputs = model.signatures[signature](**{k: tf.constant(v) for k, v in named.items()})
        answers[signature] = {name: value.numpy() for name, value in outputs.items()}
    return answers


def _ended(child: int, limit: float | None) -> int | None:
    """The exit code of a process; None: it was killed at its time limit."""
    ends = time.monotonic() + limit if limit is not None else float("inf")
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= ends:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(_POLLED)
