"""A signature is asked about every row, with the arguments that it makes; metrics by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import fake_pipeline, made_pipeline, tiny_settings
from trainers.errors import UsageError
from trainers.evaluation import evaluate
from trainers.serving import export
from trainers.serving.signatures import raw_fields
from trainers.tasks import registry
from trainers.tasks.registry import Signature
from trainers.training.compile import build


def settings(batch_size: int = 25):  # 60 rows: the last batch is smaller
    return tiny_settings("mlp_binary", "", batch_size=batch_size, seed=3)


def test_every_row_is_asked_once_and_in_order():
    prepared, asked = made_pipeline("binary"), []

    def function(x):
        asked.append(x.numpy())
        return {"logits": x[:, :1], "other": x}

    found = evaluate.ask(
        function, Signature(None, prepared.raw, raw_fields), settings(), prepared, "test"
    )
    table = prepared.rows["test"].table
    assert [len(x) for x in asked] == [25, 25, 10]
    np.testing.assert_array_equal(np.concatenate(asked), table["x"])
    np.testing.assert_array_equal(found.row, np.arange(60))
    np.testing.assert_array_equal(found.target, table["label"])
    assert list(found.outputs) == ["logits"]  # the task keeps nothing else
    right = (table["x"][:, 0] > 0) == table["label"]
    assert found.metrics["accuracy"] == pytest.approx(right.mean())


def test_a_score_signature_is_asked_with_x_and_weighted_as_in_training():
    """`example` changes inputs by keyed draws, doubles y and gives every second row weight 0."""
    prepared = made_pipeline("regression")

    def example(inputs, target, keys):
        shifted = {"x": inputs["x"] + tf.cast(keys.index % 7, tf.float32)[:, None]}
        return shifted, 2 * target, tf.cast(keys.index % 2, tf.float32)

    prepared = prepared.replace(example=example)
    one = Signature(None, prepared.spec.inputs, lambda batch: dict(batch.x))
    found = evaluate.ask(lambda x: {"logits": x[:, :1]}, one, settings(), prepared, "validation")
    table, row = prepared.rows["validation"].table, np.arange(60)
    answers = table["x"][:, 0] + row % 7
    np.testing.assert_allclose(found.outputs["logits"][:, 0], answers, rtol=1e-6)
    error = np.abs(answers - 2 * table["label"])[row % 2 == 1]
    assert found.metrics["mean_absolute_error"] == pytest.approx(error.mean(), rel=1e-5)


def test_arranged_rows_are_asked_as_inputs():
    """An `arrange` that keeps every second row, as windows of a text would."""

    def arrange(rows, preprocess):
        inputs = preprocess({"x": tf.constant(rows.table["x"][::2])})
        table = {"x": 10 * inputs["x"].numpy(), "label": rows.table["label"][::2]}
        return rows._replace(num_rows=len(table["label"]), table=table)

    prepared = made_pipeline("binary").replace(arrange=arrange)
    one = Signature(None, prepared.raw, lambda batch: dict(batch.x))
    found = evaluate.ask(lambda x: {"logits": x[:, :1]}, one, settings(), prepared, "test")
    table = prepared.rows["test"].table
    np.testing.assert_allclose(found.outputs["logits"], 10 * table["x"][::2, :1], rtol=1e-6)
    np.testing.assert_array_equal(found.target, table["label"][::2])
    np.testing.assert_array_equal(found.row, np.arange(30))


def test_rows_on_disk_give_the_same():
    prepared = made_pipeline("binary")
    one = Signature(None, prepared.raw, raw_fields)
    rows = prepared.rows["test"]
    on_disk = rows._replace(
        table=None, read=lambda index: {name: column[index] for name, column in rows.table.items()}
    )

    def ask(data):
        return evaluate.ask(lambda x: {"logits": x[:, :1]}, one, settings(), data, "test")

    first, second = ask(prepared), ask(prepared.replace(rows={**prepared.rows, "test": on_disk}))
    assert first.metrics == second.metrics
    np.testing.assert_array_equal(first.outputs["logits"], second.outputs["logits"])


@pytest.mark.parametrize("model", ["mlp_binary", "transformer_encoder"])
def test_an_export_is_evaluated_as_its_model(model, tmp_path):
    asked = tiny_settings(model, tmp_path, batch_size=5)  # 13 rows: not in fives
    prepared = fake_pipeline(asked.recipe.pipeline)
    built = build(asked, prepared, "float32")
    weights = {variable.path: variable.numpy() for variable in built.weights}
    examples = export.records.examples(prepared, registry.get(prepared.task), None)
    version = export.export(asked, prepared, weights, examples, tmp_path)
    found = evaluate.evaluate(version, asked, prepared, "test")
    table = prepared.rows["test"].table
    raw = {name: tf.constant(table[name]) for name in prepared.raw}
    logits = built(prepared.preprocess(raw), training=False)
    task = registry.get(prepared.task)
    for metric in evaluate.measures(task, prepared):
        metric.update_state(table[prepared.schema.target_name], logits)
        assert found.metrics[metric.name] == pytest.approx(float(metric.result()), rel=1e-5)
    np.testing.assert_allclose(found.outputs["logits"], logits, rtol=1e-5, atol=1e-5)


def test_data_with_one_view_is_refused(tmp_path):
    with pytest.raises(UsageError, match="one view only"):
        evaluate.evaluate_views(tmp_path, settings(), made_pipeline("binary"), "test")


def test_tensor_float_32_is_off_while_it_is_asked():
    prepared, was = made_pipeline("binary"), []

    def function(x):
        was.append(tf.config.experimental.tensor_float_32_execution_enabled())
        return {"logits": x[:, :1]}

    evaluate.ask(function, Signature(None, prepared.raw, raw_fields), settings(), prepared, "test")
    assert not any(was)
    assert tf.config.experimental.tensor_float_32_execution_enabled()


def test_views_of_a_task_without_scores_of_single_images_are_refused(tmp_path):
    prepared = fake_pipeline("cifar10")
    assert prepared.pipeline.tta_views
    over = registry.over("contrastive", prepared.pipeline, prepared.schema, {})
    prepared = prepared.replace(pipeline=over[0], schema=over[1])
    with pytest.raises(UsageError, match="task contrastive has no scores of single examples"):
        evaluate.evaluate_views(tmp_path, settings(), prepared, "test")
