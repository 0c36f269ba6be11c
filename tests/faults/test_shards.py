"""Damaged files of a prepared set: exit code 3 and the file's name; docs/faults.md, 16 to 20."""

import json
import os
import pathlib
import shutil
import struct

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from array_record.python import array_record_module

import pipelines
from pipelines import SPLITS, DataError, Form, Pipeline, classes
from pipelines.core.prepared import prepare
from pipelines.core.stream import stream
from pipelines.steps import image
from pipelines.storage import tfds as storage
from pipelines.storage.builders import ensure_prepared, find_builder
from tests.conftest import tiny_settings
from tests.faults.deaths import At
from trainers import errors
from trainers.store import checkpoint
from trainers.training import run
from zoo.spec import Field

FORMATS = ("tfrecord", "array_record")
_NUM_SHARDS, _NUM_ROWS = 4, {"train": 120, "test": 40}


class ZooTestShards(tfds.core.GeneratorBasedBuilder):
    """Small images of two kinds, in four files a split."""

    VERSION = tfds.core.Version("1.0.0")
    BUILT_IN = True  # needs no network

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(20, 20, 3)),
            "label": tfds.features.ClassLabel(names=["day", "night"]),
        }
        return tfds.core.DatasetInfo(
            builder=self, description=__doc__, features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager) -> dict:
        del dl_manager
        return {split: self._generate_examples(split) for split in _NUM_ROWS}

    def _generate_examples(self, split):
        random = np.random.default_rng(len(split))
        for i in range(_NUM_ROWS[split]):
            yield i, {"image": random.integers(0, 256, (20, 20, 3), np.uint8), "label": i % 2}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> dict[str, pathlib.Path]:
    """A data folder for each format."""
    folders = {}
    for name in FORMATS:
        folders[name] = tmp_path_factory.mktemp(name)
        config = tfds.download.DownloadConfig(num_shards=_NUM_SHARDS)
        builder = find_builder("zoo_test_shards", str(folders[name]))
        builder.download_and_prepare(file_format=name, download_config=config)
        assert builder.info.splits["train"].shard_lengths == [30] * _NUM_SHARDS
    return folders


def copied(prepared, name: str, tmp_path) -> pathlib.Path:
    """The second file of the training split, in a copy of the data folder."""
    shutil.copytree(prepared[name], tmp_path / "data")
    [path] = (tmp_path / "data").glob(f"*/*/*-train.{name}-00001-of-00004")
    return path


def settings_on(tmp_path, **changes):
    changes = {"pipeline": "tfds_image", "dataset": "zoo_test_shards", "batch_size": 8} | changes
    return tiny_settings("cifar_cnn", tmp_path / "run", data_dir=str(tmp_path / "data"), **changes)


def record_ends(path: pathlib.Path) -> list[int]:
    """Where each record of a TFRecord file ends: 8 bytes length, 4 CRC, the data, 4 CRC."""
    content, ends, at = path.read_bytes(), [], 0
    while at < len(content):
        at += 16 + struct.unpack("<Q", content[at : at + 8])[0]
        ends.append(at)
    return ends


def cut(path: pathlib.Path, at: int) -> None:
    path.write_bytes(path.read_bytes()[:at])


def flip(path: pathlib.Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def other_set(path: pathlib.Path) -> None:
    """A TFRecord file as whole as can be, with thirty examples of something else."""
    feature = tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))
    example = tf.train.Example(features=tf.train.Features(feature={"age": feature}))
    with tf.io.TFRecordWriter(str(path)) as writer:
        for _ in range(30):
            writer.write(example.SerializeToString())


def of_test(path: pathlib.Path) -> None:
    """The file of another split, with ten examples."""
    shutil.copy(path.with_name(path.name.replace("train", "test")), path)


def twice(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes() * 2)


_TEXT = b"this is not a file of records\n" * 9000
_ALL = "expected 30 examples, received {}"
DAMAGE = {
    ("tfrecord", "empty"): (lambda path: cut(path, 0), _ALL.format(0)),
    ("tfrecord", "cut between records"): (lambda p: cut(p, record_ends(p)[14]), _ALL.format(15)),
    ("tfrecord", "cut in a length"): (
        lambda p: cut(p, record_ends(p)[14] + 5),
        _ALL.format(15),
    ),
    ("tfrecord", "cut in a record"): (
        lambda p: cut(p, record_ends(p)[14] + 50),
        "example 15: trunc",
    ),
    ("tfrecord", "bit of a record"): (
        lambda p: flip(p, record_ends(p)[6] + 99),
        "example 7: corrup",
    ),
    ("tfrecord", "bit of a length"): (
        lambda p: flip(p, record_ends(p)[6] + 1),
        "example 7: corrup",
    ),
    ("tfrecord", "no records"): (lambda p: p.write_bytes(_TEXT), ".*Is this even a TFRecord"),
    ("tfrecord", "another set"): (other_set, "example 0: .*image.* is required"),
    ("tfrecord", "another split"): (of_test, _ALL.format(10)),
    ("tfrecord", "too many"): (twice, _ALL.format(60)),
    ("tfrecord", "missing"): (lambda path: path.unlink(), "no such file"),
    ("array_record", "empty"): (lambda path: cut(path, 0), _ALL.format(0)),
    ("array_record", "cut at a block"): (lambda path: cut(path, 65_536), _ALL.format(0)),
    ("array_record", "cut in a block"): (lambda path: cut(path, 100_001), _ALL.format(0)),
    ("array_record", "bit of a record"): (
        lambda path: flip(path, 9_000),
        "example [0-9]+: Corrupted",
    ),
    ("array_record", "bit of the end"): (lambda path: flip(path, -65_450), _ALL.format(0)),
    ("array_record", "no records"): (lambda path: path.write_bytes(_TEXT), _ALL.format(0)),
    ("array_record", "another split"): (of_test, _ALL.format(10)),
    ("array_record", "missing"): (lambda path: path.unlink(), "no such file"),
}


@pytest.mark.parametrize("fault", DAMAGE, ids=" ".join)
def test_damaged_file_is_named_and_nothing_else_is_written(fault, prepared, tmp_path):
    path, (damage, reason) = copied(prepared, fault[0], tmp_path), DAMAGE[fault]
    damage(path)
    before = sorted(tmp_path.joinpath("data").rglob("*"))
    with pytest.raises(DataError, match=f"{path}: {reason}.*prepare the set again") as caught:
        run.run(settings_on(tmp_path))
    assert errors.exit_code(caught.value) == 3
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path / "run") == [".lock"]
    assert sorted(tmp_path.joinpath("data").rglob("*")) == before


@pytest.mark.parametrize(
    "content", [b"", b'{"name": "zoo', b"\xff\xfe"], ids=["empty", "cut", "not text"]
)
@pytest.mark.parametrize("name", FORMATS)
def test_damaged_description_is_named(name, content, prepared, tmp_path):
    description = copied(prepared, name, tmp_path).with_name("dataset_info.json")
    description.write_bytes(content)
    with pytest.raises(DataError, match=f"{description} is damaged: remove its folder") as caught:
        run.run(settings_on(tmp_path))
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path / "run") == [".lock"]


def test_description_with_other_counts_than_the_files_is_refused(prepared, tmp_path):
    path = copied(prepared, "tfrecord", tmp_path)
    description = path.with_name("dataset_info.json")
    info = json.loads(description.read_text())
    info["splits"][0]["shardLengths"][1] = "29"
    description.write_text(json.dumps(info))
    with pytest.raises(DataError, match=f"{path}: expected 29 examples, received 30"):
        run.run(settings_on(tmp_path))


def test_damaged_file_of_a_table_is_named(prepared, tmp_path):
    """tfds_table reads its files by itself."""
    path = copied(prepared, "tfrecord", tmp_path)
    flip(path, record_ends(path)[6] + 99)
    options = {"dataset": "zoo_test_shards", "data_dir": str(tmp_path / "data")}
    with pytest.raises(DataError, match=f"{path}: example 7: corrupted"):
        storage.load(pipelines.get("tfds_table", **options))


_AT_ONCE = [fault for fault in DAMAGE if "array" in fault[0] and "of a record" not in fault[1]]


@pytest.mark.parametrize("fault", _AT_ONCE, ids=" ".join)
def test_files_too_large_for_memory_are_opened_before_the_first_step(
    fault, prepared, tmp_path, monkeypatch
):
    path, (damage, reason) = copied(prepared, fault[0], tmp_path), DAMAGE[fault]
    damage(path)
    monkeypatch.setattr(storage, "RAM_BUDGET", 1000)
    with pytest.raises(DataError, match=f"{path}: {reason}"):
        run.run(settings_on(tmp_path))
    assert os.listdir(tmp_path / "run") == [".lock"]


@pytest.mark.usefixtures("_unchecked_export")
def test_file_damaged_while_it_is_read_stops_a_run_that_can_be_continued(
    prepared, tmp_path, monkeypatch
):
    path = copied(prepared, "array_record", tmp_path)
    whole = path.read_bytes()
    monkeypatch.setattr(storage, "RAM_BUDGET", 1000)
    settings = settings_on(tmp_path, steps_per_execution=1, checkpoint_minutes=0.0)
    damage = At("on_epoch_begin", lambda _: flip(path, 9_000))
    with pytest.raises(DataError, match=f"{path}: example [0-9]+: Corrupted") as caught:
        run.run(settings, callbacks=[damage])
    assert errors.exit_code(caught.value) == 3
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "export").exists()
    path.write_bytes(whole)
    run.run(settings)
    assert checkpoint.steps(tmp_path / "run" / "checkpoints")[-1] == 2 * (108 // 8)


def swap_two_records(path: pathlib.Path) -> None:
    """Two examples of one file in each other's place: whole, valid, and of the same size."""
    reader = array_record_module.ArrayRecordReader(str(path))
    records = [reader.read([i])[0] for i in range(reader.num_records())]
    reader.close()
    size = path.stat().st_size
    records[3], records[4] = records[4], records[3]
    writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
    for record in records:
        writer.write(record)
    writer.close()
    assert path.stat().st_size == size


class StopAfterOne(keras.callbacks.Callback):
    """Ends the run after its first epoch, which is saved."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch:
            raise errors.InterruptedRunError("stopped", 143)


def test_run_on_files_of_the_same_size_with_other_content_is_refused(
    prepared, tmp_path, monkeypatch
):
    """Sets read by number are not in memory: only their files tell."""
    path = copied(prepared, "array_record", tmp_path)
    monkeypatch.setattr(storage, "RAM_BUDGET", 1000)
    settings = settings_on(tmp_path, epochs=2)
    with pytest.raises(errors.InterruptedRunError):
        run.run(settings, callbacks=[StopAfterOne()])
    swap_two_records(path)
    with pytest.raises(errors.ArtefactError, match="the data is not that of"):
        run.run(settings)


class ZooTestCodes(ZooTestShards):
    """The same with numbers for labels, three of them."""

    def _info(self) -> tfds.core.DatasetInfo:
        features = {"image": tfds.features.Image(shape=(20, 20, 3)), "label": np.int64}
        return tfds.core.DatasetInfo(
            builder=self, description=__doc__, features=tfds.features.FeaturesDict(features)
        )

    def _generate_examples(self, split):
        for i, example in super()._generate_examples(split):
            yield i, example | {"label": 2 if i == 71 else i % 2}


@pytest.mark.parametrize("in_memory", [True, False])
def test_labels_of_unknown_classes_are_named_by_their_example(in_memory, tmp_path, monkeypatch):
    """On a GPU they would silently be NaN."""
    schema = classes({"image": Field((20, 20, 3), "uint8")}, ("day", "night"))
    declared = Pipeline(
        name="codes",
        source="zoo_test_codes",
        splits=dict.fromkeys(SPLITS, "train"),
        schema=schema,
        forms={"image": Form(preprocess=image.scale)},
    )
    builder = find_builder("zoo_test_codes", str(tmp_path))
    ensure_prepared(builder, "array_record")
    labels = [int(row["label"]) for row in builder.as_data_source(split="train")]
    reason = f"zoo_test_codes:1.0.0 train: label 2 of example {labels.index(2)} is not in 0..1$"
    if in_memory:
        with pytest.raises(DataError, match=reason):
            storage.load(declared, data_dir=str(tmp_path))
        return
    monkeypatch.setattr(storage, "RAM_BUDGET", 1000)
    pipeline, rows, schema = storage.load(declared, data_dir=str(tmp_path))
    prepared = prepare(pipeline, schema, rows)
    with pytest.raises(DataError, match=reason), errors.data_errors():
        list(stream(prepared, "train", batch_size=6, training=False, seed=0))
