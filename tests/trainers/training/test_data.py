"""The data of a run: under its task, with its state, or refused."""

import dataclasses

import numpy as np
import pytest

import pipelines
from pipelines import MissingDataError
from tests.conftest import NUM_ROWS, OPTIONS, made_pipeline, tiny_settings
from trainers.errors import UsageError
from trainers.store import run_folder
from trainers.store import state as state_file
from trainers.training import data


@pytest.fixture
def _made(monkeypatch):
    """Runs get made rows of a regression, whose target's mean is near 1000."""
    prepared = made_pipeline("regression")
    read = lambda: (dict(prepared.rows), prepared.schema)
    made = dataclasses.replace(prepared.pipeline, read=read, schema=None)
    monkeypatch.setattr(pipelines, "get", lambda name, **options: made)


@pytest.mark.usefixtures("_fake_data")
def test_load_takes_the_state_of_the_run_and_else_fits_it_anew_and_writes_nothing(tmp_path):
    settings = tiny_settings("mlp_binary", tmp_path)
    first = data.load(settings, tmp_path)
    assert list(tmp_path.iterdir()) == []
    part = first.state["inputs/vector"]
    other = {"inputs/vector": {**part, "mean": np.zeros(30, np.float32)}}
    state_file.save(tmp_path, other)
    run_folder.record(tmp_path, settings, first.replace(state=other), "float32", {})
    again = data.load(settings, tmp_path)  # nothing was trained under what lies there
    np.testing.assert_array_equal(again.state["inputs/vector"]["mean"], part["mean"])
    (tmp_path / "checkpoints" / "step-00000001").mkdir(parents=True)
    again = data.load(settings, tmp_path)
    np.testing.assert_array_equal(again.state["inputs/vector"]["mean"], np.zeros(30))


@pytest.mark.usefixtures("_fake_data")
def test_load_of_a_dry_run_writes_nothing(tmp_path):
    prepared = data.load(tiny_settings("mlp_binary", tmp_path / "run"), None)
    assert sum(part.num_rows for part in prepared.rows.values()) == NUM_ROWS["all"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_made")
def test_load_fits_what_the_task_lays_over_the_data(tmp_path):
    prepared = data.load(tiny_settings("linear", tmp_path), None)
    assert prepared.task == "regression"
    target = prepared.rows["train"].table["label"].astype(np.float64)
    assert prepared.state["target"]["mean"] == pytest.approx(target.mean())
    assert prepared.state["target"]["std"] == pytest.approx(target.std())


@pytest.mark.usefixtures("_made")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 61}, "--batch_size=61 is more than the 60 training examples of made"),
        ({"monitor": "accuracy"}, "--monitor=accuracy: expected one of loss, "),
        ({"class_weights": "balanced"}, "--class_weights: task regression has no classes"),
    ],
)
def test_load_refuses_settings_that_do_not_suit_the_data(changes, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        data.load(tiny_settings("linear", tmp_path, **changes), None)


@pytest.mark.usefixtures("_fake_data")
def test_load_refuses_to_mix_what_has_no_shares(tmp_path):
    options = {**OPTIONS["image_folder"], "mix": "mixup"}
    changes = {"pipeline": "image_folder", "pipeline_options": options, "task": "binary"}
    with pytest.raises(UsageError, match="mix: task binary has no classes that can be mixed"):
        data.load(tiny_settings("linear", tmp_path, **changes), None)


@pytest.mark.usefixtures("_fake_data")
def test_load_refuses_top_5_accuracy_of_five_classes_or_fewer(tmp_path):
    table = OPTIONS["csv"]["data_files"]
    changes = {"pipeline": "csv", "data_files": table, "target": "kind", "pipeline_options": {}}
    settings = tiny_settings("mlp_classifier", tmp_path, **changes, monitor="top_5_accuracy")
    with pytest.raises(UsageError, match="--monitor=top_5_accuracy: expected one of loss, accur"):
        data.load(settings, None)


def test_check_present_misses_what_would_be_downloaded(tmp_path):
    settings = tiny_settings("cifar_cnn", tmp_path / "run", data_dir=str(tmp_path / "data"))
    with pytest.raises(MissingDataError, match=r"cifar10/3\.0\.2 is not prepared in"):
        data.check_present(settings)
    built_in = {"pipeline": "shapes", "data_dir": str(tmp_path / "data")}
    data.check_present(tiny_settings("cifar_cnn", tmp_path / "run", **built_in))
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("options", [("mnist_parity", ""), ("tfds_table", "titanic")])
def test_check_present_misses_what_a_data_set_would_download_itself(options, tmp_path):
    pipeline, dataset = options
    own = {"pipeline": pipeline, "dataset": dataset, "data_dir": str(tmp_path / "data")}
    settings = tiny_settings("mlp_binary", tmp_path / "run", **own)
    with pytest.raises(MissingDataError, match="is not prepared in"):
        data.check_present(settings)
    assert not (tmp_path / "data").exists()
