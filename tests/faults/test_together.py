"""Twelve processes at once on one data folder, one table and one folder of images."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from pipelines.storage.builders import ensure_prepared, find_builder, is_prepared
from tests.conftest import OPTIONS, ROOT

_NUMBER = 12
# Forked, so that TensorFlow is imported once: twelve imports take two minutes of two cores.
TOGETHER = """
import contextlib, json, os, sys, traceback
import tensorflow
import pipelines, pipelines.digits, pipelines.fetch
from pipelines.core.prepared import prepare
from pipelines.storage import tfds
from trainers.store import run_folder

def fetched(folder):
    return pipelines.fetch.fetch("digits", folder)

def read(name, options):
    pipeline, rows, schema = tfds.load(pipelines.get(name, **options))
    return run_folder.data_fingerprint(prepare(pipeline, schema, rows))

job, arguments, number = globals()[sys.argv[1]], json.loads(sys.argv[2]), int(sys.argv[3])
gate, opened = os.pipe()
children = []
for i in range(number):
    child = os.fork()
    if not child:
        os.close(opened)
        os.read(gate, 1)
        try:
            with contextlib.redirect_stdout(sys.stderr):
                answer = job(*arguments)
            os.write(1, f"{answer}\\n".encode())
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    children.append(child)
os.close(gate), os.close(opened)  # all begin
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""


def together(job: str, *arguments) -> list[str]:
    """What each of twelve processes says, which begin at the same moment."""
    command = [sys.executable, "-c", TOGETHER, job, json.dumps(arguments), str(_NUMBER)]
    environment = {**os.environ, "PYTHONPATH": ROOT, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    answers = done.stdout.splitlines()
    assert len(answers) == _NUMBER
    return answers


@pytest.mark.slow
def test_twelve_processes_prepare_one_empty_data_folder(tmp_path):
    answers = together("fetched", str(tmp_path / "data"))
    assert all(answer.startswith("digits/1.0.0 is ") for answer in answers)
    assert all(answer.endswith(": 1797 train") for answer in answers)
    assert os.listdir(tmp_path / "data" / "digits") == ["1.0.0"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["csv", "image_folder"])
def test_twelve_processes_read_the_same_of_the_same_files(name):
    assert len(set(together("read", name, OPTIONS[name]))) == 1


@pytest.mark.slow
def test_process_that_is_killed_while_it_prepares_holds_nobody_up(tmp_path):
    command = [sys.executable, "-m", "pipelines.fetch", "shapes", f"--data_dir={tmp_path}"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as preparing:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("shapes/incomplete.*")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        preparing.send_signal(signal.SIGKILL)
        assert preparing.wait() == -signal.SIGKILL
    [left] = tmp_path.glob("shapes/incomplete.*")
    assert not is_prepared(find_builder("shapes", str(tmp_path)))
    builder = ensure_prepared(find_builder("shapes", str(tmp_path)))
    assert builder.info.splits["train"].num_examples == 15_000
    assert os.listdir(tmp_path / "shapes") == ["1.0.0"]
    assert not left.exists()
