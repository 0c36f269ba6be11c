"""Processes that die at any moment leave a run that ends with the bits of one that did not die."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.faults.deaths import operations_of_a_save
from tests.faults.mortal import EPOCH, FUNCTIONS, MOMENTS
from trainers.store import checkpoint, files

pytestmark = pytest.mark.slow

OPERATIONS = operations_of_a_save(1, 2, 3)
AGAIN = operations_of_a_save(1, 2, 2)  # of a step that was saved before
CODES = {"SIGKILL": -signal.SIGKILL, "SIGTERM": 143, "exception": 1}


@pytest.fixture(scope="module")
def live():
    """A function that lets a run live until its death, or its end; its exit code."""
    environment = {**os.environ, "PYTHONPATH": ROOT}
    command = [sys.executable, "-m", "tests.faults.mortal"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, cwd=ROOT, **pipes) as process:

        def one_life(folder, replicas: int, kind: str = "", point=None, save: int = 3) -> int:
            case = {"folder": str(folder), "replicas": replicas, "kind": kind, "point": point}
            case["save"] = save
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
        files.sha256(folder / "checkpoints" / "step-00000016" / "state.npz"),
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
        assert json.loads(log[-1]) == OPERATIONS
        found[replicas] = outcome(folder)
    return found


def cases() -> list:
    """(point, kind, replicas): what a save does to files does not depend on the replicas."""
    points = [
        *((point, kind, 1) for point in (*MOMENTS, *FUNCTIONS) for kind in CODES),
        *((point, "SIGKILL", 2) for point in (*MOMENTS, *FUNCTIONS)),
    ]
    numbers = range(1, len(OPERATIONS) + 1)
    inside = [(i, kind, 1) for i in numbers for kind in ("SIGKILL", "exception")]
    inside += [(OPERATIONS.index("savez") + 1, "SIGTERM", replicas) for replicas in (1, 2)]
    named = [(f"{i}-{OPERATIONS[i - 1]}", kind, replicas) for i, kind, replicas in inside]
    return [
        pytest.param(*case, id="-".join(map(str, name)))
        for case, name in zip([*points, *inside], [*points, *named], strict=True)
    ]


@pytest.mark.parametrize(("point", "kind", "replicas"), cases())
def test_run_ends_with_the_same_bits_after_a_death(point, kind, replicas, live, quiet, tmp_path):
    folder = tmp_path / "run"
    assert live(folder, replicas, kind, point) == CODES[kind], folder.with_suffix(
        ".log"
    ).read_text()
    assert not (folder / "report.json").exists()
    assert live(folder, replicas) == 0, folder.with_suffix(".log").read_text()
    assert outcome(folder) == quiet[replicas]


@pytest.fixture(scope="module")
def stopped(live, tmp_path_factory) -> pathlib.Path:
    """A run that SIGTERM stopped in its first validation: the next one saves that step again."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    assert live(folder, 1, "SIGTERM", "validation") == 143
    assert checkpoint.steps(folder / "checkpoints")[-1] == EPOCH
    return folder


@pytest.mark.parametrize("point", range(1, len(AGAIN) + 1), ids=lambda i: f"{i}-{AGAIN[i - 1]}")
def test_run_ends_with_the_same_bits_after_a_death_as_a_step_is_saved_again(
    point, live, quiet, stopped, tmp_path
):
    folder = shutil.copytree(stopped, tmp_path / "run")
    assert live(folder, 1, "SIGKILL", point, save=1) == -signal.SIGKILL
    assert checkpoint.load_newest(folder / "checkpoints").step == EPOCH
    assert live(folder, 1) == 0, folder.with_suffix(".log").read_text()
    assert outcome(folder) == quiet[1]
