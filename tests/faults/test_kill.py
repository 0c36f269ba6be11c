"""Processes that die at any moment leave a run that ends with the bits of one that did not die."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from trainers.store import checkpoint

pytestmark = pytest.mark.slow

PLACES = (
    "first batch",
    "middle of an epoch",
    "last of an epoch",
    "validation",
    "export",
    "evaluation",
)
# What the third save of a run does to files, one after the other: it removes the first checkpoint.
OPERATIONS = (
    *(
        "rmtree",
        "mkdir",
        "half of savez",
        "savez",
        "fsync",
        "half of dump",
        "dump",
        "fsync",
        "fsync",
    ),
    *("rename", "fsync", "rmtree"),
)
CODES = {"SIGKILL": -signal.SIGKILL, "SIGTERM": 143, "exception": 1}


@pytest.fixture(scope="module")
def live():
    """A function that lets a run live until it dies as it is told; its exit code."""
    environment = {**os.environ, "PYTHONPATH": ROOT}
    command = [sys.executable, "-m", "tests.faults.mortal"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, cwd=ROOT, **pipes) as process:

        def one_life(folder, replicas: int, kind: str = "", point=None) -> int:
            case = {"folder": str(folder), "replicas": replicas, "kind": kind, "point": point}
            process.stdin.write(json.dumps(case) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield one_life
        process.stdin.close()


def outcome(folder: pathlib.Path) -> tuple:
    """All that a finished run must leave, whatever happened on the way."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    report = json.loads((folder / "report.json").read_text())
    return (
        checkpoint.sha256(folder / "checkpoints" / "step-00000016" / "state.npz"),
        sorted(p.name for p in (folder / "checkpoints").iterdir()),
        [{k: v for k, v in line.items() if "per_second" not in k} for line in lines],
        (report["test"], report["validation"], report["export"]),
        sorted(p.name for p in (folder / "export" / "cifar_cnn").iterdir()),
    )


@pytest.fixture(scope="module")
def quiet(live, tmp_path_factory) -> dict[int, tuple]:
    """What runs leave that nothing interrupted, by their number of replicas."""
    found = {}
    for replicas in (1, 2):
        folder = tmp_path_factory.mktemp("quiet") / "run"
        # Point 0 comes never: the operations of the third save are only named.
        assert live(folder, replicas, "SIGKILL", 0) == 0
        log = folder.with_suffix(".log").read_text().splitlines()
        assert tuple(json.loads(log[-1])) == OPERATIONS
        found[replicas] = outcome(folder)
    return found


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("point", [*PLACES, *range(1, len(OPERATIONS) + 1)])
def test_a_death_changes_nothing(point, kind, replicas, live, quiet, tmp_path):
    folder = tmp_path / "run"
    assert live(folder, replicas, kind, point) == CODES[kind], folder.with_suffix(
        ".log"
    ).read_text()
    assert not (folder / "report.json").exists()
    assert live(folder, replicas) == 0, folder.with_suffix(".log").read_text()
    assert outcome(folder) == quiet[replicas]
