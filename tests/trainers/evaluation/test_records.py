"""What a run keeps of its rows comes back as it was."""

import numpy as np
import pytest

from tests.conftest import made_pipeline
from trainers.evaluation import records
from trainers.evaluation.baselines import Answers, Baselines
from trainers.evaluation.evaluate import Evaluation
from trainers.store import arrays
from trainers.tasks import registry
from zoo.spec import Field


def test_examples_are_the_first_rows_and_the_mistakes_that_are_shown():
    prepared, task = made_pipeline("classification"), registry.get("classification")
    table = prepared.rows["test"].table
    logits = 9 * np.eye(3, dtype=np.float32)[table["label"]]
    for row in (3, 41, 17):  # answered wrongly
        logits[row] = np.roll(logits[row], 1)
    test = Evaluation({}, np.arange(60), table["label"], {"logits": logits})
    kept = records.examples(prepared, task, test)
    assert kept["row"].tolist() == [*range(8), 17, 41]
    np.testing.assert_array_equal(kept["target"], table["label"][kept["row"]])
    np.testing.assert_array_equal(records.fields(kept)["x"], table["x"][kept["row"]])
    assert records.examples(prepared, task, None)["row"].tolist() == list(range(8))


def test_predictions_come_back_with_the_baselines(tmp_path):
    row, target = np.arange(4), np.array([0, 1, 1, 0])
    logits = np.array([[1.0], [2.0], [-1.0], [0.0]], np.float32)
    test = Evaluation({"loss": 0.5}, row, target, {"logits": logits})
    constant = {"test": {"logits": np.array([[0.25]], np.float32)}}
    found = Baselines([Answers("constant", "", "", constant)], "")
    arrays.write(tmp_path / "test.npz", records.predictions(test, found, "test"))
    kept = arrays.read(tmp_path / "test.npz")
    assert sorted(kept) == ["constant/logits", "outputs/logits", "row", "target"]
    again = records.evaluation_of(kept, {"loss": 0.5})
    assert again.metrics == {"loss": 0.5}
    np.testing.assert_array_equal(again.row, row)
    np.testing.assert_array_equal(again.target, target)
    np.testing.assert_array_equal(again.outputs["logits"], logits)
    of_constant = records.evaluation_of(kept, {}, "constant")
    np.testing.assert_array_equal(of_constant.outputs["logits"], np.full((4, 1), 0.25))


def test_predictions_without_a_target_have_none():
    test = Evaluation({}, np.arange(2), None, {"error": np.zeros(2)})
    kept = records.predictions(test, Baselines([], "none"), "test")
    assert sorted(kept) == ["outputs/error", "row"]
    assert records.evaluation_of(kept, {}).target is None


@pytest.mark.parametrize(
    ("field", "name", "number"),
    [
        (Field((8, 9, 3), "uint8"), "x", 24),
        (Field((8, 9, 2), "uint8"), None, 12),
        (Field((2,), "float32"), None, 12),
    ],
)
def test_images_are_shown_in_larger_numbers(field, name, number):
    prepared = made_pipeline("binary")
    prepared = prepared.replace(schema=prepared.schema._replace(raw={"x": field}))
    assert records.image_field(prepared) == name
    assert records.how_many(prepared) == number


@pytest.mark.parametrize(
    ("task", "expected"),
    [("classification", True), ("binary", True), ("multi_label", False), ("regression", False)],
)
def test_answers_are_of_classes_where_each_row_has_one(task, expected):
    """Several labels have a probability each: a softmax over them would mean nothing."""
    found = records.answers_are_of_classes(made_pipeline(task), registry.get(task))
    assert found == expected
