"""Stored examples as rows: in memory or by number, and refused where they are not as declared."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets

import pipelines
from pipelines import DataError, Pipeline, Schema, classes, shapes
from pipelines.core.prepared import prepare
from pipelines.core.stream import stream
from pipelines.steps import text
from pipelines.storage import shards, tfds
from pipelines.storage.builders import find_builder, is_prepared
from tests.pipelines.tables import loaded
from zoo.spec import Field

ARRAY_RECORD = tensorflow_datasets.core.file_adapters.FileFormat.ARRAY_RECORD


@pytest.mark.parametrize(
    "name", [pytest.param("shapes", marks=pytest.mark.slow), "breast_cancer", "digits"]
)
def test_load_of_built_in_sets_is_as_declared_each_time(name, built_in_data):
    pipeline, rows, schema = tfds.load(pipelines.get(name), data_dir=built_in_data)
    assert pipeline.source == f"{name}:1.0.0"
    assert schema == pipeline.schema
    prepared = prepare(pipeline, schema, rows)
    for split in prepared.rows.values():
        labels = np.bincount(split.table["label"])
        assert len(labels) == len(schema.class_names)
        assert labels.min() > 0
    again = tfds.load(pipelines.get(name), data_dir=built_in_data)[1]
    for split, part in rows.items():
        for column, values in part.table.items():
            np.testing.assert_array_equal(values, again[split].table[column])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"source": "shaps"}, "shapes"),
        ({"source": "shapes:9.9.9"}, "9.9.9"),
        ({"splits": {"train": "trian"}}, "shapes:1.0.0 has no 'trian'"),
        ({"splits": {"train": "train[:200]", "test": "train[100%:]"}}, "has no examples"),
    ],
)
def test_load_refuses_unknown_sets_versions_and_splits(change, reason, built_in_data):
    changed = dataclasses.replace(pipelines.get("shapes"), **change)
    with pytest.raises(DataError, match=reason):
        tfds.load(changed, data_dir=built_in_data)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"raw": {"image": Field((28, 28, 1), "uint8")}},
            r"image is uint8 \(32, 32, 3\), shapes expects uint8 \(28, 28, 1\)",
        ),
        ({"raw": {"picture": Field((32, 32, 3), "uint8")}}, r"has no \['picture'\]"),
        ({"target_name": "kind"}, r"has no \['kind'\]; it has \['image', 'label'\]"),
        ({"class_names": ("a", "b")}, "classes are"),
    ],
)
def test_load_refuses_other_features_than_declared(change, reason, built_in_data):
    pipeline = pipelines.get("shapes")
    schema = pipeline.schema._replace(**change)
    with pytest.raises(DataError, match=reason):
        tfds.load(dataclasses.replace(pipeline, schema=schema), data_dir=built_in_data)


def test_load_checks_the_targets_of_files_of_one_s_own():
    fields = {"x": Field((), "float32"), "label": Field((), "int64")}
    table = {"x": np.zeros(2, np.float32), "label": np.array([0, 2])}
    rows = pipelines.Rows(2, fields, "label", table=table)
    schema = classes({"x": fields["x"]}, ("a", "b"))
    pipeline = Pipeline(
        name="own", source="own.csv", read=lambda: ({"test": rows}, schema), forms={}
    )
    with pytest.raises(DataError, match=r"own.csv test: label 2 of example 1 is not in 0\.\.1"):
        tfds.load(pipeline)


@pytest.mark.parametrize("form", ["read", "take"])
def test_load_refuses_rows_whose_content_nothing_tells(form):
    """They would resume silently on other data: only their number would be compared."""
    schema = Schema({"x": Field((), "float32")}, "regression", Field((), "float32"))
    rows = pipelines.Rows(9, {"x": Field((), "float32")}, None, **{form: lambda index: {}})

    def declared(rows):
        return Pipeline(
            name="mine", source="mine", read=lambda: ({"train": rows}, schema), forms={}
        )

    with pytest.raises(DataError, match=r"mine: its train rows .* have no identity"):
        tfds.load(declared(rows))
    tfds.load(declared(rows._replace(identity="0123456789abcdef")))


def test_load_takes_rows_without_a_target(built_in_data):
    schema = Schema({"image": Field((32, 32, 3), "uint8")}, "regression", None)
    pipeline = dataclasses.replace(pipelines.get("shapes"), schema=schema)
    rows = tfds.load(pipeline, data_dir=built_in_data)[1]
    assert rows["test"].target is None
    assert set(rows["test"].table) == {"image"}


def copy_of(built_in_data, tmp_path) -> pathlib.Path:
    tfds.load(pipelines.get("shapes"), data_dir=built_in_data)
    shutil.copytree(pathlib.Path(built_in_data) / "shapes", tmp_path / "shapes")
    return tmp_path / "shapes" / "1.0.0"


@pytest.mark.parametrize("cut", [0, 100_003])
def test_load_refuses_a_truncated_file(cut, built_in_data, tmp_path):
    shard = next(copy_of(built_in_data, tmp_path).glob("shapes-train*"))
    shard.write_bytes(shard.read_bytes()[:cut])
    with pytest.raises(DataError, match=f"{shard}"):
        tfds.load(pipelines.get("shapes"), data_dir=str(tmp_path))


def test_load_refuses_other_counts_than_declared(built_in_data, tmp_path):
    folder = copy_of(built_in_data, tmp_path)
    info = json.loads((folder / "dataset_info.json").read_text())
    for split in info["splits"]:
        split["shardLengths"] = [str(int(n) + 10) for n in split["shardLengths"]]
    (folder / "dataset_info.json").write_text(json.dumps(info))
    with pytest.raises(DataError, match=r"expected .* examples, received"):
        tfds.load(pipelines.get("shapes"), data_dir=str(tmp_path))


@pytest.fixture(scope="module")
def both_formats(tmp_path_factory) -> pathlib.Path:
    """240 drawn images as tfrecord files in one folder, as array_record files in another."""
    folder = tmp_path_factory.mktemp("formats")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "_NUM_IMAGES", {"train": 200, "test": 40})
        find_builder("shapes", str(folder / "table")).download_and_prepare()
        records = find_builder("shapes", str(folder / "records"))
        records.download_and_prepare(file_format=ARRAY_RECORD)
    return folder


def test_load_reads_by_number_what_does_not_fit_in_memory(both_formats, monkeypatch):
    """The same batches from array_record files on disk as from a table."""

    def batches(folder: str, training: bool):
        prepared = loaded(pipelines.get("shapes", augment=True), both_formats / folder)
        options = {"batch_size": 16, "training": training, "seed": 1, "start_step": 2}
        split = "train" if training else "test"
        assert (prepared.rows[split].table is None) == (folder == "records")
        return list(stream(prepared, split, **options).take(3).as_numpy_iterator())

    expected = [batches("table", training) for training in (True, False)]
    monkeypatch.setattr(tfds, "RAM_BUDGET", 1000)
    found = [batches("records", training) for training in (True, False)]
    tf.nest.map_structure(np.testing.assert_array_equal, expected, found)


def test_load_names_rows_on_disk_by_what_their_files_hold(both_formats, monkeypatch):
    monkeypatch.setattr(tfds, "RAM_BUDGET", 1000)
    folder = both_formats / "records"
    _, rows, _ = tfds.load(pipelines.get("shapes"), data_dir=str(folder))
    builder = find_builder("shapes", str(folder))
    assert rows["test"].identity == shards.identity(builder, "test")
    assert len({part.identity for part in rows.values()}) == 3
    assert rows["test"].cache == str(folder / "shapes" / "1.0.0")


def test_load_refuses_sizes_before_it_walks_any_file(both_formats, monkeypatch):
    monkeypatch.setattr(shards, "check_files", lambda *_: pytest.fail("walked the files"))
    monkeypatch.setattr(tfds, "RAM_BUDGET", 180 * 32 * 32 * 3)  # 8 bytes of each label too many
    message = (
        r"shapes:1.0.0 train\[:90%\] has 0.0 GiB, more than 0, and is stored as tfrecord: prepare "
        "it into another --data_dir with python -m pipelines.fetch shapes:1.0.0 "
        "--file_format=array_record"
    )
    with pytest.raises(DataError, match=message):
        tfds.load(pipelines.get("shapes"), data_dir=str(both_formats / "table"))


class ZooTestLines(tensorflow_datasets.core.GeneratorBasedBuilder):
    """Texts of very different lengths, each with a label."""

    VERSION = tensorflow_datasets.core.Version("1.0.0")
    BUILT_IN = True  # needs no network

    def _info(self):
        features = {
            "text": tensorflow_datasets.features.Text(),
            "label": tensorflow_datasets.features.ClassLabel(names=["a", "b"]),
        }
        return self.dataset_info_from_configs(
            features=tensorflow_datasets.features.FeaturesDict(features), disable_shuffling=True
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        return {"train": self._generate_examples(120), "test": self._generate_examples(30)}

    def _generate_examples(self, number):
        for i in range(number):
            yield i, {"text": " ".join(["word"] * (1 + i * 7 % 40)), "label": i % 2}


def lines(**options) -> Pipeline:
    return Pipeline(
        name="lines",
        source="zoo_test_lines:1.0.0",
        splits={"train": "train[:80%]", "validation": "train[80%:]", "test": "test"},
        schema=classes({"text": Field((), "string")}, ("a", "b")),
        forms={"pieces": text.pieces_form(60, 24)},
        **options,
    )


@pytest.fixture(scope="module")
def text_formats(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("texts")
    find_builder("zoo_test_lines", str(folder / "table")).download_and_prepare()
    records = find_builder("zoo_test_lines", str(folder / "records"))
    records.download_and_prepare(file_format=ARRAY_RECORD)
    return folder


def test_size_of_texts_is_that_of_their_stored_bytes(text_formats):
    """Between what the words take and twice that; not eight bytes for each text."""
    builder = find_builder("zoo_test_lines", str(text_formats / "table"))
    fields = {"text": Field((), "string"), "label": Field((), "int64")}
    words = sum(5 * (1 + i * 7 % 40) for i in range(120))
    whole = tfds._size(builder, "train", 120, fields)
    assert words < whole < 2 * words
    assert tfds._size(builder, "train[:50%]", 60, fields) == pytest.approx(whole / 2, rel=0.01)
    fixed = {"image": Field((8, 4), "uint8"), "label": Field((), "int64")}
    assert tfds._size(builder, "train", 120, fixed) == 120 * (32 + 8)


def test_texts_from_disk_make_the_batches_of_those_in_memory(text_formats, monkeypatch):
    """Lengths, order and widths too: what was tokenised lies beside the files."""

    def batches(folder: str) -> list:
        prepared = loaded(lines(), text_formats / folder)
        assert (prepared.rows["train"].table is None) == (folder == "records")
        data = stream(prepared, "train", batch_size=8, training=True, seed=0)
        test = stream(prepared, "test", batch_size=8, training=False, seed=0)
        return [*data.take(26).as_numpy_iterator(), *test.as_numpy_iterator()]

    expected = batches("table")
    monkeypatch.setattr(tfds, "RAM_BUDGET", 1000)
    found = batches("records")
    tf.nest.map_structure(np.testing.assert_array_equal, found, expected)
    assert len({x["tokens"].shape[1] for x, _, _ in found}) > 1
    folder = text_formats / "records" / "zoo_test_lines" / "1.0.0"
    assert len(list(folder.glob("arranged-*"))) == 2  # of train and test; none of validation yet
    tf.nest.map_structure(np.testing.assert_array_equal, batches("records"), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "rows"),
    [
        ("cifar10", {}, {"train": 45_000, "validation": 5_000, "test": 10_000}),
        (
            "tfds_image",
            {"dataset": "mnist"},
            {"train": 54_000, "validation": 6_000, "test": 10_000},
        ),
    ],
)
def test_load_of_real_data_is_as_declared(name, options, rows):
    pipeline = pipelines.get(name, **options)
    if not is_prepared(find_builder(pipeline.source, None)):
        pytest.skip(f"{pipeline.source} is not prepared in TFDS_DATA_DIR")
    prepared = loaded(pipeline)
    assert {split: part.num_rows for split, part in prepared.rows.items()} == rows
    x, _, _ = next(iter(stream(prepared, "train", batch_size=256, training=True, seed=0)))
    assert -1 <= float(tf.reduce_min(x["image"])) < -0.9
    assert 0.9 < float(tf.reduce_max(x["image"])) <= 1
