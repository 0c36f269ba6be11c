"""The whole way, for every model: train, resume, test, export, refuse."""

import fcntl
import json
import os

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

import zoo
from pipelines.storage import tfds as source
from tests.conftest import fake_rows, tiny_settings
from trainers import errors
from trainers import run as run_command_module
from trainers.store import checkpoint, run_folder
from trainers.training import run
from trainers.training.callbacks.saver import Saver

pytestmark = pytest.mark.usefixtures("_fake_data", "_unchecked_export")


def checkpoint_of(folder) -> dict:
    return dict(checkpoint.load_newest(folder / "checkpoints").arrays)


def assert_same_state(one, two):
    assert one.keys() == two.keys()
    for key in one:
        assert one[key].tobytes() == two[key].tobytes(), key


def lines_of(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def points_of(folder) -> dict:
    events = event_accumulator.EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return {tag: [e.step for e in events.Tensors(tag)] for tag in events.Tags()["tensors"]}


@pytest.mark.parametrize("name", zoo.names())
def test_a_run_leaves_what_it_says(name, tmp_path):
    settings = tiny_settings(name, tmp_path)
    report = run.run(settings)
    assert report == json.loads((tmp_path / "report.json").read_text())
    assert report["model"] == name
    assert set(report["test"]) == set(report["validation"])
    assert all(np.isfinite(value) for value in report["test"].values())
    assert (tmp_path / report["export"] / "saved_model.pb").exists()
    facts = json.loads((tmp_path / "run.json").read_text())
    assert facts["settings"]["recipe"]["batch_size"] == 16
    assert len(facts["data"]["fingerprint"]) == 16
    steps = 2 * (facts["data"]["rows"]["train"] // 16)
    assert checkpoint.steps(tmp_path / "checkpoints")[-1] == steps
    validation = [line for line in lines_of(tmp_path) if line["split"] == "validation"]
    assert [line["epoch"] for line in validation] == [1, 2]
    train, held_out = (points_of(tmp_path / "tensorboard" / s) for s in ("train", "validation"))
    assert train["running/learning_rate"][-1] == steps
    assert train["epoch/loss"] == held_out["epoch/loss"] == [steps // 2, steps]
    if "cnn" in name:
        assert held_out["predictions"] == [steps // 2, steps]
    # What was validated last is what is exported: the weights of the last step.
    assert report["validation"]["loss"] == pytest.approx(validation[-1]["epoch/loss"], rel=0.05)


def test_the_default_folder_is_under_the_current_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = run.run(tiny_settings("mlp_binary", ""))
    assert (tmp_path / "runs" / "mlp_binary-breast_cancer-s0" / report["export"]).is_dir()


def test_a_complete_run_is_left_alone(tmp_path, capsys):
    settings = tiny_settings("mlp_binary", tmp_path)
    first = run.run(settings)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != ".lock"}
    assert run.run(settings) == first
    assert "already complete" in capsys.readouterr().out
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != ".lock"}
    assert before == after


class Stop(Exception):
    """Stands for a process that dies between two steps."""


def stop_at(monkeypatch, step: int):
    """Lets the run die after so many steps, at the first boundary between executions."""
    original = Saver.on_train_batch_end

    def dying(self, batch, logs=None):
        original(self, batch, logs)
        if self._step >= step:
            raise Stop

    monkeypatch.setattr(Saver, "on_train_batch_end", dying)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        *((name, 5) for name in zoo.names()),
        *(pytest.param("cifar_cnn", step, marks=pytest.mark.slow) for step in (2, 11)),
    ],
)
def test_a_run_that_died_continues_to_the_same_bits(name, step, tmp_path, monkeypatch):
    changes = {"checkpoint_minutes": 0.0, "steps_per_execution": 1, "ema": 0.9, "batch_size": 8}
    run.run(tiny_settings(name, tmp_path / "quiet", **changes))
    with monkeypatch.context() as patch:
        stop_at(patch, step)
        with pytest.raises(Stop):
            run.run(tiny_settings(name, tmp_path / "died", **changes))
    assert not (tmp_path / "died" / "report.json").exists()
    assert checkpoint.steps(tmp_path / "died" / "checkpoints")[-1] == step
    run.run(tiny_settings(name, tmp_path / "died", **changes))
    assert_same_state(checkpoint_of(tmp_path / "quiet"), checkpoint_of(tmp_path / "died"))
    names = ("step", "epoch", "split", "running/loss", "epoch/loss")
    told = [
        [{k: v for k, v in line.items() if k in names} for line in lines_of(tmp_path / place)]
        for place in ("quiet", "died")
    ]
    assert told[0] == told[1]
    for split in ("train", "validation"):
        points = points_of(tmp_path / "died" / "tensorboard" / split)
        for tag, steps in points.items():
            assert steps == sorted(set(steps)), f"{tag} has a step twice: {steps}"
        quiet = points_of(tmp_path / "quiet" / "tensorboard" / split)
        assert points["epoch/loss"] == quiet["epoch/loss"]


def test_a_run_that_died_before_its_first_checkpoint_begins_anew(tmp_path, monkeypatch):
    settings = tiny_settings("mlp_binary", tmp_path, steps_per_execution=1)
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        with pytest.raises(Stop):
            run.run(settings)
    assert lines_of(tmp_path)
    run.run(settings)
    steps = [line["step"] for line in lines_of(tmp_path) if "running/loss" in line]
    assert steps == list(range(1, 9))
    assert points_of(tmp_path / "tensorboard" / "train")["running/loss"] == steps


def test_steps_at_once_do_not_change_the_numbers(tmp_path):
    for number in (1, 3):
        folder = tmp_path / str(number)
        run.run(tiny_settings("cifar_cnn", folder, steps_per_execution=number, precision="float32"))
    assert_same_state(checkpoint_of(tmp_path / "1"), checkpoint_of(tmp_path / "3"))


def test_other_settings_are_refused_with_the_differences(tmp_path):
    run.run(tiny_settings("mlp_binary", tmp_path))
    with pytest.raises(
        errors.ArtefactError, match=r"learning_rate 0.001 -> 0.5.*resume_with_changes"
    ):
        run.run(tiny_settings("mlp_binary", tmp_path, learning_rate=0.5))
    report = run.run(tiny_settings("mlp_binary", tmp_path, epochs=3, resume_with_changes=True))
    assert report["epochs"] == 3
    assert checkpoint.steps(tmp_path / "checkpoints")[-1] == 3 * 4


def test_other_data_is_refused(tmp_path, monkeypatch):
    run.run(tiny_settings("mlp_binary", tmp_path))
    (tmp_path / "report.json").unlink()
    monkeypatch.setattr(source, "load", lambda p, data_dir=None: (p, fake_rows(p, seed=1)))
    with pytest.raises(errors.ArtefactError, match="data is not that of"):
        run.run(tiny_settings("mlp_binary", tmp_path))


def test_a_folder_in_use_is_refused(tmp_path):
    with open(tmp_path / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(errors.BusyError, match="in use"):
            run.run(tiny_settings("mlp_binary", tmp_path))
    assert errors.exit_code(errors.BusyError()) == 75


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.doc").write_text("mine")
    with pytest.raises(errors.UsageError, match=r"thesis\.doc"):
        run.run(tiny_settings("mlp_binary", tmp_path))
    assert os.listdir(tmp_path) == ["thesis.doc"]


def test_averaged_weights_are_what_is_exported(tmp_path):
    run.run(tiny_settings("mlp_binary", tmp_path, ema=0.9, learning_rate=0.05))
    arrays = checkpoint_of(tmp_path)
    version = tmp_path / "export" / "mlp_binary" / "1"
    served = tf.saved_model.load(str(version))
    exported = {v.name.removesuffix(":0"): v.numpy() for v in served.weights}
    kernel = next(value for name, value in exported.items() if value.shape == (30, 16))
    trained = arrays["model/dense1/kernel"]
    average = next(a for k, a in arrays.items() if "average" in k and a.shape == (30, 16))
    np.testing.assert_array_equal(kernel, average)
    assert np.abs(kernel - trained).max() > 1e-4


def test_starting_from_another_run_takes_its_weights_and_statistics(tmp_path, capsys):
    run.run(tiny_settings("mlp_binary", tmp_path / "first"))
    again = tiny_settings(
        "mlp_binary",
        tmp_path / "second",
        init_from=str(tmp_path / "first"),
        learning_rate=1e-9,
        pipeline_options={"split_seed": 5},
        weight_decay=0.0,
    )
    run.run(again)
    assert "new: none" in capsys.readouterr().out
    one, two = (run_folder.load_state(tmp_path / place) for place in ("first", "second"))
    assert run_folder.fingerprint(one) == run_folder.fingerprint(two)
    np.testing.assert_allclose(
        checkpoint_of(tmp_path / "first")["model/dense1/kernel"],
        checkpoint_of(tmp_path / "second")["model/dense1/kernel"],
        atol=1e-6,
    )
    other = tiny_settings("cifar_cnn", tmp_path / "third", init_from=str(tmp_path / "first"))
    with pytest.raises(errors.ArtefactError, match="not for cifar10"):
        run.run(other)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_every_precision_trains_and_exports_float32(precision, tmp_path):
    report = run.run(tiny_settings("mlp_classifier", tmp_path, precision=precision, ema=0.5))
    assert report["precision"] == precision
    served = tf.saved_model.load(str(tmp_path / report["export"]))
    assert {v.dtype for v in served.weights} == {tf.float32}
    assert all(a.dtype != np.float16 for a in checkpoint_of(tmp_path).values())


def test_histograms_and_profile_on_request(tmp_path):
    options = {"histograms": True, "profile": True, "steps_per_execution": 1, "batch_size": 8}
    run.run(tiny_settings("mlp_binary", tmp_path, **options))
    assert points_of(tmp_path / "tensorboard" / "train")["dense1/kernel"] == [9, 18]
    assert list((tmp_path / "tensorboard").rglob("*.xplane.pb"))


def test_python_api_raises():
    with pytest.raises(errors.UsageError, match="cifar_cnn"):
        run_command_module.train("cifar")
