"""Declarations: plain values that read no file and import no TensorFlow."""

import dataclasses

import pytest

import pipelines
from pipelines import DataError, Form, Pipeline, classes
from pipelines.storage import tfds
from tests.conftest import run_python
from zoo.spec import Field

RAW = {"x": Field((), "float32")}


def test_classes_of_two_are_binary_and_more_are_a_classification():
    two, three = classes(RAW, ("no", "yes")), classes(RAW, ("a", "b", "c"), target="kind")
    assert (two.task, two.outputs, two.target) == ("binary", 1, Field((), "int64", ids=2))
    assert (three.task, three.outputs, three.target_name) == ("classification", 3, "kind")
    assert three.target.ids == 3
    assert two.class_names == ("no", "yes")


def test_pipeline_cannot_be_changed_in_place():
    pipeline = Pipeline(name="own", source="own", forms={"x": Form(preprocess=dict)})
    with pytest.raises(dataclasses.FrozenInstanceError):
        pipeline.name = "other"
    assert pipeline.cut is pipeline.augment is pipeline.example is pipeline.fit_target is None


def test_pipelines_package_is_imported_without_tensorflow():
    program = (
        "import sys, pipelines; pipelines.listing(); pipelines.Schema; "
        "print([name for name in ('tensorflow', 'keras', 'numpy') if name in sys.modules])"
    )
    assert run_python("-c", program).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("csv", {"data_files": "gone.csv", "target": "y"}, "gone.csv is not a file"),
        ("image_folder", {"data_files": "gone"}, "gone does not exist"),
        ("image_table", {"data_files": "gone.csv", "target": "y"}, "gone.csv is not a file"),
        ("text_folder", {"data_files": "gone"}, "gone does not exist"),
        ("text_table", {"data_files": "gone.csv", "target": "y"}, "gone.csv is not a file"),
        ("text_lines", {"data_files": "gone.tsv"}, "gone.tsv is not a file"),
        ("tfds_table", {"dataset": "penguin"}, "nearest: penguins"),
        ("tfds_text", {"dataset": "imdb_review"}, "nearest: imdb_reviews"),
        ("tfds_image", {"dataset": "mnsit"}, "nearest: mnist"),
    ],
)
def test_declaration_of_what_does_not_exist_is_refused_when_it_is_read(
    name, options, reason, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    pipeline = pipelines.get(name, **options)
    assert pipeline.name == name
    assert pipeline.forms
    with pytest.raises(DataError, match=reason):
        tfds.load(pipeline, data_dir=str(tmp_path / "data"))
    assert list(tmp_path.iterdir()) == []


def test_a_class_name_that_is_not_utf_8_is_refused():
    """As of a file whose name is Latin-1: the exported model could not hold it."""
    with pytest.raises(DataError, match=r"'caf\\udce9' is not UTF-8: rename its file or folder"):
        classes({}, ("tea", "caf\udce9"))
