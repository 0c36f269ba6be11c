"""Files of a prepared set: counted, identified, and damage named; whole runs: tests/faults."""

import json
import pathlib
import shutil

import pytest
import tensorflow_datasets as tfds

from pipelines import DataError, shapes
from pipelines.storage import shards
from pipelines.storage.builders import find_builder

FORMATS = ("tfrecord", "array_record")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> dict[str, pathlib.Path]:
    """A hundred drawn images in two files a split, in each format."""
    folders = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "_NUM_IMAGES", {"train": 100, "test": 10})
        for name in FORMATS:
            folders[name] = tmp_path_factory.mktemp(name)
            config = tfds.download.DownloadConfig(num_shards=2)
            find_builder("shapes", str(folders[name])).download_and_prepare(
                file_format=name, download_config=config
            )
    return folders


@pytest.fixture(params=FORMATS)
def copied(request, prepared, tmp_path) -> pathlib.Path:
    shutil.copytree(prepared[request.param], tmp_path / "data")
    return tmp_path / "data" / "shapes" / "1.0.0"


def builder_of(folder: pathlib.Path):
    return find_builder("shapes", str(folder.parents[1]))


def first_file(folder: pathlib.Path) -> pathlib.Path:
    return min(folder.glob("*-train.*"))


def test_check_files_takes_whole_files(copied):
    for split in ("train", "test", "train[:50%]", "train[90%:]"):
        shards.check_files(builder_of(copied), split)


def test_check_files_names_a_file_that_is_cut_or_missing(copied):
    file = first_file(copied)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=f"train cannot be read: {file}: .*prepare the set again"):
        shards.check_files(builder_of(copied), "train")
    file.unlink()
    with pytest.raises(DataError, match=f"{file}: no such file"):
        shards.check_files(builder_of(copied), "train[:10%]")
    shards.check_files(builder_of(copied), "test")  # none of its files


def test_identity_is_the_same_for_the_same_files(copied, tmp_path):
    first = shards.identity(builder_of(copied), "train")
    assert len(first) == 16
    assert shards.identity(builder_of(copied), "train") == first
    shutil.copytree(copied.parents[1], tmp_path / "moved")
    moved = tmp_path / "moved" / "shapes" / "1.0.0"
    assert shards.identity(builder_of(moved), "train") == first


def test_identity_changes_with_sizes_counts_splits_and_description(copied):
    file, description = first_file(copied), copied / "dataset_info.json"
    identities = [
        shards.identity(builder_of(copied), split) for split in ("train", "train[:50%]", "test")
    ]
    file.write_bytes(file.read_bytes() + b"\0")
    identities.append(shards.identity(builder_of(copied), "train"))
    file.write_bytes(file.read_bytes()[:-1])
    assert shards.identity(builder_of(copied), "train") == identities[0]

    info = json.loads(description.read_text())
    [train] = [split for split in info["splits"] if split["name"] == "train"]
    train["shardLengths"] = ["49", "51"]
    description.write_text(json.dumps(info))
    identities.append(shards.identity(builder_of(copied), "train"))
    train["shardLengths"] = ["50", "50"]
    info["description"] = "Other images."
    description.write_text(json.dumps(info))
    identities.append(shards.identity(builder_of(copied), "train"))
    assert len(set(identities)) == 6


def test_damaged_descriptions_are_those_that_are_not_json(tmp_path):
    for name, content in {"a": b"{}", "b": b'{"cut', "c": b"\xff", "d": b""}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "dataset_info.json").write_bytes(content)
    damaged = [str(tmp_path / name / "dataset_info.json") for name in "bcd"]
    assert shards.damaged_descriptions(tmp_path) == damaged
    assert shards.damaged_descriptions(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("{{node Sum}} wrong shape [Op:Sum] name: x", "wrong shape"),
        ("first\nsecond", "first"),
        ("  padded  ", "padded"),
        ("", "ValueError"),
    ],
)
def test_first_line_leaves_out_what_only_tensorflow_knows(message, line):
    assert shards.first_line(ValueError(message)) == line


def test_named_leaves_errors_of_ours_and_of_memory_as_they_are(prepared):
    builder = find_builder("shapes", str(prepared["tfrecord"]))
    error = DataError("label 3 of example 1")
    with pytest.raises(DataError) as caught, shards.named(builder, "train"):
        raise error
    assert caught.value is error
    found = pytest.raises(DataError, match=r"train cannot be read: something$")
    with found, shards.named(builder, "train"):
        raise ValueError("something\nelse")
