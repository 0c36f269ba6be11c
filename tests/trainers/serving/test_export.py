"""What a server gets: exported(raw) is outputs(model(preprocess(raw))), reloaded without us."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests.conftest import fake_pipeline, tiny_settings
from trainers.errors import ArtefactError
from trainers.evaluation import evaluate
from trainers.serving import export
from trainers.tasks.registry import TASKS, reported_loss
from trainers.training import compile as assembly
from trainers.training import data


@pytest.fixture(params=zoo.names())
def built(request, tmp_path):
    settings = tiny_settings(request.param, tmp_path)
    pipeline = fake_pipeline(settings.recipe.pipeline)
    return settings, pipeline, assembly.build(settings, pipeline, "float32")


def weights_of(model):
    return {variable.path: variable.numpy() for variable in model.weights}


def test_exported_is_preprocess_model_and_outputs(built, tmp_path):
    settings, pipeline, model = built
    version = export.export(settings, pipeline, weights_of(model), tmp_path)
    raw = {name: rows[:5] for name, rows in data.examples(pipeline).items()}
    served = tf.saved_model.load(str(version)).signatures["serving_default"]
    found = served(**{name: tf.constant(value) for name, value in raw.items()})
    logits = model(pipeline.preprocess({k: tf.constant(v) for k, v in raw.items()}), training=False)
    expected = TASKS[pipeline.task].outputs(logits, pipeline.class_names)
    assert set(found) == set(expected)
    for name, value in expected.items():
        if value.dtype == tf.string:
            assert found[name].numpy().tolist() == value.numpy().tolist()
        else:
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5)
    for size in (1, 3):  # any batch size is served
        some = served(**{name: tf.constant(value[:size]) for name, value in raw.items()})
        np.testing.assert_allclose(some["logits"], found["logits"][:size], rtol=1e-5, atol=1e-5)
    assert served.structured_input_signature[1].keys() == pipeline.raw.keys()
    for name, spec in served.structured_input_signature[1].items():
        assert (spec.dtype.name, tuple(spec.shape[1:])) == (
            pipeline.raw[name].dtype,
            pipeline.raw[name].shape,
        )
    assert all(v.dtype in (tf.float32, tf.int64, tf.string) for v in found.values())


def test_versions_count_up_and_nothing_else_is_left(tmp_path):
    settings = tiny_settings("mlp_binary", tmp_path)
    pipeline = fake_pipeline("breast_cancer")
    model = assembly.build(settings, pipeline, "float32")
    for _ in range(2):
        version = export.export(settings, pipeline, weights_of(model), tmp_path)
    assert version == tmp_path / "export" / "mlp_binary" / "2"
    assert sorted(os.listdir(version.parent)) == ["1", "2"]
    assert {"saved_model.pb", "variables", "assets.extra"} <= set(os.listdir(version))
    request = json.loads((version / "assets.extra" / "request.json").read_text())
    assert set(request["instances"][0]) == set(pipeline.raw)
    card = json.loads((version / "assets.extra" / "model.json").read_text())
    assert card["class_names"] == list(pipeline.class_names)
    assert card["recipe"]["pipeline"] == "breast_cancer"


@pytest.mark.parametrize("change", [1e-3, np.nan])
def test_an_export_that_answers_otherwise_is_not_published(tmp_path, monkeypatch, change):
    settings = tiny_settings("mlp_binary", tmp_path)
    pipeline = fake_pipeline("breast_cancer")
    model = assembly.build(settings, pipeline, "float32")
    save = tf.saved_model.save

    def save_other_weights(archive, *args, **options):
        save(archive, *args, **options)
        archive.weights[0].assign_add(tf.fill(archive.weights[0].shape, change))

    monkeypatch.setattr(tf.saved_model, "save", save_other_weights)
    with pytest.raises(ArtefactError, match="differ from the model's"):
        export.export(settings, pipeline, weights_of(model), tmp_path)
    assert os.listdir(tmp_path / "export" / "mlp_binary") == []


def test_a_model_that_does_not_load_alone_is_not_published(tmp_path, monkeypatch):
    settings = tiny_settings("mlp_binary", tmp_path)
    pipeline = fake_pipeline("breast_cancer")
    model = assembly.build(settings, pipeline, "float32")
    monkeypatch.setattr(export, "_STRANGER", export._STRANGER + "import zoo\n")
    with pytest.raises(ArtefactError, match="zoo"):
        export.export(settings, pipeline, weights_of(model), tmp_path)
    assert os.listdir(tmp_path / "export" / "mlp_binary") == []


def test_evaluation_runs_over_every_example_of_the_export(built, tmp_path):
    settings, pipeline, model = built
    version = export.export(settings, pipeline, weights_of(model), tmp_path)
    evaluation = evaluate.evaluate(version, pipeline, "test", batch_size=5)  # not in fives
    found = evaluation.metrics
    rows = pipeline.rows["test"].table
    logits = model(pipeline.preprocess({k: tf.constant(rows[k]) for k in pipeline.raw}))
    task = TASKS[pipeline.task]
    for metric in [reported_loss(task), *task.metrics(logits.shape[-1])]:
        metric.update_state(rows[pipeline.target], logits)
        assert found[metric.name] == pytest.approx(float(metric.result()), rel=1e-5), metric.name
    np.testing.assert_allclose(evaluation.outputs["logits"], logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(evaluation.target, rows[pipeline.target])
