"""Hostile run folders: what their JSON files say is checked before it is believed."""

import json

import numpy as np
import pytest

from tests.conftest import a_report, fake_pipeline, tiny_settings
from tests.security.hostile_watch import watched
from trainers.devices import precision as machine
from trainers.errors import ArtefactError
from trainers.evaluation import evaluate
from trainers.reports import write
from trainers.store import checkpoint, report_file, run_folder, sealed
from trainers.store.checkpoint import Checkpoint

TEXTS = {
    "empty": "",
    "a list": "[]",
    "10 000 levels": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "900 levels": '{"a":' * 900 + "1" + "}" * 900,
    "50 MB": json.dumps({"a": "b" * 50_000_000}),
    "a number of 5000 digits": '{"step": ' + "9" * 5000 + "}",
    "half": '{"run": "a',
    "null": "null",
    "nothing in it": "{}",
}


@pytest.mark.parametrize("name", TEXTS)
def test_hostile_json_is_refused(name, tmp_path, monkeypatch):
    checkpoint.begin(tmp_path / "checkpoints")
    state = Checkpoint(1, {"model/a": np.zeros(2, np.float32)}, {})
    checkpoint.save(tmp_path / "checkpoints", state, best_step=None)
    place = tmp_path / "checkpoints" / "step-00000001"
    for path in (place / "meta.json", tmp_path / "run.json", tmp_path / "report.json"):
        path.write_text(TEXTS[name])
    settings = tiny_settings("mlp_binary", tmp_path)
    with watched(tmp_path, monkeypatch):
        for read in (
            lambda: checkpoint.load(tmp_path / "checkpoints", 1),
            lambda: run_folder.settings_of(tmp_path),
            lambda: run_folder.check_identity(tmp_path, settings, "float32"),
            lambda: run_folder.check_data(tmp_path, settings, fake_pipeline("breast_cancer")),
            lambda: report_file.complete(tmp_path, settings),
            lambda: write.write_again(tmp_path),
        ):
            with pytest.raises(ArtefactError):
                read()


def _set(*path, to):
    def change(facts):
        for word in path[:-1]:
            facts = facts[word]
        facts[path[-1]] = to

    return change


FACTS = {  # name: what is done to run.json, and what is said of it
    "model elsewhere": (_set("settings", "model", to="../../x"), "unknown model"),
    "model of a list": (_set("settings", "model", to=["mlp"]), "unhashable"),
    "data elsewhere": (_set("settings", "recipe", "pipeline", to="../../x"), "unknown pipeline"),
    "data of a list": (_set("settings", "recipe", "pipeline", to=[]), "takes text"),
    "epochs as text": (
        _set("settings", "recipe", "epochs", to="many"),
        "--epochs takes an integer",
    ),
    "rate as text": (_set("settings", "recipe", "learning_rate", to="1"), "takes a number"),
    "half a batch": (_set("settings", "recipe", "batch_size", to=2.5), "takes an integer"),
    "seed of nothing": (_set("settings", "recipe", "seed", to=None), "takes an integer"),
    "factors": (_set("settings", "recipe", "lr_scale", to=[1]), "takes pattern=mult"),
    "patterns": (_set("settings", "recipe", "lr_scale", to=[[1, 2]]), "takes pattern=mult"),
    "class weights": (_set("settings", "recipe", "class_weights", to=5), "takes 'balanced' or"),
    "sizes": (_set("settings", "hparams", to="abc"), "takes name=value pairs"),
    "sizes of nothing": (_set("settings", "hparams", to={"hidden": None}), "takes tuple"),
    "options": (_set("settings", "pipeline_options", to={"os": 1}), "unknown option"),
    "folder of data": (_set("settings", "data_dir", to={"a": 1}), "takes text"),
    "recipe of nothing": (_set("settings", "recipe", to=None), "not a mapping"),
    "settings of a list": (_set("settings", to=[]), "see settings"),
    "identity of a text": (_set("identity", to="a"), "see identity"),
    "run of a number": (_set("run", to=1), "see run"),
    "starts of numbers": (_set("starts", to=[1]), "see starts"),
    "data of a text": (_set("data", to="a"), "see data"),
}


@pytest.mark.parametrize("name", FACTS)
def test_hostile_run_is_refused(name, tmp_path, monkeypatch):
    change, said = FACTS[name]
    settings, pipeline = tiny_settings("mlp_binary", tmp_path), fake_pipeline("breast_cancer")
    run_folder.record(tmp_path, settings, pipeline, "float32", machine.describe())
    facts = sealed.read(tmp_path / "run.json")
    change(facts)
    (tmp_path / "run.json").write_text(json.dumps(facts))  # without the hash
    with watched(tmp_path, monkeypatch):
        for command in (
            lambda: run_folder.settings_of(tmp_path),
            lambda: evaluate.evaluate_run(tmp_path, "test"),
            lambda: write.write_again(tmp_path),
        ):
            with pytest.raises(ArtefactError, match=said):
                command()


@pytest.mark.parametrize("place", ["../other", "/other", "export/other/1", None, 5, "."])
def test_report_leads_to_exports_of_its_run_alone(place, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir()
    settings, pipeline = tiny_settings("mlp_binary", folder), fake_pipeline("breast_cancer")
    run_folder.record(folder, settings, pipeline, "float32", machine.describe())
    (folder / "export" / "other" / "1").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (folder / "weights.npz").touch()
    report_file.write(folder, a_report(export=place))
    said = "is gone" if isinstance(place, str) else "see export"
    with watched(tmp_path, monkeypatch), pytest.raises(ArtefactError, match=said):
        write.write_again(folder)
