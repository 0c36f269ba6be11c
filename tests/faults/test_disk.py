"""Full disks, missing folders, other machines, too little memory: what is kept and said."""

import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import ROOT, run_python, tiny_settings
from tests.faults.deaths import At, raising
from trainers import errors
from trainers.devices import precision
from trainers.store import checkpoint
from trainers.store.claim import claim
from trainers.training import run

RUN = (
    *("--model=mlp_binary", "--hparams=hidden=(3,)", "--optimizer=sgd", "--epochs=4"),
    "--noreport_baseline",
)
fake = pytest.mark.usefixtures("_fake_data", "_unchecked_export")

_LIMITED = """
import resource, sys
import keras
from trainers.errors import run_command
from trainers.run import train

longest, data_dir, workdir = sys.argv[1:]

class Limited(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:  # from here on, files may not be longer than this
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(longest), -1))
    def on_train_end(self, logs=None):
        resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))

settings = {"hparams": {"hidden": (3,)}, "optimizer": "sgd", "epochs": 4}
settings |= {"data_dir": data_dir, "workdir": workdir, "report_baseline": False}
settings |= {"steps_per_execution": 1}  # many log lines
run_command(lambda _: train("mlp_binary", callbacks=[Limited()], **settings))
"""


def limited_run(folder, data, longest: int):
    """A real run on a disk on which files cannot grow beyond so many bytes any more."""
    return run_python("-c", _LIMITED, str(longest), str(data), str(folder), check=False)


@pytest.mark.slow
def test_full_disk_leaves_the_earlier_checkpoint(tmp_path, built_in_data):
    folder = tmp_path / "run"
    done = limited_run(folder, built_in_data, longest=1000)
    assert done.returncode == 6, done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("error: File too large")
    steps = checkpoint.steps(folder / "checkpoints")
    assert len(steps) == 1
    assert checkpoint.load_newest(folder / "checkpoints").step == steps[0]
    assert os.listdir(folder / "checkpoints") == [f"step-{steps[0]:08d}"]
    words = [*RUN, f"--data_dir={built_in_data}", f"--workdir={folder}"]
    run_python("-m", "trainers.run", *words)  # with room again
    assert (folder / "report.json").exists()


@pytest.mark.slow
def test_full_disk_for_logs_does_not_end_training(tmp_path, built_in_data):
    """TensorBoard's file grows to the limit; checkpoints are smaller."""
    folder = tmp_path / "run"
    done = limited_run(folder, built_in_data, longest=17_000)
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if "no more TensorBoard" in line]
    assert len(warnings) == 1, done.stderr
    assert (folder / "report.json").exists()
    longest = max(p.stat().st_size for p in folder.glob("tensorboard/train/*"))
    assert longest >= 17_000 > next(folder.rglob("checkpoints/*/state.npz")).stat().st_size


@fake
@pytest.mark.parametrize(
    ("owner", "function", "error"),
    [
        (tf.summary, "graph", tf.errors.ResourceExhaustedError(None, None, "full")),
        (tf.summary.experimental, "write_raw_pb", OSError(28, "No space left")),
        (tf.summary, "histogram", tf.errors.ResourceExhaustedError(None, None, "full")),
    ],
    ids=["before training", "after a step", "after an epoch"],
)
def test_logs_fail_once_and_in_one_line(owner, function, error, tmp_path, monkeypatch, caplog):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(owner, function, fail)
    assert run.run(tiny_settings("mlp_binary", tmp_path, histograms=True))["test"]
    assert caplog.text.count("no more TensorBoard") == 1


@fake
@pytest.mark.parametrize("method", ["on_epoch_end", "on_train_end"])
def test_folder_that_is_removed_under_a_run_is_not_made_again(method, tmp_path):
    folder = tmp_path / "run"
    removing = At(method, lambda _: shutil.rmtree(folder))
    with pytest.raises(FileNotFoundError, match="was removed while") as caught:
        run.run(tiny_settings("mlp_binary", folder), callbacks=[removing])
    assert errors.exit_code(caught.value) == 6
    assert not folder.exists()


def test_folder_that_cannot_be_written_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file") as caught:
        run.run(tiny_settings("mlp_binary", tmp_path / "file" / "run"))
    assert errors.exit_code(caught.value) == 6
    with pytest.raises(errors.UsageError, match="is a file"):
        run.run(tiny_settings("mlp_binary", tmp_path / "file"))
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError) as caught:
        run.run(tiny_settings("mlp_binary", tmp_path / "run"))
    assert errors.exit_code(caught.value) == 6


@fake
def test_out_of_memory_says_what_to_do(tmp_path, monkeypatch, capsys):
    settings = tiny_settings("mlp_binary", tmp_path)
    error = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
    full = At("on_epoch_begin", raising(error), 4)
    monkeypatch.setattr(sys, "argv", ["run"])
    with pytest.raises(SystemExit) as caught:
        errors.run_command(lambda argv: run.run(settings, callbacks=[full]))
    assert caught.value.code == 6
    assert "choose a smaller --batch_size" in capsys.readouterr().err.splitlines()[-1]
    assert checkpoint.load_newest(tmp_path / "checkpoints").step == 4


def test_lock_of_a_killed_process_is_free(tmp_path):
    program = (
        "import pathlib, sys, time\n"
        "from trainers.store.claim import claim\n"
        "with claim(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": ROOT}
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as holder:
        assert holder.stdout.readline() == "held\n"
        busy = pytest.raises(errors.BusyError, match=f"in use by process {holder.pid}")
        with busy, claim(tmp_path):
            pass
        holder.kill()
        holder.wait()
    with claim(tmp_path):
        pass


@fake
def test_second_of_two_runs_touches_nothing(tmp_path):
    with open(tmp_path / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(errors.BusyError) as caught:
            run.run(tiny_settings("mlp_binary", tmp_path))
    assert errors.exit_code(caught.value) == 75
    assert os.listdir(tmp_path) == [".lock"]


@fake
@pytest.mark.parametrize("field", ["versions", "replicas"])
def test_other_conditions_are_warned_of_and_recorded(field, tmp_path, monkeypatch, caplog):
    """One replica after two, or another TensorFlow: it continues, not to the same bits."""
    changes = {"epochs": 1, "batch_size": 16}
    then = {"versions": {}, "replicas": {"replicas": 2}}[field]
    with monkeypatch.context() as patch:
        if field == "versions":
            old = precision.describe() | {"versions": {"tensorflow": "2.20.0"}}
            patch.setattr(precision, "describe", lambda: old)
        run.run(tiny_settings("mlp_binary", tmp_path, **changes, **then))
    assert "other conditions" not in caplog.text
    run.run(
        tiny_settings("mlp_binary", tmp_path, resume_with_changes=True, **{**changes, "epochs": 2})
    )
    assert "not to the same bits" in caplog.text
    changes = {"versions": "versions.tensorflow '2.20.0' -> '2.21", "replicas": "replicas 2 -> 1"}
    assert changes[field] in caplog.text
    starts = json.loads((tmp_path / "run.json").read_text())["starts"]
    assert len(starts) == 2
    assert starts[0][field] != starts[1][field]


@fake
def test_checkpoint_of_another_run_is_refused(tmp_path):
    for name in ("one", "two"):
        run.run(tiny_settings("mlp_binary", tmp_path / name))
    place = pathlib.Path("checkpoints", "step-00000008")
    (tmp_path / "two" / "report.json").unlink()
    shutil.rmtree(tmp_path / "two" / place)
    shutil.copytree(tmp_path / "one" / place, tmp_path / "two" / place)
    with pytest.raises(errors.ArtefactError, match="another run") as caught:
        run.run(tiny_settings("mlp_binary", tmp_path / "two"))
    assert errors.exit_code(caught.value) == 4


def test_thousand_rotations_leave_the_last_two_and_no_open_file(tmp_path):
    checkpoint.begin(tmp_path)
    (tmp_path / ".writing-1").mkdir()
    checkpoint.begin(tmp_path)  # a new process clears what a killed one left
    files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for step in range(1, 1001):
        state = checkpoint.Checkpoint(step, {"a": np.full(3, step)}, {})
        checkpoint.save(tmp_path, state, best_step=7)
    assert sorted(os.listdir(tmp_path)) == ["step-00000007", "step-00000999", "step-00001000"]
    if files:
        assert len(os.listdir("/proc/self/fd")) == files
