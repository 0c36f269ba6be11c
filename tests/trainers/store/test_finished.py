"""A finished run is read from its folder alone."""

import json
import shutil

import numpy as np
import pytest

from pipelines.storage import tfds
from tests.conftest import fake_load, tiny_settings, unchecked_exports
from trainers.errors import ArtefactError
from trainers.store import arrays, sealed
from trainers.store import state as state_file
from trainers.store.finished import finished
from trainers.training import run


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A run that nothing was done to."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfds, "load", fake_load)
        unchecked_exports(patch)
        run.run(tiny_settings("mlp_binary", folder))
    return folder


@pytest.fixture
def folder(original, tmp_path, monkeypatch):
    """A copy of it, where no data can be loaded."""
    monkeypatch.setattr(tfds, "load", lambda *a, **k: pytest.fail("loaded data"))
    return shutil.copytree(original, tmp_path / "run")


def test_prepared_serves_without_rows(folder, original):
    past = finished(folder)
    assert past.prepared.rows == {}
    assert past.prepared.source == past.facts["data"]["source"]
    assert past.schema.class_names == past.prepared.class_names == ("malignant", "benign")
    part = past.state["inputs/vector"]
    raw = {name: past.examples[f"fields/{name}"] for name in past.prepared.raw}
    inputs = past.prepared.preprocess(raw)
    columns = np.stack([raw[name] for name in part["columns"]], axis=1)
    expected = (columns - part["mean"]) / part["std"]
    np.testing.assert_allclose(inputs["features"], expected, rtol=1e-4, atol=1e-4)


def test_files_are_read_when_they_are_asked_for(folder):
    for name in ("examples.npz", "predictions/test.npz"):
        (folder / name).unlink()
    past = finished(folder)
    assert past.weights
    for read in (lambda: past.examples, lambda: past.predictions):
        with pytest.raises(ArtefactError, match="is missing"):
            read()


def test_a_damaged_file_is_named(folder):
    content = (folder / "weights.npz").read_bytes()
    (folder / "weights.npz").write_bytes(content[:-50])
    with pytest.raises(ArtefactError, match=r"weights\.npz is damaged"):
        _ = finished(folder).weights


def test_a_run_that_is_not_finished_is_refused(folder):
    (folder / "report.json").unlink()
    with pytest.raises(ArtefactError, match="is not finished"):
        finished(folder)


@pytest.mark.parametrize("missing", ["weights.npz", "serving"])
def test_a_run_that_an_earlier_version_finished_is_refused(missing, folder):
    if missing == "serving":
        facts = sealed.read(folder / "run.json")
        del facts["serving"], facts["format"]
        (folder / "run.json").write_text(json.dumps(facts))
    else:
        (folder / missing).unlink()
    with pytest.raises(ArtefactError, match=r"earlier version.*remove its report\.json"):
        finished(folder)


@pytest.mark.parametrize("serving", [[], {}, {"form": 1}, {"form": "vector", "schema": {}}])
def test_a_damaged_description_is_refused(serving, folder):
    facts = sealed.read(folder / "run.json")
    (folder / "run.json").write_text(json.dumps({**facts, "serving": serving}))
    with pytest.raises(ArtefactError, match=r"run\.json is damaged"):
        _ = finished(folder).prepared


def test_keep_takes_the_file_beside_where_the_steps_differ(folder):
    report = sealed.read(folder / "report.json")
    sealed.write(folder / "report.json", {**report, "steps": {"last": 8, "best": 8}})
    own = finished(folder, "best").weights  # one file holds both
    sealed.write(folder / "report.json", {**report, "steps": {"last": 8, "best": 4}})
    arrays.write(folder / "weights-best.npz", {"a": np.ones(3)})
    assert finished(folder, "best").weights.keys() == {"a"}
    assert finished(folder, "last").weights.keys() == finished(folder).weights.keys() == own.keys()


@pytest.mark.parametrize("name", ["weights.npz", "examples.npz", "predictions/test.npz"])
def test_file_of_another_run_is_refused(name, folder):
    arrays.write(folder / name, {"a": np.ones(3)})  # whole, and not what the report was made of
    past = finished(folder)
    with pytest.raises(ArtefactError, match="of another run"):
        _ = {"weights.npz": lambda: past.weights, "examples.npz": lambda: past.examples}.get(
            name, lambda: past.predictions
        )()


def test_report_of_another_run_is_refused(folder):
    report = sealed.read(folder / "report.json")
    sealed.write(folder / "report.json", {**report, "run": "another"})
    with pytest.raises(ArtefactError, match=r"report\.json is of another run"):
        finished(folder)


def test_state_of_another_run_is_refused(folder):
    part = state_file.load(folder, "vector")["inputs/vector"]
    for other in ({}, {"inputs/vector": {**part, "mean": part["mean"] + 1}}):
        state_file.save(folder, other)
        past = finished(folder)
        for read in (lambda past=past: past.state, lambda past=past: past.prepared):
            with pytest.raises(ArtefactError, match=r"state\.npz is not what the run fitted"):
                read()
