"""The command `evaluate`: the report's figures again, and those of several views."""

import json

import pytest
import tensorflow as tf

from pipelines import DataError
from pipelines.storage import tfds
from tests.conftest import fake_pipeline
from tests.trainers.conftest import command
from trainers import evaluate
from trainers.errors import ArtefactError, UsageError


@pytest.mark.usefixtures("_fake_data")
def test_it_repeats_the_report(finished_runs):
    folder = finished_runs / "cifar_cnn"
    report = json.loads((folder / "report.json").read_text())
    for split in ("test", "validation"):
        [line] = command(evaluate, f"--workdir={folder}", f"--split={split}")
        assert line == {split: report[split]}
    with pytest.raises(UsageError, match="splits are train, validation, test"):
        command(evaluate, f"--workdir={folder}", "--split=dev")


@pytest.mark.usefixtures("_fake_data")
def test_views_are_averaged(finished_runs):
    folder = finished_runs / "cifar_cnn"
    [line] = command(evaluate, f"--workdir={folder}", "--views=true")
    prepared = fake_pipeline("cifar10")
    table = prepared.rows["test"].table
    model = tf.saved_model.load(str(next((folder / "export").glob("*/1"))))
    serve = model.signatures["serving_default"]
    views = prepared.pipeline.tta_views({"image": tf.constant(table["image"])})
    logits = sum(weight * serve(**view)["logits"].numpy() for weight, view in views)
    right = (logits.argmax(axis=1) == table["label"]).mean()
    assert line["test_tta"]["accuracy"] == pytest.approx(right)
    with pytest.raises(UsageError, match="true or false"):
        command(evaluate, f"--workdir={folder}", "--views=yes")


def test_data_that_is_gone_is_named_in_one_line(finished_runs, monkeypatch):
    def gone(*arguments, **options):
        raise DataError("cifar10 is not there")

    monkeypatch.setattr(tfds, "load", gone)
    with pytest.raises(DataError, match="evaluating needs the data of the run: cifar10 is not"):
        command(evaluate, f"--workdir={finished_runs / 'cifar_cnn'}")


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ArtefactError, match="holds no run"):
        command(evaluate, f"--workdir={tmp_path}")
