"""A run's life: what it does when it is complete, and fits in folders of their own."""

import dataclasses
import json

import numpy as np
import pytest

from pipelines import MissingDataError
from pipelines.storage import builders, tfds
from tests.conftest import fake_load, fake_pipeline, tiny_settings
from trainers import errors
from trainers.store import arrays, checkpoint
from trainers.training import data, run

pytestmark = pytest.mark.usefixtures("_fake_data", "_unchecked_export")


def test_a_complete_run_whose_data_is_gone_shows_its_figures(tmp_path, monkeypatch, caplog):
    settings = tiny_settings("mlp_binary", tmp_path)
    report = run.run(settings)

    def load(pipeline, data_dir=None):
        raise MissingDataError("breast_cancer is not prepared in /data")

    monkeypatch.setattr(tfds, "load", load)
    assert run.run(settings) == report
    assert "already complete; its data was not found: breast_cancer is not" in caplog.text


def test_a_complete_run_downloads_nothing_again(tmp_path, monkeypatch, caplog):
    settings = tiny_settings("cifar_cnn", tmp_path, data_dir=str(tmp_path / "empty"))
    report = run.run(settings)
    monkeypatch.setattr(tfds, "load", lambda *a, **k: pytest.fail("prepared it again"))
    assert run.run(settings) == report
    assert "its data was not found: cifar10/" in caplog.text


def test_a_complete_run_whose_data_has_changed_is_refused(tmp_path, monkeypatch):
    settings = tiny_settings("mlp_binary", tmp_path)
    run.run(settings)
    monkeypatch.setattr(tfds, "load", lambda p, data_dir=None: fake_load(p, data_dir, seed=1))
    with pytest.raises(errors.ArtefactError, match="the data is not that of") as caught:
        run.run(settings)
    assert errors.exit_code(caught.value) == errors.ARTEFACT


def test_check_present_misses_nothing_that_is_built_in(tmp_path):
    settings = tiny_settings("mlp_binary", tmp_path, data_dir=str(tmp_path / "empty"))
    data.check_present(settings)
    with pytest.raises(MissingDataError, match="is not prepared in"):
        builders.check_prepared("cifar10", str(tmp_path / "empty"))


def test_fitted_trains_in_its_own_folder_and_continues_there(tmp_path, monkeypatch):
    settings = tiny_settings("mlp_binary", tmp_path / "run")
    prepared = fake_pipeline("breast_cancer")
    weights = run.fitted(settings, prepared, tmp_path / "run")
    stored = arrays.read(tmp_path / "run" / "weights.npz")
    assert weights.keys() == stored.keys()
    assert all(np.array_equal(weights[path], stored[path]) for path in weights)
    assert not (tmp_path / "run" / "report.json").exists()
    assert not (tmp_path / "run" / "export").exists()
    monkeypatch.setattr(checkpoint, "save", lambda *a, **k: pytest.fail("trained again"))
    again = run.fitted(settings, prepared, tmp_path / "run")
    assert all(np.array_equal(weights[path], again[path]) for path in weights)
    other = dataclasses.replace(settings, hparams={"hidden": (5,)})
    with pytest.raises(errors.ArtefactError, match="other settings"):
        run.fitted(other, prepared, tmp_path / "run")


def test_the_report_is_that_of_the_file(tmp_path):
    report = run.run(tiny_settings("mlp_binary", tmp_path))
    assert report == json.loads((tmp_path / "report.json").read_text())
    assert report["task"] == "binary"
    assert report["seconds"]["total"] >= report["seconds"]["fit"] > 0
    assert report["steps"]["last"] == 8
