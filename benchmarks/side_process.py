"""The sides of train_speed.py as processes that train on request."""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys

_FOLDER = pathlib.Path(__file__).parent


class SideError(RuntimeError):
    """A process ended without an answer; the message has the reason."""


class Side:
    """A process of sides.py: it builds its network, then trains on request."""

    def __init__(self, name: str, job: dict):
        self._name = name
        self._log = pathlib.Path(job["folder"], f"{name}.log")
        with open(self._log, "w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [sys.executable, _FOLDER / "sides.py", name, json.dumps({**job, "side": name})],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=_environment(job["threads"]),
            )

    def answer(self) -> dict:
        """The process's next line of output, parsed. SideError: it has ended."""
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        raise SideError(f"{self._name} ended: {_why(self._log)}")

    def train(self, seconds: float) -> dict:
        """Lets the process train; returns its answer.

        `others` in it are the cores that the rest of the machine used in the meantime, if known.

        Raises:
            SideError: it has ended.
        """
        before = _busy_seconds()
        with contextlib.suppress(BrokenPipeError):  # then there is no answer either
            self._process.stdin.write(f"{seconds}\n")
            self._process.stdin.flush()
        turn = self.answer()
        if before is not None:
            turn["others"] = (_busy_seconds() - before - turn["used"]) / turn["wall"]
        return turn

    def end(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def make_data(job: dict) -> None:
    """Writes the rows of all sides into the job's folder. SideError: there is no data."""
    log = pathlib.Path(job["folder"], "data.log")
    command = [sys.executable, _FOLDER / "speed_data.py", json.dumps(job)]
    with open(log, "w", encoding="utf-8") as file:
        environment = _environment(job["threads"])
        done = subprocess.run(command, stdout=file, stderr=file, env=environment, check=False)
    if done.returncode:
        raise SideError(f"no data, {_why(log)}; --data=random needs none")


def cpu_name() -> str:
    """The processor's model name; trainers.devices.precision.cpu_name would import TensorFlow."""
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else "unknown processor"


def _busy_seconds() -> float | None:
    """Seconds that all cores together were busy since the machine started."""
    stat = pathlib.Path("/proc/stat")
    if not stat.exists():
        return None
    user, nice, system, _, _, irq, soft_irq, *_ = map(int, stat.read_text().split()[1:9])
    return (user + nice + system + irq + soft_irq) / os.sysconf("SC_CLK_TCK")


def _why(log: pathlib.Path) -> str:
    """The exception that a process ended with, or else its last line."""
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception)\b", line)]
    return (errors or lines or ["no output"])[-1].strip()


def _environment(threads: int) -> dict[str, str]:
    return {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "KERAS_BACKEND": "tensorflow",
        "OMP_NUM_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": str(threads),
    }
