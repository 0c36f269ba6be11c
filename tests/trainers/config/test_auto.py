"""--model=auto: the data's first choice, or what the run in the folder recorded."""

import pathlib

import pytest

import pipelines
from trainers.config import flags, packages
from trainers.config.settings import resolve
from trainers.errors import ArtefactError, UsageError
from trainers.store import sealed

REQUIRED = {
    **{name: {"data_files": "a.tsv"} for name in ("text_lines", "text_folder", "text_table")},
    "tfds_text": {"dataset": "imdb_reviews"},
}
CSV = {"pipeline": "csv", "data_files": "a/houses.csv", "target": "price"}


def test_auto_is_the_tabular_model_for_tables_everywhere(caplog):
    with caplog.at_level("INFO"):
        settings = resolve("auto", CSV)
    assert settings == resolve("tabular", CSV)
    assert str(settings.run_dir) == "runs/tabular-csv-houses-s0"
    assert "--model=auto: tabular, the first choice for csv" in caplog.text
    asked = ["run", "--model=auto", *(f"--{name}={value}" for name, value in CSV.items())]
    assert flags.command_line(flags.parse(asked))[0] == "--model=tabular"
    # A model that is named needs no word.
    caplog.clear()
    resolve("tabular", CSV)
    assert not caplog.text


@pytest.mark.parametrize(
    "name", [n for n in pipelines.names() if "num_ngrams" in pipelines.describe(n).options]
)
def test_auto_is_the_model_of_ngrams_for_every_set_of_texts(name):
    assert resolve("auto", {"pipeline": name, **REQUIRED.get(name, {})}).model == "text_ngram"


def test_auto_is_an_encoder_for_texts_without_labels(caplog):
    with caplog.at_level("INFO"):
        settings = resolve("auto", {"pipeline": "imdb", "task": "masked_lm"})
    assert settings.model == "bert_mini"
    assert "--model=auto: bert_mini, the first choice for task masked_lm" in caplog.text
    for task, model in (("word_vectors", "word2vec"), ("cooccurrence", "glove")):
        assert resolve("auto", {"pipeline": "library_text", "task": task}).model == model


def test_auto_is_pretrained_for_photographs_where_its_weights_are_installed(monkeypatch, caplog):
    photos = {"pipeline": "image_folder", "data_files": "photos"}
    with caplog.at_level("INFO"):
        monkeypatch.setattr(packages, "path", lambda model: None)
        sized = {"batch_size": 0, "epochs": 0}  # by the number of photographs
        assert resolve("auto", photos) == resolve("speed_cnn", {**photos, **sized})
        assert resolve("auto", {**photos, "epochs": 3}).recipe.epochs == 3
        unlabelled = {**photos, "task": "masked_image"}
        assert resolve("auto", unlabelled).model == "mae"
        monkeypatch.setattr(packages, "path", lambda model: pathlib.Path("weights"))
        assert resolve("auto", photos) == resolve("efficientnet_lite2", photos)
        table = {"pipeline": "image_table", "data_files": "photos.csv", "target": "price"}
        assert resolve("auto", table) == resolve("efficientnet_lite2", table)
        assert resolve("auto", table).pipeline_options["image_size"] == 164
    assert "speed_cnn, from scratch, for image_folder" in caplog.text
    assert "pip install 'keras-tfds-zoo[pretrained]'" in caplog.text
    assert "efficientnet_lite2, trained on ImageNet, for image_folder" in caplog.text


def test_auto_in_the_folder_of_a_run_is_the_model_of_the_run(tmp_path):
    changes = {**CSV, "workdir": str(tmp_path)}
    assert resolve("auto", changes).model == "tabular"  # nothing is recorded yet
    sealed.write(tmp_path / "run.json", {"settings": {"model": "linear"}})
    assert resolve("auto", changes) == resolve("linear", changes)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ArtefactError, match=r"run\.json is damaged"):
        resolve("auto", changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "--model=auto needs the data set: --pipeline=csv"),
        (
            {"pipeline": "digits"},
            "no first choice for pipeline 'digits': it is for tables and texts .csv, .*mlp",
        ),
        ({"pipeline": "cvs"}, "no first choice for pipeline 'cvs': no such data set; all: --list"),
    ],
)
def test_auto_is_refused_where_no_model_is_obvious(changes, message):
    with pytest.raises(UsageError, match=message):
        resolve("auto", changes)
