"""A table with a column of free text, from its file to the answers of the exported model."""

import json

import numpy as np
import pytest
import tensorflow as tf

import zoo
from pipelines import DataError
from pipelines.core.stream import stream
from tests.conftest import unchecked_exports
from tests.pipelines.test_csv import told, write
from trainers.config.settings import resolve
from trainers.evaluation import records
from trainers.serving import export, predict
from trainers.store import schema
from trainers.tasks import registry
from trainers.training import data
from trainers.training.compile import build

NOTES = ["quiet and fine", "NOISE!", "", "none of these words", "na", "\U0001f600 好"]


def settings(model, path):
    return resolve(model, {"pipeline": "csv", "data_files": path, "target": "y"})


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The linear start of `tabular`: (prepared data, model, version folder)."""
    folder = tmp_path_factory.mktemp("rooms")
    chosen = settings("tabular", write(folder / "rooms.csv", told(300)))
    prepared = data.load(chosen, None)
    model = build(chosen, prepared, "float32")
    batches = stream(prepared, "train", batch_size=50, training=False, seed=0)
    start = zoo.get("tabular").adapt(
        model, [({k: v.numpy() for k, v in x.items()}, y.numpy()) for x, y, _ in batches]
    )
    weights = {v.path: start.get(v.path, v.numpy()) for v in model.weights}
    for variable in model.weights:
        variable.assign(weights[variable.path])
    first = records.examples(prepared, registry.get(prepared.task), None)
    with pytest.MonkeyPatch.context() as patch:
        unchecked_exports(patch)
        return prepared, model, export.export(chosen, prepared, weights, first, folder)


def test_export_answers_raw_texts_as_the_model_does(exported, tmp_path):
    prepared, model, version = exported
    raw = {"size": tf.constant([1.0] * 6, tf.float32), "note": tf.constant(NOTES)}
    expected = tf.sigmoid(model(dict(prepared.preprocess(raw))))[:, 0].numpy()
    served = tf.saved_model.load(str(version)).signatures["serving_default"](**raw)
    np.testing.assert_allclose(served["probability"], expected, rtol=1e-5)
    assert expected[0] > 0.8
    assert expected[1] < 0.2
    # A new word is no unknown value.
    assert served["unknown"].numpy().tolist() == [0] * 6
    rows = write(tmp_path / "new.csv", [["note", "size"], *([note, 1] for note in NOTES)])
    instances = [{"size": 1, "note": note} for note in NOTES]
    (tmp_path / "new.json").write_text(json.dumps({"instances": instances}))
    for path in (rows, tmp_path / "new.json"):
        lines = list(predict.predict(version, [tmp_path / path], strict=True))
        assert [line["unknown"] for line in lines] == [0] * 6
        answers = [line["probability"] for line in lines]
        np.testing.assert_allclose(answers, expected, atol=1e-5)


def test_schema_of_the_run_holds_the_text(exported):
    prepared, *_ = exported
    again = schema.from_json(json.loads(json.dumps(schema.to_json(prepared.schema))))
    assert again == prepared.schema
    assert again.raw["note"].dtype == "string"


def test_other_models_go_on_without_free_text_and_say_so(tmp_path, caplog):
    path = write(tmp_path / "rooms.csv", told(300))
    with caplog.at_level("INFO"):
        assert list(data.load(settings("mlp", path), None).raw) == ["size"]
    assert "left out: note (free text, which --model=tabular takes)" in caplog.text
    caplog.clear()
    with caplog.at_level("INFO"):
        assert list(data.load(settings("tabular", path), None).raw) == ["size", "note"]
    assert "which --model=tabular" not in caplog.text
    alone = write(tmp_path / "alone.csv", [row[1:] for row in told(300)])
    with pytest.raises(DataError, match="no column is left to learn y from but free text"):
        data.load(settings("mlp", alone), None)
