"""Folders of image files: what is found, every fault by name, no leaks between splits."""

import os
import pathlib
import unicodedata

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import pipelines
from pipelines import DataError, image_folder
from pipelines.files import class_folders, photo
from pipelines.steps import image
from tests.pipelines.files.test_photo import encoded


def picture(seed: int, height: int = 24, width: int = 31) -> Image.Image:
    random = np.random.default_rng(seed)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))


def write(place: pathlib.Path, *names: str, seed: int = 0) -> None:
    for i, name in enumerate(names):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        picture(seed + i).save(place / name)


@pytest.fixture
def photos(tmp_path) -> pathlib.Path:
    """Thirty pictures in each of two classes."""
    for label, name in enumerate(("cat", "dog")):
        write(tmp_path / "photos", *(f"{name}/{i:02}.png" for i in range(30)), seed=100 * label)
    return tmp_path / "photos"


def load(place: pathlib.Path, **options):
    pipeline = pipelines.get("image_folder", data_files=str(place), **options)
    return pipeline, pipeline.read()


def test_what_is_stored_and_what_a_client_sends_become_the_same_numbers(tmp_path):
    sizes = [(24, 31), (16, 16), (7, 90), (300, 200)]
    for label, name in enumerate("ab"):
        for i, (height, width) in enumerate(5 * sizes):
            (tmp_path / name).mkdir(exist_ok=True)
            picture(9 * i + label, height, width).save(tmp_path / name / f"{i:02}.png")
    found = class_folders.scan(tmp_path)
    pipeline, rows = load(tmp_path, image_size=16)
    stored = image_folder.read_all(found, 16, skip_bad=False).pixels
    assert stored.shape == (40, 16, 16, 3)
    served = tf.function(pipeline.preprocess, autograph=False).get_concrete_function(
        {"image": tf.TensorSpec((None, None, None, 3), tf.uint8)}
    )
    for file, row in list(zip(found.files, stored, strict=True))[:6]:
        whole = served({"image": tf.constant(photo.decode(file.path.read_bytes())[None])})["image"]
        again = served({"image": tf.constant(row[None])})["image"]
        np.testing.assert_array_equal(whole, again)
        np.testing.assert_array_equal(whole[0], image.scale({"image": row})["image"])
    assert sum(part.num_rows for part in rows.values()) == 40


def test_files_are_found_by_content_and_ending_in_any_case(tmp_path):
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
    assert found.others == {".txt": 1, "without ending": 1, ".png": 1, "no file": 1}
    images = image_folder.read_all(found, 8, skip_bad=False)
    np.testing.assert_array_equal(images.shapes, [[24, 31]] * 5)


def test_links_are_followed_once(tmp_path):
    write(tmp_path, "photos/a/1.png", "photos/b/2.png", "elsewhere/3.png")
    (tmp_path / "photos" / "a" / "loop").symlink_to(tmp_path / "photos")
    (tmp_path / "photos" / "c").symlink_to(tmp_path / "elsewhere")
    found = class_folders.scan(tmp_path / "photos")
    assert found.class_names == ("a", "b", "c")
    assert [file.path.name for file in found.files if file.label == 2] == ["3.png"]
    assert sum(file.path.name == "1.png" for file in found.files) == 1


def test_names_of_any_script_and_in_either_spelling(tmp_path):
    apart = unicodedata.normalize("NFD", "für")  # as macOS may store it
    write(tmp_path, f"train/{apart}/ä.png", "train/猫/1.png", "test/für/2.png", "test/猫/3.png")
    found = class_folders.scan(tmp_path)
    assert found.class_names == ("für", "猫")
    assert {file.label for file in found.files if file.split == "test"} == {0, 1}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ((), "is not there"),
        (("1.png",), "has no folders"),
        (("cat/1.png",), "one class only, 'cat'"),
        (("photos/cat/1.png", "photos/dog/1.png"), "did you mean data_files=.*photos"),
        (("cat/1.png", "dog/.hidden.png"), "dog has no images"),
        (("train/cat/1.png", "train/dog/1.png", "test/cow/1.png"), "'cow' is not in .*train"),
        (("train/cat/1.png", "train/dog/1.png", "test/1.png"), "test has no images in folders"),
        (("train/a/1.png", "train/b/1.png", "val/a/1.png", "valid/a/1.png"), "two folders for one"),
    ],
)
def test_folders_that_cannot_be_meant(files, said, tmp_path):
    write(tmp_path / "photos", *files)
    with pytest.raises(DataError, match=said):
        class_folders.scan(tmp_path / "photos")


def test_a_file_is_no_folder(photos):
    with pytest.raises(DataError, match="is a file"):
        class_folders.scan(photos / "cat" / "00.png")


def test_a_class_may_be_called_train(tmp_path):
    write(tmp_path, "train/1.png", "test/2.png", "bus/3.png")
    assert class_folders.scan(tmp_path).class_names == ("bus", "test", "train")
    write(tmp_path / "x", "train/1.png", "test/2.png")
    found = class_folders.scan(tmp_path / "x")
    assert found.class_names == ("test", "train")
    assert found.given == ()


def test_more_files_move_none_between_splits(photos):
    def by_split():
        _, rows = load(photos, image_size=8)
        return {name: {row.tobytes() for row in part.table["image"]} for name, part in rows.items()}

    before = by_split()
    assert sum(map(len, before.values())) == 60
    write(photos, *(f"cat/a{i}.png" for i in range(20)), seed=300)
    after = by_split()
    for name, part in before.items():
        assert part <= after[name]
    assert sum(map(len, after.values())) == 80


def test_splits_of_their_own(tmp_path, capsys):
    write(tmp_path, *(f"train/{c}/{i}.png" for c in "ab" for i in range(30)))
    write(tmp_path, "test/a/1.png", "test/a/2.png", "test/b/1.png", seed=500)
    _, rows = load(tmp_path, image_size=8)
    assert rows["test"].num_rows == 3
    np.testing.assert_array_equal(rows["test"].table["label"], [0, 0, 1])
    assert rows["train"].num_rows + rows["validation"].num_rows == 60
    assert 1 <= rows["validation"].num_rows < 15
    write(tmp_path, "valid/b/1.png", seed=600)
    _, rows = load(tmp_path, image_size=8)
    assert {name: part.num_rows for name, part in rows.items()} == {
        "train": 60,
        "validation": 1,
        "test": 3,
    }
    assert "warning: validation has no image of a\n" in capsys.readouterr().err


def test_the_summary_says_what_is_there_and_what_looks_wrong(photos, capsys):
    (photos / "cat" / "copy.png").write_bytes((photos / "cat" / "00.png").read_bytes())
    (photos / "dog" / "conflict.png").write_bytes((photos / "cat" / "01.png").read_bytes())
    (photos / "dog" / "list.csv").write_text("a,b")
    picture(0, 5, 4).save(photos / "dog" / "small.png")
    picture(0, 70, 90).save(photos / "dog" / "tall.png")
    _, rows = load(photos, image_size=8)
    said = capsys.readouterr().err.splitlines()
    counts = ", ".join(f"{rows[name].num_rows} {name}" for name in class_folders.SPLITS)
    assert said == [
        f"{photos}: 64 images in 2 classes: cat 31, dog 33",
        f"of 4x5 to 90x70 pixels, resized to 8x8; {counts}",
        "left out, no images or in no folder of a class: 1 .csv",
        "warning: 1 image(s) are copies of another one of their class, such as "
        "cat/00.png = cat/copy.png",
        "warning: 1 image(s) are in another class too: one of the two labels is wrong, such as "
        "cat/01.png = dog/conflict.png",
    ]


def test_copies_across_splits_of_their_own_are_reported(tmp_path, capsys):
    write(tmp_path, *(f"train/{c}/{i}.png" for c in "ab" for i in range(20)))
    write(tmp_path, "test/a/1.png", "test/b/x.png", seed=900)
    (tmp_path / "test" / "a" / "leak.png").write_bytes((tmp_path / "train/a/3.png").read_bytes())
    load(tmp_path, image_size=8)
    said = capsys.readouterr().err
    assert (
        "warning: 1 image(s) are in another split too: its figures flatter the model, such as"
        in (said)
    )
    assert "train/a/3.png = test/a/leak.png" in said


def test_a_damaged_file_stops_or_is_left_out_on_request(photos, capsys):
    bad = photos / "cat" / "07.png"
    bad.write_bytes(bad.read_bytes()[:200])
    (photos / "dog" / "gone.jpg").symlink_to(photos / "nowhere.jpg")
    with pytest.raises(DataError, match=r"(07\.png|gone\.jpg) cannot be read"):
        load(photos, image_size=8)
    _, rows = load(photos, image_size=8, skip_bad=True)
    assert sum(part.num_rows for part in rows.values()) == 59
    assert f"left out, unreadable: 2, such as {bad}: " in capsys.readouterr().err
    for path in (photos / "dog").iterdir():
        path.unlink()
    (photos / "dog" / "1.png").write_text("no image")
    with pytest.raises(DataError, match="class 'dog' has no image that can be read"):
        load(photos, image_size=8, skip_bad=True)


def test_what_does_not_fit_in_memory_is_refused_with_the_size_that_does(photos, monkeypatch):
    monkeypatch.setattr(image_folder, "RAM_BUDGET", 60 * 3 * 12**2 + 5)
    with pytest.raises(DataError, match="image_size=12 or less"):
        load(photos, image_size=13)
    load(photos, image_size=12)


@pytest.mark.parametrize("padding", [-1, 8, 9])
def test_shifts_stay_within_the_image(padding, photos):
    with pytest.raises(DataError, match="less than image_size=8"):
        load(photos, image_size=8, padding=padding)
