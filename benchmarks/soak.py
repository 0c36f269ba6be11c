"""Kills one real run again and again, at random moments, until it is finished.

    python benchmarks/soak.py --kills=100 --folder=FOLDER -- --model=cifar_cnn --epochs=10

trains once in peace, then once more in lives that SIGKILL ends, and compares: the weights, optimizer
and metrics to the bit, the lines of metrics.jsonl, and what lies in the folder. Exit code 1 where
anything differs.
"""

import argparse
import json
import pathlib
import random
import signal
import subprocess
import sys
import time

from trainers import checkpoint


def begin(flags: list[str], folder: pathlib.Path) -> subprocess.Popen:
    """A process that trains, or continues, in the folder."""
    log = open(folder.parent / f"{folder.name}.log", "a", encoding="utf-8")
    command = [sys.executable, "-m", "trainers.run", *flags, f"--workdir={folder}"]
    return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def newest(folder: pathlib.Path) -> int:
    """The step of the newest checkpoint; 0: there is none."""
    return max(checkpoint.steps(folder / "checkpoints"), default=0)


def kill_often(flags: list[str], folder: pathlib.Path, kills: int, longest: float) -> list[int]:
    """Runs in lives of random length until so many were killed; the newest step after each.

    A life is killed at a random moment after the run began to train in it, or on the way there.
    Once it has been killed often enough the run is left alone to finish.
    """
    reached: list[int] = []
    while len(reached) < kills:
        process = begin(flags, folder)
        try:
            process.wait(timeout=random.uniform(1.0, longest))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        if process.returncode != -signal.SIGKILL:
            print(f"life {len(reached)} ended by itself: exit code {process.returncode}")
            break
        reached.append(newest(folder))
        print(f"kill {len(reached)}: newest checkpoint is step {reached[-1]}", flush=True)
    return reached


def lines(folder: pathlib.Path) -> list[dict]:
    """What metrics.jsonl says of each step, but for the speed."""
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if "per_second" not in k} for line in found]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--longest", type=float, default=25.0, help="seconds of the longest life")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="new, for both runs")
    parser.add_argument("flags", nargs="+", help="of trainers.run, after --")
    given = parser.parse_args()
    random.seed(given.seed)
    given.folder.mkdir(parents=True)
    quiet, killed = given.folder / "quiet", given.folder / "killed"
    # The same places to save at; a run looks at the clock only between executions.
    flags = [*given.flags, "--report_baseline=false", "--checkpoint_minutes=0.02"]
    if begin(flags, quiet).wait():
        sys.exit(f"the quiet run failed: see {quiet}.log")
    began = time.monotonic()
    reached = kill_often(flags, killed, given.kills, given.longest)
    if begin(flags, killed).wait():
        sys.exit(f"the killed run failed: see {killed}.log")
    last = newest(quiet)
    states = [
        checkpoint.sha256(place / "checkpoints" / f"step-{last:08d}" / "state.npz")
        for place in (quiet, killed)
    ]
    left = [str(path) for path in killed.rglob("*") if ".writing" in path.name]
    result = {
        "kills": len(reached),
        "lives that reached a new checkpoint": len(set(reached) - {0}),
        "steps": last,
        "seconds": round(time.monotonic() - began),
        "same state": states[0] == states[1],
        "same lines": lines(quiet) == lines(killed),
        "half-written files left": left,
        "state": states,
    }
    print(json.dumps(result, indent=1))
    sys.exit(0 if states[0] == states[1] and result["same lines"] and not left else 1)


if __name__ == "__main__":
    main()
