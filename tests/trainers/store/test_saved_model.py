"""Exports that are not whole are named, and never opened."""

import json
import shutil

import pytest
import tensorflow as tf

from tests.conftest import fake_pipeline, tiny_settings
from trainers.errors import ArtefactError
from trainers.evaluation import evaluate
from trainers.serving import export, predict
from trainers.store import saved_model
from trainers.training import compile as assembly


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A version as a run publishes it."""
    folder = tmp_path_factory.mktemp("exported")
    settings, pipeline = tiny_settings("mlp_binary", folder), fake_pipeline("breast_cancer")
    model = assembly.build(settings, pipeline, "float32")
    weights = {variable.path: variable.numpy() for variable in model.weights}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "_compare", lambda *_: None)
        return export.export(settings, pipeline, weights, folder)


def _bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "variables/variables.data-00000-of-00001": lambda path: path.write_bytes(
        path.read_bytes()[:-1]
    ),
    "variables/variables.index": _bit,
    "saved_model.pb": lambda path: path.unlink(),
    "assets/extra.txt": lambda path: (path.parent.mkdir(exist_ok=True), path.write_text("x")),
    "assets.extra/model.json": _bit,
    "assets.extra/sha256.json": lambda path: path.write_text("[]"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_export_is_named_before_it_is_opened(name, exported, tmp_path, monkeypatch):
    folder = tmp_path / "1"
    shutil.copytree(exported, folder)
    request = tmp_path / "request.json"
    shutil.copy(folder / "assets.extra" / "request.json", request)
    pipeline = fake_pipeline("breast_cancer")
    assert len(list(predict.predict(folder, [request]))) == 1
    DAMAGE[name](folder / name)
    monkeypatch.setattr(tf.saved_model, "load", lambda _: pytest.fail("it was opened"))
    said = name.rpartition("/")[2] if "sha256" in name else name
    with pytest.raises(ArtefactError, match=f"cannot be loaded: {said} "):
        next(predict.predict(folder, [request]))
    with pytest.raises(ArtefactError, match=f"cannot be loaded: {said} "):
        evaluate.evaluate(folder, pipeline, "test", batch_size=5)


@pytest.mark.parametrize(
    "card", [{}, {"inputs": {}}, {"inputs": [1], "class_names": []}, {"class_names": 1}]
)
def test_exports_of_others_are_opened_and_must_say_what_they_take(card, exported, tmp_path):
    folder = tmp_path / "1"
    shutil.copytree(exported, folder)
    (folder / "assets.extra" / "sha256.json").unlink()
    assert saved_model.load(folder).signatures
    (folder / "assets.extra" / "model.json").write_text(json.dumps(card))
    with pytest.raises(ArtefactError, match="does not say what it takes"):
        next(predict.predict(folder, []), None)
