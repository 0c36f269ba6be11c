"""The whole way, for every model: train, resume, test, export, refuse."""

import fcntl
import json
import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

from pipelines.storage import tfds
from tests.conformance.names import Case, heavy
from tests.conftest import fake_load, tiny_settings
from tests.faults.deaths import Died, die_after
from trainers import errors
from trainers import run as command
from trainers.store import checkpoint, files, sealed, state
from trainers.store.finished import finished
from trainers.tasks import registry as tasks
from trainers.training import data, run

pytestmark = pytest.mark.usefixtures("_fake_data", "_unchecked_export")
MIXED = Case(
    "cifar_cnn",
    {"pipeline_options": {"policy": "rand_augment", "mix": "mixup", "augment_until": 0.5}},
)


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


@pytest.mark.parametrize("case", heavy())
def test_run_leaves_its_weights_predictions_report_and_curves(case, tmp_path):
    report = run.run(case.settings(tmp_path))
    past, prepared = finished(tmp_path), data.load(case.settings(tmp_path), tmp_path)
    served = tf.saved_model.load(str(tmp_path / report["export"]))
    exported = {v.name.removesuffix(":0"): v.numpy() for v in served.weights}
    assert past.weights.keys() == exported.keys()
    for path, value in past.weights.items():
        np.testing.assert_array_equal(value, exported[path])
    for split in ("validation", "test"):
        kept = past.predictions[split]
        columns = ["row", *(f"outputs/{name}" for name in tasks.get(report["task"]).kept)]
        num_rows = prepared.num_rows(split)
        assert [len(kept[column]) for column in columns] == [num_rows] * len(columns)
    assert past.examples["row"][0] == 0
    assert report == sealed.read(tmp_path / "report.json")
    assert report["model"] == case.model
    assert set(report["test"]) == set(report["validation"])
    assert all(np.isfinite(value) for value in report["test"].values())
    assert (tmp_path / report["export"] / "saved_model.pb").exists()
    facts = sealed.read(tmp_path / "run.json")
    assert facts["settings"]["recipe"]["batch_size"] == 16
    assert len(facts["data"]["fingerprint"]) == 16
    steps = 2 * (prepared.num_rows("train") // 16)
    assert checkpoint.steps(tmp_path / "checkpoints")[-1] == steps
    validation = [line for line in lines_of(tmp_path) if line["split"] == "validation"]
    assert [line["epoch"] for line in validation] == [1, 2]
    train, held_out = (points_of(tmp_path / "tensorboard" / s) for s in ("train", "validation"))
    assert train["running/learning_rate"][-1] == steps
    assert train["epoch/loss"] == held_out["epoch/loss"] == [steps // 2, steps]
    if "cnn" in case.model and tasks.get(report["task"]).captions:
        assert held_out["predictions"] == [steps // 2, steps]
    # What is exported was validated: the weights of the last step, or of the best epoch.
    losses = [line["epoch/loss"] for line in validation]
    loss = min(losses) if case.settings().keep == "best" else losses[-1]
    assert report["validation"]["loss"] == pytest.approx(loss, rel=0.05)


def test_run_folder_is_by_default_under_the_current_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = run.run(tiny_settings("mlp_binary", ""))
    assert (tmp_path / "runs" / "mlp_binary-breast_cancer-s0" / report["export"]).is_dir()


def test_complete_run_is_left_alone(tmp_path, caplog):
    settings = tiny_settings("mlp_binary", tmp_path)
    first = run.run(settings)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != ".lock"}
    caplog.set_level("INFO", "trainers")
    assert run.run(settings) == first
    assert "already complete" in caplog.text
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != ".lock"}
    assert before == after


@pytest.mark.parametrize(
    ("case", "step"),
    [
        *(pytest.param(*p.values, 5, marks=p.marks, id=p.id) for p in heavy()),
        *(pytest.param(Case("cifar_cnn"), step, marks=pytest.mark.slow) for step in (2, 11)),
        pytest.param(MIXED, 5, id="mixed", marks=pytest.mark.slow),
        pytest.param(MIXED, 11, id="mixed, at its plain end", marks=pytest.mark.slow),
    ],
)
def test_run_continues_to_the_same_bits_after_a_death(case, step, tmp_path):
    changes = {"checkpoint_minutes": 0.0, "steps_per_execution": 1, "ema": 0.9, "batch_size": 8}
    run.run(case.settings(tmp_path / "quiet", **changes))
    with pytest.raises(Died):
        run.run(case.settings(tmp_path / "died", **changes), callbacks=[die_after(step)])
    assert not (tmp_path / "died" / "report.json").exists()
    assert checkpoint.steps(tmp_path / "died" / "checkpoints")[-1] == step
    run.run(case.settings(tmp_path / "died", **changes))
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


def test_run_that_died_before_its_first_checkpoint_begins_anew(tmp_path):
    settings = tiny_settings("mlp_binary", tmp_path, steps_per_execution=1)
    with pytest.raises(Died):
        run.run(settings, callbacks=[die_after(3)])
    assert lines_of(tmp_path)
    run.run(settings)
    steps = [line["step"] for line in lines_of(tmp_path) if "running/loss" in line]
    assert steps == list(range(1, 9))
    assert points_of(tmp_path / "tensorboard" / "train")["running/loss"] == steps


def test_steps_per_execution_do_not_change_the_numbers(tmp_path):
    for number in (1, 3):
        folder = tmp_path / str(number)
        run.run(tiny_settings("cifar_cnn", folder, steps_per_execution=number, precision="float32"))
    assert_same_state(checkpoint_of(tmp_path / "1"), checkpoint_of(tmp_path / "3"))


def test_run_under_other_settings_is_refused_with_the_differences(tmp_path):
    run.run(tiny_settings("mlp_binary", tmp_path))
    with pytest.raises(
        errors.ArtefactError, match=r"learning_rate 0.001 -> 0.5.*resume_with_changes"
    ):
        run.run(tiny_settings("mlp_binary", tmp_path, learning_rate=0.5))
    report = run.run(tiny_settings("mlp_binary", tmp_path, epochs=3, resume_with_changes=True))
    assert report["epochs"] == 3
    assert checkpoint.steps(tmp_path / "checkpoints")[-1] == 3 * 4


def test_run_on_other_data_is_refused(tmp_path, monkeypatch):
    run.run(tiny_settings("mlp_binary", tmp_path))
    (tmp_path / "report.json").unlink()
    monkeypatch.setattr(tfds, "load", lambda p, data_dir=None: fake_load(p, data_dir, seed=1))
    with pytest.raises(errors.ArtefactError, match="data is not that of"):
        run.run(tiny_settings("mlp_binary", tmp_path))


def test_run_folder_in_use_is_refused(tmp_path):
    with open(tmp_path / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(errors.BusyError, match="in use"):
            run.run(tiny_settings("mlp_binary", tmp_path))
    assert errors.exit_code(errors.BusyError()) == 75


def test_run_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.doc").write_text("mine")
    with pytest.raises(errors.UsageError, match=r"thesis\.doc"):
        run.run(tiny_settings("mlp_binary", tmp_path))
    assert os.listdir(tmp_path) == ["thesis.doc"]


def test_ema_exports_the_averaged_weights(tmp_path):
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


def test_init_from_takes_weights_and_statistics_of_a_run(tmp_path, caplog):
    caplog.set_level("INFO", "trainers")
    run.run(tiny_settings("mlp_binary", tmp_path / "first"))
    again = tiny_settings(
        "mlp_binary",
        tmp_path / "second",
        init_from=(str(tmp_path / "first"),),
        learning_rate=1e-9,
        pipeline_options={"split_seed": 5},
        weight_decay=0.0,
    )
    run.run(again)
    assert f"initial weights from {tmp_path / 'first'}: 6 of 6 weights" in caplog.text
    one, two = (state.load(tmp_path / name, "vector") for name in ("first", "second"))
    assert files.fingerprint(state.flat(one)) == files.fingerprint(state.flat(two))
    first, second = (checkpoint_of(tmp_path / name) for name in ("first", "second"))
    for key in ("model/dense1/kernel", "model/logits/kernel"):
        np.testing.assert_allclose(first[key], second[key], atol=1e-6)


def test_init_from_refuses_a_run_of_other_weights(tmp_path):
    run.run(tiny_settings("mlp_binary", tmp_path / "first"))
    other = tiny_settings("cifar_cnn", tmp_path / "other", init_from=(str(tmp_path / "first"),))
    with pytest.raises(errors.ArtefactError, match=r"does not fit: .* absent.*--init_new"):
        run.run(other)
    # The corrected command begins in the same folder.
    assert run.run(tiny_settings("cifar_cnn", tmp_path / "other", epochs=1))["test"]


def test_run_keeps_its_best_and_its_last_weights(tmp_path):
    """Nothing is learnt: the first epoch stays the best one."""
    still = {"learning_rate": 1e-9, "schedule": "constant", "weight_decay": 0.0}
    run.run(tiny_settings("mlp_binary", tmp_path / "last", **still))
    run.run(tiny_settings("mlp_binary", tmp_path / "best", keep="best", **still))
    for keep, other in (("last", "best"), ("best", "last")):
        folder = tmp_path / keep
        assert finished(folder).report["steps"] == {"last": 8, "best": 4}
        expected = {"last": 8, "best": 4}
        for which in ("last", "best"):
            saved = checkpoint.load(folder / "checkpoints", expected[which]).arrays
            for path, value in finished(folder, which).weights.items():
                np.testing.assert_array_equal(value, saved[f"model/{path}"])
        (folder / f"weights-{other}.npz").unlink()
        assert finished(folder, keep).weights
        with pytest.raises(errors.ArtefactError, match=f"no weights of its {other} step"):
            finished(folder, other)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_precisions_all_export_float32(precision, tmp_path):
    report = run.run(tiny_settings("mlp_classifier", tmp_path, precision=precision, ema=0.5))
    assert report["precision"] == precision
    served = tf.saved_model.load(str(tmp_path / report["export"]))
    assert {v.dtype for v in served.weights} == {tf.float32}
    assert all(a.dtype != np.float16 for a in checkpoint_of(tmp_path).values())


def test_histograms_and_profile_are_written_on_request(tmp_path):
    options = {"histograms": True, "profile": True, "steps_per_execution": 1, "batch_size": 8}
    run.run(tiny_settings("mlp_binary", tmp_path, **options))
    assert points_of(tmp_path / "tensorboard" / "train")["dense1/kernel"] == [9, 18]
    assert list((tmp_path / "tensorboard").rglob("*.xplane.pb"))


def test_train_raises_usage_errors():
    with pytest.raises(errors.UsageError, match="cifar_cnn"):
        command.train("cifar")


def test_train_takes_callbacks(tmp_path):
    class Epochs(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            epochs.append((epoch, "val_loss" in logs))

    epochs = []
    changes = {"hparams": {"hidden": (3,)}, "epochs": 2, "report_baseline": False}
    command.train("mlp_binary", workdir=str(tmp_path), callbacks=[Epochs()], **changes)
    assert epochs == [(0, True), (1, True)]
