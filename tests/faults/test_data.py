"""Data that is missing, or not what was declared: exit code 3 and where; docs/faults.md."""

import dataclasses
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from pipelines import SPLITS, DataError, Form, Pipeline, Rows, classes
from pipelines.core.prepared import prepare
from pipelines.steps import tabular
from tests.conftest import made_pipeline, tiny_settings
from tests.pipelines.test_csv import FAULTS, GOOD
from trainers import errors
from trainers.training import run
from zoo.spec import Field


def refused(settings, code: int = 3) -> str:
    """The message of the run that these settings ask for; it leaves nothing but the lock."""
    kind = {2: errors.UsageError, 3: DataError}[code]
    with pytest.raises(kind) as caught:
        run.run(settings)
    assert errors.exit_code(caught.value) == code
    assert "\n" not in str(caught.value)
    assert os.listdir(settings.run_dir) == [".lock"]
    return str(caught.value)


@pytest.mark.parametrize(
    ("dataset", "reason"),
    [
        ("mnsit", "TFDS has no data set 'mnsit'; nearest: mnist, "),
        ("shapes:9.9.9", "cannot be loaded at version 9.9.9, only: 1.0.0"),
        ("shapes/large", "BuilderConfig large not found"),
        ("../../shapes", "TFDS has no data set '..'; nearest: none"),
    ],
)
def test_unknown_sets_of_tfds_are_refused(dataset, reason, tmp_path):
    changes = {"pipeline": "tfds_image", "dataset": dataset, "data_dir": str(tmp_path / "data")}
    assert reason in refused(tiny_settings("cifar_cnn", tmp_path / "run", **changes))
    assert not (tmp_path / "data").exists()


def csv_settings(tmp_path, content: bytes | str = GOOD, *, files: str = "", **changes):
    (tmp_path / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    changes = {"pipeline": "csv", "target": "y", "pipeline_options": {}} | changes
    files = files or str(tmp_path / "t.csv")
    return tiny_settings("mlp", tmp_path / "run", data_files=files, **changes)


@pytest.mark.parametrize("typo", ["tarin", "dev", "Test"])
def test_unknown_splits_are_refused(typo, tmp_path):
    settings = csv_settings(tmp_path, files=f"train={tmp_path}/t.csv,{typo}={tmp_path}/t.csv")
    assert "the splits are train, validation, test" in refused(settings)


@pytest.mark.parametrize("fractions", [(0.0, 0.2), (0.1, 1.5), (0.6, 0.6), (-0.1, 0.2)])
def test_fractions_that_leave_a_split_empty_are_refused(fractions, tmp_path):
    options = dict(zip(("validation", "test"), fractions, strict=True))
    settings = csv_settings(tmp_path, pipeline_options=options)
    assert f"received {fractions[0]} and {fractions[1]}" in refused(settings)


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_table_stops_the_run_with_file_and_line(fault, tmp_path):
    assert "t.csv" in refused(csv_settings(tmp_path, FAULTS[fault][0]))


@pytest.mark.parametrize("change", [{"target": "yy"}, {"pipeline_options": {"ignore": "zz"}}])
def test_unknown_columns_are_refused(change, tmp_path):
    assert "; nearest: " in refused(csv_settings(tmp_path, **change))


@pytest.mark.usefixtures("_unchecked_export")
def test_folder_of_a_refused_run_serves_the_corrected_one(tmp_path):
    lines = GOOD.splitlines(keepends=True)
    damaged = csv_settings(tmp_path, b"".join([*lines[:7], b"1,k0,maybe\n", *lines[8:]]))
    assert "t.csv:8: column 'y': 'maybe' is not a number" in refused(damaged)
    assert run.run(csv_settings(tmp_path))["test"]


def test_tables_without_rows_to_learn_from_are_refused(tmp_path):
    assert "has a header and no rows" in refused(csv_settings(tmp_path, "x,c,y\n"))
    blank = "x,c,y\n" + "".join(f"{i}.5,k{i % 3},\n" for i in range(40))
    assert "target y is missing in every row" in refused(csv_settings(tmp_path, blank))


def own(monkeypatch, change=lambda split, table: table) -> None:
    """Gives runs a data set that its author has written, with a fault in its tables."""
    prepared = made_pipeline("classification")

    def read():
        rows = {}
        for split in SPLITS:
            table = change(split, {k: v.copy() for k, v in prepared.rows[split].table.items()})
            if table is not None:
                fields = {"x": Field((2,), "float32"), "label": Field((), "int64")}
                rows[split] = Rows(len(table["x"]), fields, "label", table=table)
        return rows, prepared.schema

    made = dataclasses.replace(prepared.pipeline, read=read)
    monkeypatch.setattr(pipelines, "get", lambda name, **options: made)


def with_value(split: str, name: str, row, value):
    """Puts a value into a table, in that split alone; floats where it is a fraction."""

    def change(read: str, table):
        if read == split:
            if isinstance(value, float):
                table[name] = table[name].astype(np.float64 if name == "label" else np.float32)
            table[name][row] = value
        return table

    return change


def cut(split: str, name: str, number: int):
    return lambda read, table: table | {name: table[name][:number]} if read == split else table


_ROW = "example 7"
OWN = {
    "label too high": (with_value("train", "label", 7, 3), f"train: label 3 of {_ROW} is not in"),
    "label below 0": (with_value("test", "label", 7, -1), f"test: label -1 of {_ROW} is not in 0"),
    "labels in fractions": (with_value("train", "label", 0, 0.5), "float64 (), such as 0.5; expe"),
    "NaN": (with_value("validation", "x", (7, 1), np.nan), f"validation: x of {_ROW} is not fin"),
    "infinity": (with_value("train", "x", (7, 0), np.inf), f"train: x of {_ROW} is not finite"),
    "a label missing": (cut("train", "label", 59), "train: label has 59 values for 60 examples"),
    "no training examples": (cut("train", "x", 0), "made: no examples in train"),
    "no validation examples": (cut("validation", "x", 0), "made: no examples in validation"),
    "no test examples": (cut("test", "x", 0), "made: no examples in test"),
    "other width": (
        lambda s, t: t | {"x": t["x"][:, :1]},
        "x is float32 (1,), made expects float32 (2,)",
    ),
    "other type": (
        lambda s, t: t | {"x": t["x"].astype(np.int32)},
        "x is int32 (2,), made expects float32 (2,)",
    ),
    "no such column": (
        lambda s, t: t | {"z": t.pop("x"), "x": t["label"]},
        "x is int64 (), made expects float32 (2,)",
    ),
}


@pytest.mark.parametrize("fault", OWN)
def test_data_set_that_is_not_as_declared_is_refused(fault, tmp_path, monkeypatch):
    change, reason = OWN[fault]
    own(monkeypatch, change)
    assert reason in refused(tiny_settings("linear", tmp_path))


def test_too_few_examples_and_no_validation_are_refused(tmp_path, monkeypatch):
    own(monkeypatch)
    settings = tiny_settings("linear", tmp_path, batch_size=61)
    assert "--batch_size=61 is more than the 60 training examples" in refused(settings, code=2)
    own(monkeypatch, lambda split, table: None if split == "validation" else table)
    reason = refused(tiny_settings("linear", tmp_path))
    assert reason == "made has no validation; it has train, test"


@pytest.mark.usefixtures("_unchecked_export")
def test_data_set_without_a_fault_trains(tmp_path, monkeypatch):
    own(monkeypatch)
    assert run.run(tiny_settings("linear", tmp_path, precision="float32"))["test"]


def test_numbers_that_preprocess_takes_as_missing_are_accepted():
    """NaN and infinities of a table become the mean and a flag, as their cells would."""
    x = np.array([1, np.nan, 3, np.inf, -np.inf, 2], np.float32)
    fields = {"x": Field((), "float32"), "label": Field((), "int64")}
    rows = Rows(6, fields, "label", table={"x": x, "label": np.arange(6) % 2})
    pipeline = Pipeline(
        name="own",
        source="own",
        forms={"vector": Form(fit=tabular.fit_columns, make_preprocess=tabular.encode)},
    )
    schema = classes({"x": fields["x"]}, ("a", "b"))
    prepared = prepare(pipeline, schema, dict.fromkeys(SPLITS, rows))
    features = prepared.preprocess({"x": tf.constant(x)})["features"].numpy()
    assert np.isfinite(features).all()
    np.testing.assert_array_equal(features[:, 1], [0, 1, 0, 1, 1, 0])
    np.testing.assert_allclose(features[[1, 3, 4], 0], 0.0)


@pytest.mark.parametrize("vocab_size", [6, 8])
def test_vocabulary_too_small_for_the_characters_is_refused(vocab_size, tmp_path):
    lines = [f"{'ab'[i % 2]}\t{chr(0x4E00 + i)} {chr(0x5E00 + i)}" for i in range(60)]
    pathlib.Path(tmp_path, "t.tsv").write_text("\n".join(lines), encoding="utf-8")
    options = {"vocab_size": vocab_size}
    changes = {"pipeline": "text_lines", "data_files": str(tmp_path / "t.tsv")}
    settings = tiny_settings(
        "transformer_encoder", tmp_path / "run", **changes, pipeline_options=options
    )
    assert f"vocab_size={vocab_size} is too small for these texts" in refused(settings)


def test_shifts_as_wide_as_the_image_are_refused(tmp_path, built_in_data):
    changes = {"pipeline": "tfds_image", "dataset": "shapes", "data_dir": built_in_data}
    settings = tiny_settings("cifar_cnn", tmp_path, **changes, pipeline_options={"padding": 32})
    assert "padding=32 must be less than the images' 32 pixels" in refused(settings)
