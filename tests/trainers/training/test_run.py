"""A run's life: what it does when it is complete, and fits in folders of their own."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from pipelines import MissingDataError
from pipelines.storage import builders, tfds
from tests import conftest
from tests.conftest import fake_load, fake_pipeline, tiny_settings
from trainers import errors
from trainers.config import sizes
from trainers.store import arrays, checkpoint, run_folder, sealed
from trainers.training import data, run

STORED = tfds.load  # of real files, where the tests of this module have random rows
pytestmark = pytest.mark.usefixtures("_fake_data", "_unchecked_export")


def test_a_complete_run_whose_data_is_gone_shows_its_figures(tmp_path, monkeypatch, caplog):
    settings = tiny_settings("mlp_binary", tmp_path)
    report = run.run(settings)

    def load(pipeline, data_dir=None):
        raise MissingDataError("breast_cancer is not prepared in /data")

    monkeypatch.setattr(tfds, "load", load)
    assert run.run(settings) == report
    assert "already complete; its data was not found: breast_cancer is not" in caplog.text


def test_a_run_whose_weights_are_all_frozen_takes_no_step(tmp_path, caplog):
    caplog.set_level("INFO", "trainers")
    settings = tiny_settings("mlp_binary", tmp_path, lr_scale=((".", 0.0),))
    report = run.run(settings)
    assert report["steps"] == {"last": 0, "best": 0}
    assert report["seconds"]["fit"] == 0
    assert "every weight is frozen: the initial weights are tested and exported" in caplog.text
    first = checkpoint.load(tmp_path / "checkpoints", 0).arrays
    for path, value in arrays.read(tmp_path / "weights.npz").items():
        np.testing.assert_array_equal(value, first[f"model/{path}"])
    assert "No step was taken: every weight is frozen." in (tmp_path / "report.html").read_text()
    assert run.run(settings) == report  # complete


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


def test_a_complete_run_is_refused_where_a_row_was_appended(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds, "load", STORED)
    lines = [f"{i % 7}.5,{'uv'[i % 2]},{'pq'[i % 2]}\n" for i in range(60)]
    path = tmp_path / "t.csv"
    path.write_text("".join(["a,b,y\n", *lines]))
    given = {"pipeline": "csv", "pipeline_options": {}, "data_files": str(path), "target": "y"}
    settings = tiny_settings("mlp", tmp_path / "run", **given)
    report = run.run(settings)
    assert run.run(settings) == report
    path.write_text("".join(["a,b,y\n", *lines, "9.5,u,q\n"]))
    for again in (settings, dataclasses.replace(settings, resume_with_changes=True)):
        with pytest.raises(errors.ArtefactError, match="another --workdir to train on it, or put"):
            run.run(again)
    path.write_text("".join(["a,b,y\n", *lines]))
    assert run.run(settings) == report


def test_data_fingerprint_follows_a_changed_image_and_a_changed_line(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds, "load", STORED)
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(20):
            picture = Image.new("RGB", (20, 20), (i, i, len(name)))
            picture.save(tmp_path / "photos" / name / f"{i}.png")
    lines = [f"{'pq'[i % 2]}\ta text {i}\n" for i in range(40)]
    (tmp_path / "t.tsv").write_text("".join(lines))

    def fingerprint(model: str, pipeline: str, files: str, **options) -> str:
        given = {"pipeline": pipeline, "data_files": str(tmp_path / files)}
        settings = tiny_settings(model, tmp_path, **given, pipeline_options=options)
        return run_folder.data_fingerprint(data.load(settings, None))

    photos = ("cifar_cnn", "image_folder", "photos")
    before = fingerprint(*photos, image_size=20)
    assert before == fingerprint(*photos, image_size=20) != fingerprint(*photos, image_size=21)
    Image.new("RGB", (20, 20), (0, 0, 2)).save(tmp_path / "photos" / "a" / "3.png")
    assert before != fingerprint(*photos, image_size=20)
    texts = ("transformer_encoder", "text_lines", "t.tsv")
    before = fingerprint(*texts)
    assert before == fingerprint(*texts)
    (tmp_path / "t.tsv").write_text("".join([*lines[:-1], lines[-1].replace("text", "word")]))
    assert before != fingerprint(*texts)


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
    assert report == sealed.read(tmp_path / "report.json")
    assert report["task"] == "binary"
    assert report["seconds"]["total"] >= report["seconds"]["fit"] > 0
    assert report["steps"]["last"] == 8


def test_sizes_left_open_follow_the_rows_and_are_recorded(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(sizes, "_UPDATES", 6)
    monkeypatch.setattr(sizes, "_FEWEST_EPOCHS", 1)
    settings = tiny_settings("mlp", tmp_path, batch_size=0, epochs=0, early_stopping=1)
    with caplog.at_level("INFO"):
        report = run.run(settings)
    # 72 of 104 random rows: batches of 16, four an epoch.
    assert "for 72 training rows: batch size 16, 2 epochs of 4 steps" in caplog.text
    assert (report["epochs"], report["steps"]["last"]) == (2, 8)
    recorded, facts = run_folder.settings_of(tmp_path)
    assert (recorded.recipe.batch_size, recorded.recipe.epochs) == (16, 2)
    assert facts["identity"]["batch_size"] == 16
    # Later the rule may be another one: the run keeps its own sizes, and no others are mixed in.
    monkeypatch.setattr(sizes, "_UPDATES", 100)
    assert run.run(settings) == report
    (tmp_path / "report.json").unlink()
    assert run.run(settings)["steps"] == report["steps"]
    other = dataclasses.replace(settings.recipe, batch_size=8)
    with pytest.raises(errors.ArtefactError, match="batch_size 16 -> 8"):
        run.run(dataclasses.replace(settings, recipe=other))


def test_a_split_of_fewer_rows_than_a_usual_batch_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(conftest, "NUM_ROWS", {**conftest.NUM_ROWS, "all": 20})
    report = run.run(tiny_settings("mlp", tmp_path, batch_size=0, epochs=3))
    assert report["steps"]["last"] == 3  # of all rows but the last few
