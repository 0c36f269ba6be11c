"""What a run fitted before it was refused or killed never serves other data."""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event

from pipelines.storage import tfds
from tests.conftest import fake_load, made_pipeline, tiny_settings
from tests.faults.deaths import Died, die_after
from trainers import errors
from trainers.evaluation import evaluate
from trainers.serving import export
from trainers.store import checkpoint, exports, run_folder
from trainers.store import state as state_file
from trainers.training import fit, run

pytestmark = pytest.mark.usefixtures("_unchecked_export")


def table(shift: float) -> str:
    """Rows of a number, a category and a label; the number has its median near `shift`."""
    lines = [f"{shift + (i * 7) % 40 / 10 - 2:g},{'ab'[i % 3 == 0]},{i % 2}\n" for i in range(60)]
    return "x,c,y\n" + "".join(lines)


def settings_in(folder: pathlib.Path, shift: float, **changes):
    """Settings of a run on the table, which is written anew, always to the same file."""
    path = folder / "t.csv"
    path.write_text(table(shift))
    options = {"pipeline": "csv", "data_files": str(path), "target": "y", "pipeline_options": {}}
    options |= {"epochs": 1, "steps_per_execution": 1, "precision": "float32"}
    return tiny_settings(changes.pop("model", "mlp"), folder / "run", **options | changes)


def stored(folder: pathlib.Path) -> dict[str, list]:
    """All that the run in a folder has fitted and keeps."""
    arrays = state_file.flat(state_file.load(folder, "vector"))
    return {name: array.tolist() for name, array in arrays.items()}


def centre_of_x(folder: pathlib.Path) -> float:
    return float(np.ravel(stored(folder)["inputs/vector/centre"])[0])


def answer_of(folder: pathlib.Path) -> list:
    """What the export of the run in a folder says of one row."""
    report = json.loads((folder / "report.json").read_text())
    serve = tf.saved_model.load(str(folder / report["export"])).signatures["serving_default"]
    return serve(x=tf.constant([1001.0]), c=tf.constant(["a"]))["logits"].numpy().tolist()


def die(*words, **more):
    raise Died


def begin(settings) -> None:
    """A run that gets as far as its record, and no further."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "fit", die)
        with pytest.raises(Died):
            run.run(settings)


REFUSED = {
    "a pattern without variables": {"lr_scale": (("nothing", 0.0),)},
    "too many steps of warming up": {"warmup_steps": 100_000},
    "a model of other data": {"model": "transformer_encoder"},
    "weights that cannot be read": {"init_from": ("empty.keras",)},
}


@pytest.mark.parametrize("why", REFUSED)
def test_state_of_a_refused_run_does_not_serve_a_changed_file(why, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.keras").touch()
    with pytest.raises((errors.UsageError, errors.ArtefactError)):
        run.run(settings_in(tmp_path, 0.0, **REFUSED[why]))
    assert os.listdir(tmp_path / "run") == [".lock"]
    begin(settings_in(tmp_path, 1000.0))
    assert centre_of_x(tmp_path / "run") == pytest.approx(1000, abs=1)


KILLED = {
    "before run.json": lambda patch: patch.setattr(run_folder, "record", die),
    "before the first step": lambda patch: patch.setattr(fit, "fit", die),
    "before the first checkpoint": lambda patch: patch.setattr(checkpoint, "save", die),
}


def killed(when: str, folder: pathlib.Path) -> None:
    """A run that was killed, under settings that bind nobody either."""
    with pytest.MonkeyPatch.context() as patch:
        KILLED[when](patch)
        with pytest.raises(Died):
            run.run(settings_in(folder, 0.0, learning_rate=0.5))
    assert centre_of_x(folder / "run") == pytest.approx(0, abs=1)


@pytest.mark.parametrize("when", KILLED)
def test_state_of_a_killed_run_does_not_serve_a_changed_file(when, tmp_path):
    killed(when, tmp_path)
    begin(settings_in(tmp_path, 1000.0))
    assert centre_of_x(tmp_path / "run") == pytest.approx(1000, abs=1)
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert len(facts["starts"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("when", KILLED)
def test_folder_of_a_killed_run_serves_a_run_on_a_changed_file_like_an_empty_one(when, tmp_path):
    killed(when, tmp_path)
    (tmp_path / "fresh").mkdir()
    for folder in (tmp_path, tmp_path / "fresh"):
        run.run(settings_in(folder, 1000.0))
    one, two = tmp_path / "run", tmp_path / "fresh" / "run"
    assert centre_of_x(one) == pytest.approx(1000, abs=1)
    assert stored(one) == stored(two)
    assert answer_of(one) == answer_of(two)
    assert steps_and_graphs(one) == steps_and_graphs(two) == ([1, 2], 1)


def steps_and_graphs(folder: pathlib.Path) -> tuple[list[int], int]:
    """The steps that metrics.jsonl has, and how many graphs TensorBoard's files have."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if "running/loss" in line]
    events = (folder / "tensorboard" / "train").glob("events*")
    records = [r for e in events for r in tf.data.TFRecordDataset(str(e)).as_numpy_iterator()]
    return steps, sum(bool(Event.FromString(record).graph_def) for record in records)


def test_state_of_a_pipeline_that_fits_something_does_not_stay_for_one_that_does_not(
    tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "record", die)
        with pytest.raises(Died):
            run.run(settings_in(tmp_path, 0.0))
    monkeypatch.setattr(tfds, "load", fake_load)
    begin(tiny_settings("cifar_cnn", tmp_path / "run"))
    assert state_file.load(tmp_path / "run", "image") is None


@pytest.fixture(scope="module")
def died(tmp_path_factory) -> pathlib.Path:
    """The folder around a run that was killed after its first checkpoint."""
    folder = tmp_path_factory.mktemp("died") / "folder"
    folder.mkdir()
    with pytest.raises(Died):
        run.run(settings_in(folder, 0.0, checkpoint_minutes=0.0), callbacks=[die_after(1)])
    assert checkpoint.steps(folder / "run" / "checkpoints") == [1]
    return folder


@pytest.fixture
def folder(died):
    """A copy of it, in its place."""
    kept = died.with_name("kept")
    shutil.copytree(died, kept)
    yield died
    shutil.rmtree(died)
    kept.rename(died)


def test_run_with_a_checkpoint_keeps_its_state_whatever_the_rows_are(folder):
    with pytest.raises(errors.ArtefactError, match="the data is not that of"):
        run.run(settings_in(folder, 1000.0))
    before = stored(folder / "run")
    begin(settings_in(folder, 1000.0, resume_with_changes=True))
    assert stored(folder / "run") == before
    begin(settings_in(folder, 1000.0))
    with pytest.raises(errors.ArtefactError, match="the data is not that of"):
        run.run(settings_in(folder, 0.0))


@pytest.mark.parametrize("lost", [False, True])
def test_state_that_is_not_the_runs_is_refused(lost, folder):
    path = folder / "run" / "pipeline" / "state.npz"
    path.unlink()
    if not lost:
        state_file.save(folder / "run", {"target": {"mean": np.zeros(1)}})
    with pytest.raises(errors.ArtefactError, match=r"state\.npz is not what the run fitted"):
        run.run(settings_in(folder, 1000.0, resume_with_changes=True))


@pytest.mark.slow
def test_finished_run_is_measured_on_the_rows_and_exported_under_the_state_it_ended_with(folder):
    run.run(settings_in(folder, 1000.0, resume_with_changes=True))
    assert evaluate.evaluate_run(folder / "run", "test")
    settings_in(folder, 0.0)
    with pytest.raises(errors.ArtefactError, match="the data is not that of"):
        evaluate.evaluate_run(folder / "run", "test")
    state = state_file.load(folder / "run", "vector")
    part = state["inputs/vector"]
    other = {**state, "inputs/vector": {**part, "centre": part["centre"] + 1}}
    state_file.save(folder / "run", other)
    with pytest.raises(errors.ArtefactError, match=r"state\.npz is not what the run fitted"):
        export.export_run(folder / "run")
    assert exports.versions(folder / "run" / "export" / "mlp") == [1]


def test_baseline_that_was_killed_before_its_first_step_begins_anew(tmp_path, monkeypatch):
    settings = tiny_settings("linear", tmp_path, epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr(fit, "fit", die)
        with pytest.raises(Died):
            run.fitted(settings, made_pipeline("regression", num_rows=61), tmp_path)
    assert run.fitted(settings, made_pipeline("regression"), tmp_path)
    facts = json.loads((tmp_path / "run.json").read_text())
    assert facts["data"]["rows"]["train"] == 60
