"""What a server gets: exported(raw) is outputs(model(preprocess(raw))), reloaded without us."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf

import zoo
from pipelines import Pipeline, Rows, Schema
from pipelines.core.prepared import prepare
from pipelines.steps.text import pieces_form
from tests.conformance.names import heavy, loaded
from tests.conftest import fake_pipeline, tiny_settings
from trainers.errors import ArtefactError
from trainers.evaluation import records
from trainers.serving import compare, export
from trainers.tasks import registry
from trainers.training.compile import build
from zoo.spec import Field


def built(name, folder):
    settings = tiny_settings(name, folder)
    prepared = fake_pipeline(settings.recipe.pipeline, form=zoo.describe(name).inputs)
    return settings, prepared, build(settings, prepared, "float32")


def weights_of(model):
    return {variable.path: variable.numpy() for variable in model.weights}


def exported(settings, prepared, model, folder):
    examples = records.examples(prepared, registry.get(prepared.task), None)
    return export.export(settings, prepared, weights_of(model), examples, folder)


@pytest.mark.parametrize("case", heavy())
def test_exported_is_preprocess_model_and_outputs(case, tmp_path):
    settings = case.settings(tmp_path)
    prepared = loaded(settings)
    model = build(settings, prepared, "float32")
    version = exported(settings, prepared, model, tmp_path)
    entry, task = zoo.get(settings.model), registry.get(prepared.task)
    signatures = task.signatures(entry, {}, model, prepared)
    client = "serving_default" if "serving_default" in signatures else next(iter(signatures))
    examples = records.examples(prepared, task, None)
    made = export.example_arguments(signatures, prepared, examples, settings.recipe.seed)[client]
    raw = {name: tf.constant(column[:5]) for name, column in made.items()}
    served = tf.saved_model.load(str(version)).signatures[client]
    found, expected = served(**raw), signatures[client].function(**raw)
    if task.measured == client:  # else what is scored is not what a client asks
        outputs = model(prepared.preprocess(raw), training=False)
        np.testing.assert_allclose(found[task.scored], outputs, rtol=1e-5, atol=1e-5)
    assert set(found) == set(expected)
    for name, value in expected.items():
        if value.dtype == tf.string:
            assert found[name].numpy().tolist() == value.numpy().tolist()
        else:
            level = 1 if value.dtype == tf.uint8 else 1e-5  # pixels are rounded
            one, other = (tf.cast(v, tf.float32) for v in (found[name], value))
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=level)
    for size in (1, 3):  # any batch size is served
        some = served(**{name: value[:size] for name, value in raw.items()})
        for name in (name for name, value in found.items() if value.dtype.is_floating):
            np.testing.assert_allclose(some[name], found[name][:size], rtol=1e-5, atol=1e-5)
    for name, spec in served.structured_input_signature[1].items():
        field = signatures[client].fields[name]
        assert (spec.dtype.name, tuple(spec.shape[1:])) == (field.dtype, field.shape)
    kinds = (tf.float32, tf.int32, tf.int64, tf.uint8, tf.bool, tf.string)
    assert all(value.dtype in kinds for value in found.values())


@pytest.mark.usefixtures("_unchecked_export")
@pytest.mark.parametrize("kind", ["words", "both"])
def test_exported_ngrams_answer_hostile_texts_as_the_model_does(kind, tmp_path):
    settings = tiny_settings("text_ngram", tmp_path, pipeline_options={"ngrams": kind})
    prepared = fake_pipeline("imdb", form="ngrams", ngrams=kind)
    model = build(settings, prepared, "float32")
    random = np.random.default_rng(0)
    model.set_weights([random.normal(size=w.shape) for w in model.get_weights()])
    version = exported(settings, prepared, model, tmp_path)
    served = tf.saved_model.load(str(version)).signatures["serving_default"]
    texts = [
        "",
        " ",
        "the film",
        "😀👩‍👩‍👧 film",
        "电影好看电影好",
        "\x00\x07film\x7f",
        "好" * 30_000,
    ]
    texts = [t.encode() for t in texts] + [b"\xff\xfe film", b"film\xe5\xa5"]
    raw = {"text": tf.constant(texts)}
    expected = model(prepared.preprocess(raw), training=False)
    np.testing.assert_allclose(served(**raw)["logits"], expected, rtol=1e-5, atol=1e-5)
    for i, text in enumerate(texts):  # alone
        found = served(text=tf.constant([text]))["logits"]
        np.testing.assert_allclose(found, expected[i : i + 1], rtol=1e-5, atol=1e-5)


def test_versions_count_up_and_nothing_else_is_left(tmp_path):
    settings, prepared, model = built("mlp_binary", tmp_path)
    for _ in range(2):
        version = exported(settings, prepared, model, tmp_path)
    assert version == tmp_path / "export" / "mlp_binary" / "2"
    assert sorted(os.listdir(version.parent)) == ["1", "2"]
    assert {"saved_model.pb", "variables", "assets.extra"} <= set(os.listdir(version))
    request = json.loads((version / "assets.extra" / "request.json").read_text())
    assert set(request["instances"][0]) == set(prepared.raw)
    card = json.loads((version / "assets.extra" / "model.json").read_text())
    assert card["class_names"] == list(prepared.class_names)
    assert card["recipe"]["pipeline"] == "breast_cancer"
    assert card["signature"] == request["signature_name"] == "serving_default"
    assert card["outputs"]["logits"] == ["float32", 1]
    assert card["signatures"]["serving_default"]["inputs"].keys() == prepared.raw.keys()


def test_published_is_the_version_of_these_weights(tmp_path):
    settings, prepared, model = built("mlp_binary", tmp_path)
    assert export.published(settings, weights_of(model), tmp_path) is None
    version = exported(settings, prepared, model, tmp_path)
    assert export.published(settings, weights_of(model), tmp_path) == version
    other = {path: value + 1 for path, value in weights_of(model).items()}
    assert export.published(settings, other, tmp_path) is None


@pytest.mark.parametrize("change", [1e-3, np.nan])
def test_an_export_that_answers_otherwise_is_not_published(tmp_path, monkeypatch, change):
    settings, prepared, model = built("mlp_binary", tmp_path)
    save = tf.saved_model.save

    def save_other_weights(archive, *args, **options):
        save(archive, *args, **options)
        archive.weights[0].assign_add(tf.fill(archive.weights[0].shape, change))

    monkeypatch.setattr(tf.saved_model, "save", save_other_weights)
    with pytest.raises(ArtefactError, match="differs from the model's"):
        exported(settings, prepared, model, tmp_path)
    assert os.listdir(tmp_path / "export" / "mlp_binary") == []


def test_a_model_that_does_not_load_alone_is_not_published(tmp_path, monkeypatch):
    settings, prepared, model = built("mlp_binary", tmp_path)
    monkeypatch.setattr(compare, "_SCRIPT", compare._SCRIPT + "import zoo\n")
    with pytest.raises(ArtefactError, match="zoo"):
        exported(settings, prepared, model, tmp_path)
    assert os.listdir(tmp_path / "export" / "mlp_binary") == []


def test_an_output_without_an_entry_for_each_row_is_refused(tmp_path):
    _, prepared, model = built("mlp_binary", tmp_path)
    task = registry.get("binary")
    [(name, one)] = task.signatures(None, {}, model, prepared).items()
    mean = one._replace(function=lambda **raw: {**one.function(**raw), "mean": tf.zeros((3,))})
    examples = records.examples(prepared, task, None)
    arguments = export.example_arguments({name: mean}, prepared, examples, seed=0)
    with pytest.raises(ArtefactError, match=r"'mean' has shape \(3,\) for 8 rows"):
        export.publish(model, prepared, {name: mean}, arguments, tmp_path / "export", {})


@pytest.mark.parametrize(
    ("model", "task", "column"),
    [("bert_tiny", "masked_lm", "tokens"), ("word2vec", "word_vectors", "words")],
)
def test_rows_of_inputs_are_told_from_a_text_that_is_called_as_they_are(
    model, task, column, tmp_path
):
    settings, raw = tiny_settings(model, tmp_path, task=task), {column: Field((), "string")}
    made = Pipeline(name="made", source="made", forms={"pieces": pieces_form(60, 16)})
    schema = Schema(raw, "masked_lm", None)
    pipeline, schema = registry.over(task, made, schema, settings.task_options)
    lines = [f"the cat {i} sat on mat {i % 7} and the dog ran" for i in range(40)]
    texts = np.array([line.encode() for line in lines], object)
    rows = Rows(len(texts), raw, None, table={column: texts})
    prepared = prepare(pipeline, schema, dict.fromkeys(("train", "validation", "test"), rows))
    entry, network = zoo.get(model), build(settings, prepared, "float32")
    hparams = {**entry.hparams, **settings.hparams}
    signatures = registry.get(task).signatures(entry, hparams, network, prepared)
    examples = records.examples(prepared, registry.get(task), None)
    arguments = export.example_arguments(signatures, prepared, examples, seed=0)
    assert arguments["score"][column].dtype == np.int32
    assert all(value.dtype == object for value in arguments["serving_default"].values())
