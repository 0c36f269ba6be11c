"""Exports that are not whole are named, and never opened."""

import json
import shutil

import pytest
import tensorflow as tf

from tests.conftest import fake_pipeline, tiny_settings, unchecked_exports
from trainers.errors import ArtefactError
from trainers.evaluation import evaluate, records
from trainers.serving import export, predict
from trainers.store import saved_model
from trainers.tasks import registry as tasks
from trainers.training.compile import build


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A version as a run publishes it."""
    folder = tmp_path_factory.mktemp("exported")
    settings, prepared = tiny_settings("mlp_binary", folder), fake_pipeline("breast_cancer")
    weights = {v.path: v.numpy() for v in build(settings, prepared, "float32").weights}
    examples = records.examples(prepared, tasks.get("binary"), None)
    with pytest.MonkeyPatch.context() as patch:
        unchecked_exports(patch)
        return export.export(settings, prepared, weights, examples, folder)


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
def test_load_names_what_is_damaged_before_it_opens_it(name, exported, tmp_path, monkeypatch):
    folder = tmp_path / "1"
    shutil.copytree(exported, folder)
    request = tmp_path / "request.json"
    shutil.copy(folder / "assets.extra" / "request.json", request)
    prepared = fake_pipeline("breast_cancer")
    assert len(list(predict.predict(folder, [request]))) == 1
    DAMAGE[name](folder / name)
    monkeypatch.setattr(tf.saved_model, "load", lambda _: pytest.fail("it was opened"))
    said = name.rpartition("/")[2] if "sha256" in name else name
    with pytest.raises(ArtefactError, match=f"cannot be loaded: {said} "):
        next(predict.predict(folder, [request]))
    with pytest.raises(ArtefactError, match=f"cannot be loaded: {said} "):
        evaluate.evaluate(folder, tiny_settings("mlp_binary", ""), prepared, "test")


@pytest.mark.parametrize(
    "card", [{}, {"inputs": {}}, {"inputs": [1], "class_names": []}, {"class_names": 1}]
)
def test_load_opens_exports_of_others_that_say_what_they_take(card, exported, tmp_path):
    folder = tmp_path / "1"
    shutil.copytree(exported, folder)
    (folder / "assets.extra" / "sha256.json").unlink()
    assert saved_model.load(folder).signatures
    (folder / "assets.extra" / "model.json").write_text(json.dumps(card))
    with pytest.raises(ArtefactError, match=r"does not describe the model.s inputs"):
        next(predict.predict(folder, []), None)


def test_load_refuses_a_program_without_signatures(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path))
    with pytest.raises(ArtefactError, match="it has no signatures"):
        saved_model.load(tmp_path)
