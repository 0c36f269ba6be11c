"""Full disks, missing folders, other machines, too little memory: what is kept and said."""

import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import ROOT, run_python, tiny_settings
from trainers import errors
from trainers.devices import precision as machine
from trainers.store import checkpoint, run_folder
from trainers.training import run
from trainers.training.callbacks.monitor import Monitor
from trainers.training.callbacks.saver import Saver

RUN = ("--model=mlp_binary", "--hparams=hidden=(3,)", "--optimizer=sgd", "--epochs=4")
fake = pytest.mark.usefixtures("_fake_data", "_unchecked_export")

_LIMITED = """
import os, resource, sys
from trainers import run as run_command_module
from trainers.training import run
from trainers.setup.errors import run_command
from trainers.watch import saver
def limited(self, epoch, logs=None, original=saver.Saver.on_epoch_end):
    if epoch == 1:  # from the second epoch on, files may not be longer than this
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ["LONGEST"]), -1))
    original(self, epoch, logs)
saver.Saver.on_epoch_end = limited
saver.Saver.on_train_end = lambda self, logs=None: resource.setrlimit(
    resource.RLIMIT_FSIZE, (-1, -1)
)
run_command(run_command_module.main)
"""


def limited_run(folder, data, longest: int):
    """A real run on a disk on which files cannot grow beyond so many bytes any more."""
    words = [*RUN, f"--data_dir={data}", f"--workdir={folder}"]
    return run_python("-c", _LIMITED, *words, check=False, LONGEST=str(longest))


@pytest.mark.slow
def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path, built_in_data):
    folder = tmp_path / "run"
    done = limited_run(folder, built_in_data, longest=1000)
    assert done.returncode == 6, done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("error: [Errno 27] File too large")
    steps = checkpoint.steps(folder / "checkpoints")
    assert len(steps) == 1
    assert checkpoint.load_newest(folder / "checkpoints").step == steps[0]
    assert os.listdir(folder / "checkpoints") == [f"step-{steps[0]:08d}"]
    words = [*RUN, f"--data_dir={built_in_data}", f"--workdir={folder}"]
    run_python("-m", "trainers.run", *words)  # with room again
    assert (folder / "report.json").exists()


@pytest.mark.slow
def test_a_full_disk_for_logs_does_not_end_training(tmp_path, built_in_data):
    """TensorBoard's file is longer than the limit by then; checkpoints are not."""
    folder = tmp_path / "run"
    done = limited_run(folder, built_in_data, longest=15_000)
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if "no more TensorBoard" in line]
    assert len(warnings) == 1, done.stderr
    assert (folder / "report.json").exists()
    longest = max(p.stat().st_size for p in folder.glob("tensorboard/train/*"))
    assert longest > 15_000 > next(folder.rglob("checkpoints/*/state.npz")).stat().st_size


@fake
@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("on_train_begin", tf.errors.ResourceExhaustedError(None, None, "full")),
        ("on_train_batch_end", OSError(28, "No space left")),
        ("on_epoch_end", tf.errors.ResourceExhaustedError(None, None, "full")),
    ],
)
def test_what_is_shown_fails_once_and_in_one_line(method, error, tmp_path, monkeypatch, capsys):
    def fail(*args, **kwargs):
        raise error

    parts = {"on_train_begin": tf.summary, "on_train_batch_end": Monitor, "on_epoch_end": Monitor}
    names = {
        "on_train_begin": "graph",
        "on_train_batch_end": "_write",
        "on_epoch_end": "_write_images",
    }
    monkeypatch.setattr(parts[method], names[method], fail)
    assert run.run(tiny_settings("mlp_binary", tmp_path))["test"]
    assert capsys.readouterr().err.count("warning: no more TensorBoard") == 1


@fake
def test_a_folder_that_is_removed_under_a_run_is_not_made_again(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    original = Saver.on_epoch_end

    def removing(self, epoch, logs=None):
        shutil.rmtree(folder)
        original(self, epoch, logs)

    monkeypatch.setattr(Saver, "on_epoch_end", removing)
    with pytest.raises(FileNotFoundError, match="was removed while") as caught:
        run.run(tiny_settings("mlp_binary", folder))
    assert errors.exit_code(caught.value) == 6
    assert not folder.exists()


@fake
def test_a_folder_that_is_removed_before_the_export_is_not_made_again(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    original = Monitor.close

    def removing(self):
        original(self)
        shutil.rmtree(folder, ignore_errors=True)

    monkeypatch.setattr(Monitor, "close", removing)
    with pytest.raises(FileNotFoundError, match="was removed while"):
        run.run(tiny_settings("mlp_binary", folder))
    assert not folder.exists()


def test_a_place_that_cannot_be_written_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file") as caught:
        run.run(tiny_settings("mlp_binary", tmp_path / "file" / "run"))
    assert errors.exit_code(caught.value) == 6
    with pytest.raises(errors.UsageError, match="is a file"):
        run.run(tiny_settings("mlp_binary", tmp_path / "file"))
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError) as caught:
        run.run(tiny_settings("mlp_binary", tmp_path / "run"))
    assert errors.exit_code(caught.value) == 6


@fake
def test_too_little_memory_is_told_with_what_to_do(tmp_path, monkeypatch, capsys):
    settings = tiny_settings("mlp_binary", tmp_path)
    original = Saver.on_epoch_begin

    def failing(self, epoch, logs=None):
        original(self, epoch, logs)
        if epoch == 1:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(Saver, "on_epoch_begin", failing)
    monkeypatch.setattr(sys, "argv", ["run"])
    with pytest.raises(SystemExit) as caught:
        errors.run_command(lambda argv: run.run(settings))
    assert caught.value.code == 6
    assert "choose a smaller --batch_size" in capsys.readouterr().err.splitlines()[-1]
    assert checkpoint.load_newest(tmp_path / "checkpoints").step == 4


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    program = (
        "import pathlib, sys, time\n"
        "from trainers.store import run_folder as workdir\n"
        "with run_folder.claim(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": ROOT}
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as holder:
        assert holder.stdout.readline() == "held\n"
        busy = pytest.raises(errors.BusyError, match=f"in use by process {holder.pid}")
        with busy, run_folder.claim(tmp_path):
            pass
        holder.kill()
        holder.wait()
    with run_folder.claim(tmp_path):
        pass


@fake
def test_the_second_of_two_runs_touches_nothing(tmp_path):
    with open(tmp_path / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(errors.BusyError) as caught:
            run.run(tiny_settings("mlp_binary", tmp_path))
    assert errors.exit_code(caught.value) == 75
    assert os.listdir(tmp_path) == [".lock"]


@fake
@pytest.mark.parametrize("field", ["versions", "replicas"])
def test_other_conditions_are_said_and_recorded(field, tmp_path, monkeypatch, capsys):
    """One replica after two, or another TensorFlow: it continues, not to the same bits."""
    changes = {"epochs": 1, "batch_size": 16}
    then = {"versions": {}, "replicas": {"replicas": 2}}[field]
    with monkeypatch.context() as patch:
        if field == "versions":
            old = machine.describe() | {"versions": {"tensorflow": "2.20.0"}}
            patch.setattr(machine, "describe", lambda: old)
        run.run(tiny_settings("mlp_binary", tmp_path, **changes, **then))
    assert "other conditions" not in capsys.readouterr().err
    run.run(
        tiny_settings("mlp_binary", tmp_path, resume_with_changes=True, **{**changes, "epochs": 2})
    )
    said = capsys.readouterr().err
    assert "not to the same bits" in said
    assert {"versions": "versions.tensorflow '2.20.0' -> '2.21", "replicas": "replicas 2 -> 1"}[
        field
    ] in said
    starts = json.loads((tmp_path / "run.json").read_text())["starts"]
    assert len(starts) == 2
    assert starts[0][field] != starts[1][field]


@fake
def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    for name in ("one", "two"):
        run.run(tiny_settings("mlp_binary", tmp_path / name))
    place = pathlib.Path("checkpoints", "step-00000008")
    (tmp_path / "two" / "report.json").unlink()
    shutil.rmtree(tmp_path / "two" / place)
    shutil.copytree(tmp_path / "one" / place, tmp_path / "two" / place)
    with pytest.raises(errors.ArtefactError, match="another run") as caught:
        run.run(tiny_settings("mlp_binary", tmp_path / "two"))
    assert errors.exit_code(caught.value) == 4


def test_a_thousand_rotations_leave_the_last_two_and_no_open_file(tmp_path):
    checkpoint.begin(tmp_path)
    (tmp_path / ".writing-1").mkdir()
    checkpoint.begin(tmp_path)  # a new process clears what a killed one left
    files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    began = time.monotonic()
    for step in range(1, 1001):
        state = checkpoint.Checkpoint(step, {"a": np.full(3, step)}, {})
        checkpoint.save(tmp_path, state, best_step=7)
        assert time.monotonic() - began < 60
    assert sorted(os.listdir(tmp_path)) == ["step-00000007", "step-00000999", "step-00001000"]
    if files:
        assert len(os.listdir("/proc/self/fd")) == files
