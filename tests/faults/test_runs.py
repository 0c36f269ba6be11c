"""Devices, clocks and exports that cannot go wrong silently; docs/faults.md, 42, 63 to 65, 68."""

import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
import time

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import fake_pipeline, tiny_settings, unchecked_exports
from trainers import errors
from trainers.devices import strategy as strategies
from trainers.evaluation import records
from trainers.serving import compare, export
from trainers.store import checkpoint, exports, run_folder
from trainers.tasks import registry as tasks
from trainers.training import compile, run


def contents(place: pathlib.Path) -> dict[str, str]:
    """The hash of every file of a folder."""
    files = [path for path in place.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_variables_are_all_on_all_replicas(tmp_path):
    """Model, optimizer, its averages and the metrics: there is one place that makes them."""
    settings = tiny_settings("cifar_cnn", tmp_path, replicas=2, ema=0.9)
    strategy = strategies.choose(2)
    model = compile.compiled(settings, fake_pipeline("cifar10"), strategy, "float32")
    variables = checkpoint.variables_of(model)
    kinds = {key.partition("/")[0] for key in variables}
    assert kinds >= {"model", "optimizer", "metrics"}
    for key, variable in variables.items():
        assert isinstance(variable.value, tf.distribute.DistributedValues), key
        assert len(strategy.experimental_local_results(variable.value)) == 2, key


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_clock_that_jumps_back_changes_nothing(tmp_path, monkeypatch):
    clock = itertools.count(2_000_000_000, -86_400)  # each look at it is a day earlier
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    settings = tiny_settings("mlp_binary", tmp_path, steps_per_execution=1)
    with pytest.raises(errors.InterruptedRunError):
        run.run(dataclasses.replace(settings, max_minutes=1e-6))
    seconds = run.run(settings)["seconds"]
    assert 0 < seconds["fit"] < 600
    assert 0 < seconds["total"] < 600
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "running/loss" in line] == list(range(1, 9))
    assert checkpoint.steps(tmp_path / "checkpoints")[-1] == 8


def test_runs_of_one_second_are_two_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    settings, pipeline = tiny_settings("mlp_binary", tmp_path), fake_pipeline("breast_cancer")
    numbers = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        numbers.add(run_folder.record(tmp_path / name, settings, pipeline, "float32", {}).number)
    assert len(numbers) == 2


@pytest.fixture
def exported(tmp_path, monkeypatch):
    """A model of which version 1 is out, and what publishes the next one."""
    unchecked_exports(monkeypatch)
    settings, prepared = tiny_settings("mlp_binary", tmp_path), fake_pipeline("breast_cancer")
    weights = {v.path: v.numpy() for v in compile.build(settings, prepared, "float32").weights}
    examples = records.examples(prepared, tasks.get("binary"), None)

    def publish() -> pathlib.Path:
        return export.export(settings, prepared, weights, examples, tmp_path)

    return publish(), publish


class Stop(BaseException):
    """Stands for whatever ends an export; a SIGKILL leaves the temporary folder besides."""


@pytest.mark.parametrize(
    ("owner", "name", "before"),
    [
        (tf.saved_model, "save", False),  # all of TensorFlow's files are there
        (compare, "run_in_new_process", True),
        (json, "dumps", True),  # assets.extra is there
        (os, "fsync", True),
        (os, "rename", True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_export_that_is_interrupted_is_never_seen(owner, name, before, exported, monkeypatch):
    first, publish = exported
    place, whole, original = first.parent, contents(first), getattr(owner, name)

    def stopped(*words, **more):
        if not before:
            original(*words, **more)
        assert any(entry.startswith(".writing-") for entry in os.listdir(place))
        assert exports.versions(place) == [1]
        assert exports.newest(place.parents[1]) == first
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, stopped)
        with pytest.raises(Stop):
            publish()
    assert os.listdir(place) == ["1"]
    assert contents(first) == whole


def test_remains_of_a_killed_export_are_removed(exported):
    first, publish = exported
    left = first.with_name(".writing-killed")
    left.mkdir()
    (left / "saved_model.pb").write_bytes(b"half")
    assert exports.newest(first.parents[2]) == first
    assert publish().name == "2"
    assert sorted(os.listdir(first.parent)) == ["1", "2"]


def test_published_version_is_never_changed(exported, monkeypatch):
    first, publish = exported
    (first / "stale.txt").write_text("a user's note")
    whole = contents(first)
    second = publish()
    assert second.name == "2"
    assert "stale.txt" not in contents(second)
    (first.parent / "7").mkdir()  # numbers go up from the highest, whoever made it
    assert publish().name == "8"
    # Another process was faster: its version stays, and ours is not.
    theirs = contents(second)
    monkeypatch.setattr(exports, "versions", lambda folder: [1])
    with pytest.raises(OSError, match="not empty") as caught:
        publish()
    assert errors.exit_code(caught.value) == 6
    assert contents(second) == theirs
    assert contents(first) == whole
    assert sorted(os.listdir(first.parent)) == ["1", "2", "7", "8"]


@pytest.mark.usefixtures("_fake_data")
def test_run_whose_export_answers_otherwise_publishes_nothing_and_can_be_finished(
    tmp_path, monkeypatch
):
    settings, save = tiny_settings("mlp_binary", tmp_path, epochs=1), tf.saved_model.save

    def save_other_weights(archive, *words, **more):
        archive.weights[0].assign_add(tf.fill(archive.weights[0].shape, np.float32(1e-3)))
        save(archive, *words, **more)
        archive.weights[0].assign_add(tf.fill(archive.weights[0].shape, np.float32(-1e-3)))

    with monkeypatch.context() as patch:
        patch.setattr(tf.saved_model, "save", save_other_weights)
        with pytest.raises(errors.ArtefactError, match="differs from the model's") as caught:
            run.run(settings)
    assert errors.exit_code(caught.value) == 4
    assert os.listdir(tmp_path / "export" / "mlp_binary") == []
    assert not (tmp_path / "report.json").exists()
    assert checkpoint.steps(tmp_path / "checkpoints") == [4]
    unchecked_exports(monkeypatch)  # three seconds; it was checked above
    assert run.run(settings)["export"] == "export/mlp_binary/1"
