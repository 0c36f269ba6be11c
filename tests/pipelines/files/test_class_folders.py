"""A folder for each class: what is found in it, and what is refused."""

import os
import pathlib
import unicodedata

import numpy as np
import pytest
from PIL import Image

from pipelines import DataError, MissingDataError
from pipelines.files import class_folders
from tests.pipelines.files.test_photo import encoded


def picture(seed: int, height: int = 24, width: int = 31) -> Image.Image:
    random = np.random.default_rng(seed)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))


def write(place: pathlib.Path, *names: str, seed: int = 0) -> None:
    for i, name in enumerate(names):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        picture(seed + i).save(place / name)


def test_scan_finds_images_by_content_and_by_ending_in_any_case(tmp_path):
    write(tmp_path, "b/1.png", "b/deep/er/2.PNG", "a/3.Jpeg", "a/.hidden.png", "a/__MACOSX/4.png")
    (tmp_path / "a" / "png named.jpg").write_bytes(encoded(picture(7), "PNG"))
    (tmp_path / "a" / "no ending").write_bytes(encoded(picture(8), "JPEG"))
    (tmp_path / "a" / "Thumbs.db").write_text("clutter")
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "a" / "LICENSE").write_text("no image")
    write(tmp_path, "beside.png")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    found = class_folders.scan(tmp_path)
    assert found.class_names == ("a", "b")
    names = [str(file.path.relative_to(tmp_path)) for file in found.files]
    assert names == ["a/3.Jpeg", "a/no ending", "a/png named.jpg", "b/1.png", "b/deep/er/2.PNG"]
    assert [file.label for file in found.files] == [0, 0, 0, 1, 1]
    assert found.others == {".txt": 1, "without ending": 1, ".png": 1, "not a file": 1}


def test_scan_follows_links_once(tmp_path):
    write(tmp_path, "photos/a/1.png", "photos/b/2.png", "elsewhere/3.png")
    (tmp_path / "photos" / "a" / "loop").symlink_to(tmp_path / "photos")
    (tmp_path / "photos" / "c").symlink_to(tmp_path / "elsewhere")
    found = class_folders.scan(tmp_path / "photos")
    assert found.class_names == ("a", "b", "c")
    assert [file.path.name for file in found.files if file.label == 2] == ["3.png"]
    assert sum(file.path.name == "1.png" for file in found.files) == 1


def test_scan_takes_names_of_any_script_and_in_either_spelling(tmp_path):
    apart = unicodedata.normalize("NFD", "für")  # as macOS may store it
    write(tmp_path, f"train/{apart}/ä.png", "train/猫/1.png", "test/für/2.png", "test/猫/3.png")
    found = class_folders.scan(tmp_path)
    assert found.class_names == ("für", "猫")
    assert {file.label for file in found.files if file.split == "test"} == {0, 1}


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ((), "does not exist"),
        (("1.png",), "has no folders"),
        (("cat/1.png",), "one class only, 'cat'"),
        (("photos/cat/1.png", "photos/dog/1.png"), "did you mean data_files=.*photos"),
        (("cat/1.png", "dog/.hidden.png"), "dog has no images"),
        (("train/cat/1.png", "train/dog/1.png", "test/cow/1.png"), "'cow' is not in .*train"),
        (("train/cat/1.png", "train/dog/1.png", "test/1.png"), "test has no images in folders"),
        (("train/a/1.png", "train/b/1.png", "val/a/1.png", "valid/a/1.png"), "two folders for one"),
    ],
)
def test_scan_refuses_folders_that_are_not_classes(files, reason, tmp_path):
    write(tmp_path / "photos", *files)
    with pytest.raises(DataError, match=reason):
        class_folders.scan(tmp_path / "photos")


def test_scan_refuses_a_file_and_misses_a_folder(tmp_path):
    write(tmp_path, "00.png")
    with pytest.raises(DataError, match="is a file"):
        class_folders.scan(tmp_path / "00.png")
    with pytest.raises(MissingDataError, match="does not exist"):
        class_folders.scan(tmp_path / "gone")


def test_scan_takes_a_class_called_train(tmp_path):
    write(tmp_path, "train/1.png", "test/2.png", "bus/3.png")
    assert class_folders.scan(tmp_path).class_names == ("bus", "test", "train")
    write(tmp_path / "x", "train/1.png", "test/2.png")
    found = class_folders.scan(tmp_path / "x")
    assert found.class_names == ("test", "train")
    assert found.separate == ()
