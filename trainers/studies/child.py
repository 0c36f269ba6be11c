"""One run in a process of its own: its output goes to a file, signals are passed on to it."""

import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from trainers.errors import signalled
from trainers.store import files
from trainers.training.callbacks.signals import stop_signals


class Ended(NamedTuple):
    """How the process ended."""

    exit_code: int
    signal: int  # that this process received during the run; 0: none
    last_line: str  # of its output; its error, where it printed one


def run(flags: Sequence[str], log: pathlib.Path) -> Ended:
    """Runs `python -m trainers.run` with these flags and waits for it.

    Signals that ask this process to stop are passed on to it meanwhile.

    Args:
        log: the file that its output is appended to; its folder exists.
    """
    command = [sys.executable, "-m", "trainers.run", *flags]
    child, received = None, []

    def pass_on(number: int, frame: Any) -> None:
        received.append(number)
        if child is not None:
            child.send_signal(number)

    earlier = {number: signal.signal(number, pass_on) for number in stop_signals()}
    try:
        with files.open_plain(log) as output:
            start = output.seek(0, os.SEEK_END)
            # A process group of its own: a Ctrl-C at the terminal reaches it once, through us.
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        for number in received:  # before there was a child to pass it on to
            child.send_signal(number)
        code = child.wait()
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
    code = signalled(-code) if code < 0 else code
    return Ended(code, max(received, default=0), _last_line(log, start))


def _last_line(log: pathlib.Path, start: int) -> str:
    with open(log, "rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").split("\n")
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or [line for line in lines if line.strip()] or [""])[-1]
