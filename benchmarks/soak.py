"""Kills one real run again and again, at random times, until it finishes.

    python benchmarks/soak.py --kills=100 --folder=FOLDER -- --model=cifar_cnn --epochs=60

trains once without kills, then again in processes ("lives") that SIGKILL ends, and compares
weights, optimizer and metrics bit by bit, the lines of metrics.jsonl, and files in the folder. The
exit code is 1 if anything differs.
"""

import json
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
from absl import app, flags

from trainers.store import checkpoint
from trainers.store.files import sha256

_KILLS = flags.DEFINE_integer("kills", 100, "How often the run is killed by SIGKILL.")
_LONGEST = flags.DEFINE_float("longest", 15.0, "Longest time before a kill, in seconds.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the times of the kills.")
_FOLDER = flags.DEFINE_string("folder", None, "New folder for both runs.", required=True)


def begin(arguments: list[str], folder: pathlib.Path) -> subprocess.Popen:
    """A process that trains, or continues, in the folder."""
    command = [sys.executable, "-m", "trainers.run", *arguments, f"--workdir={folder}"]
    with open(folder.parent / f"{folder.name}.log", "a", encoding="utf-8") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def newest(folder: pathlib.Path) -> int:
    """The step of the newest checkpoint; 0: there is none."""
    return max(checkpoint.steps(folder / "checkpoints"), default=0)


def kill_often(arguments: list[str], folder: pathlib.Path) -> list[int]:
    """Starts the run and kills it after random times, before or in training; the steps it reached.

    It ends early if the run finishes before all kills.
    """
    random = np.random.default_rng(_SEED.value)
    reached: list[int] = []
    while len(reached) < _KILLS.value:
        process = begin(arguments, folder)
        try:
            process.wait(timeout=random.uniform(1.0, _LONGEST.value))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        if process.returncode != -signal.SIGKILL:
            print(f"a life ended by itself with exit code {process.returncode}")
            break
        reached.append(newest(folder))
        print(f"kill {len(reached)}: newest checkpoint is step {reached[-1]}", flush=True)
    return reached


def lines(folder: pathlib.Path) -> list[dict]:
    """The lines of metrics.jsonl without speeds."""
    text = (folder / "metrics.jsonl").read_text()
    records = [json.loads(line) for line in text.splitlines()]
    return [{k: v for k, v in record.items() if "per_second" not in k} for record in records]


def main(argv: list[str]) -> None:
    top = pathlib.Path(_FOLDER.value)
    top.mkdir(parents=True)
    quiet, killed = top / "quiet", top / "killed"
    arguments = [*argv[1:], "--report_baseline=false", "--checkpoint_minutes=0.02"]
    if begin(arguments, quiet).wait():
        sys.exit(f"the quiet run failed: see {quiet}.log")
    began = time.monotonic()
    reached = kill_often(arguments, killed)
    if begin(arguments, killed).wait():
        sys.exit(f"the killed run failed: see {killed}.log")
    last = newest(quiet)
    files = [run / "checkpoints" / f"step-{last:08d}" / "state.npz" for run in (quiet, killed)]
    states = [sha256(file) for file in files]
    result = {
        "kills": len(reached),
        "lives that left a new checkpoint": len(set(reached) - {0}),
        "steps": last,
        "seconds": round(time.monotonic() - began),
        "states": states,
        "same lines": lines(quiet) == lines(killed),
        "half-written files": [str(p) for p in killed.rglob("*") if ".writing" in p.name],
    }
    print(json.dumps(result, indent=1))
    same = states[0] == states[1] and result["same lines"]
    sys.exit(0 if same and not result["half-written files"] else 1)


if __name__ == "__main__":
    app.run(main)
