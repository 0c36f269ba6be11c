"""A folder for each class: what is found in it, and what is refused."""

import errno
import os
import pathlib
import re
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


@pytest.mark.parametrize("name", ["y" * 5000, "y/" * 3000])
def test_scan_says_of_a_path_too_long_that_it_does_not_exist(name):
    with pytest.raises(
        MissingDataError, match=r"^data_files=/y[y/]+…[y/]+ does not exist$"
    ) as caught:
        class_folders.scan(pathlib.Path("/", name))
    assert len(str(caught.value)) < 500


def test_scan_shows_hostile_names_on_one_line(tmp_path):
    write(tmp_path, "train/a/1.png", "train/b/2.png", "test/c\u202e\nerror: x/3.png")
    with pytest.raises(DataError, match=r"class 'c\\u202e\\nerror: x' is not in") as caught:
        class_folders.scan(tmp_path)
    assert str(caught.value).isprintable()


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
    assert found.others == {
        ".txt": 1,
        "without ending": 1,
        ".png": 1,
        "not a file": 1,
        "system folder": 1,
    }


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
    write(tmp_path, "train/1.png", "tram/2.png", "bus/3.png")
    assert class_folders.scan(tmp_path).class_names == ("bus", "train", "tram")
    write(tmp_path / "x", "train/1.png", "test/2.png")
    found = class_folders.scan(f"train={tmp_path}/x")
    assert found.class_names == ("test", "train")
    assert found.separate == ()


def counts(found: class_folders.Folder) -> dict[str, list[str]]:
    """Split -> the class of each of its files."""
    by_split = {}
    for file in found.files:
        by_split.setdefault(file.split, []).append(found.class_names[file.label])
    return by_split


def split_files(train: str, test: str, validation: str = "") -> list[str]:
    tops = [top for top in (train, train, test, validation) if top]
    return [f"{top}/{name}/{i}.png" for i, top in enumerate(tops) for name in ("cat", "dog")]


@pytest.mark.parametrize(
    ("train", "test", "validation"),
    [
        ("Training", "Testing", ""),
        ("TRAIN", "TEST", "VAL"),
        ("training_set", "test_set", ""),
        ("train_data", "test_data", "val_data"),
        ("Train Images", "Test Images", ""),
        ("trainset", "testset", "validset"),
        ("TrainData", "TestData", "DevData"),
        ("train2017", "test2017", "val2017"),
        ("seg_train", "seg_test", ""),
        ("seg_train/seg_train", "seg_test/seg_test", ""),
        ("training_set/training_set", "test_set/test_set", ""),
        ("Training/images", "Testing/images", ""),
        ("training", "evaluation", "validation"),
        ("asl_alphabet_train", "asl_alphabet_test", ""),
        ("train", "holdout", "val"),
        ("learning", "test", ""),
    ],
)
def test_scan_takes_splits_under_usual_names(train, test, validation, tmp_path):
    write(tmp_path, *split_files(train, test, validation))
    found = class_folders.scan(tmp_path)
    assert found.class_names == ("cat", "dog")
    expected = {"train": ["cat", "cat", "dog", "dog"], "test": ["cat", "dog"]}
    assert counts(found) == expected | ({"validation": ["cat", "dog"]} if validation else {})


def test_scan_takes_splits_below_each_class(tmp_path):
    write(tmp_path, *(f"{c}/{s}/{c}{s}.png" for c in ("cat", "dog") for s in ("train", "Testing")))
    assert counts(class_folders.scan(tmp_path)) == {"train": ["cat", "dog"], "test": ["cat", "dog"]}


def test_scan_leaves_a_folder_beside_splits_out_and_names_it(tmp_path):
    write(tmp_path, *split_files("seg_train/seg_train", "seg_test/seg_test"), "seg_pred/7.png")
    (tmp_path / "docs" / "more").mkdir(parents=True)
    found = class_folders.scan(tmp_path)
    assert counts(found)["train"] == ["cat", "cat", "dog", "dog"]
    assert found.remarks == (
        f"taken as splits: test: {tmp_path}/seg_test, train: {tmp_path}/seg_train",
        f"warning: left out, neither a split nor a class: {tmp_path}/docs (0 files)",
        f"warning: left out, neither a split nor a class: {tmp_path}/seg_pred (1 files)",
    )


def test_scan_keeps_one_class_of_a_split_with_folders_in_it(tmp_path):
    write(tmp_path, "train/cat/1.png", "train/dog/2.png", "test/cat/in/3.png", "test/cat/out/4.png")
    assert counts(class_folders.scan(tmp_path))["test"] == ["cat", "cat"]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (  # one reading has two classes and no splits, the other the opposite
            split_files("day", "night"),
            "if its folders are splits, of the classes cat, dog, name them: "
            "--data_files=train={top}/day,test={top}/night; if day, night are the classes, write "
            "--data_files=train={top}",
        ),
        (
            [f"fold{i}/{c}/{i}.png" for i in range(3) for c in ("cat", "dog")],
            "--data_files=train={top}/fold0,test={top}/fold1; if fold0, fold1, fold2 are the "
            "classes, write --data_files=train={top}",
        ),
        (
            [*split_files("train", "test"), "extra/cat/5.png", "extra/dog/6.png"],
            "'extra' is not a split's name, but has folders of classes in it (cat, dog); name the "
            "split of each folder that is used: "
            "--data_files=train={top}/train,test={top}/test,train={top}/extra",
        ),
        (
            ["train/steam/1.png", "train/diesel/2.png", "bus/3.png"],
            "if its folders are splits, of the classes diesel, steam, name them: "
            "--data_files=train={top}/train; if bus, train are the classes, write "
            "--data_files=train={top}",
        ),
        (
            ["train/1.png", "test/2.png"],
            "test, train have no folders of classes in them: expected {top}/train/cat/*.jpg; if "
            "they are the classes themselves, write --data_files=train={top}",
        ),
        (
            [*split_files("train", "val"), "test/9.png"],
            "test has no images in folders of classes; to leave it out, write "
            "--data_files=train={top}/train,validation={top}/val",
        ),
    ],
)
def test_scan_refuses_folders_that_may_be_splits_with_the_option_that_chooses(
    files, reason, tmp_path
):
    write(tmp_path, *files)
    with pytest.raises(DataError, match=re.escape(reason.format(top=tmp_path))) as caught:
        class_folders.scan(tmp_path)
    for option in re.findall("--data_files=([^; ]+)", str(caught.value)):
        assert len(class_folders.scan(option).class_names) > 1  # each way out works as it is


def test_scan_takes_splits_that_were_named(tmp_path):
    write(tmp_path, *split_files("day", "night"), "fog/dog/7.png")
    found = class_folders.scan(f"train={tmp_path}/day,test={tmp_path}/night,train={tmp_path}/fog")
    assert counts(found) == {"train": ["cat", "cat", "dog", "dog", "dog"], "test": ["cat", "dog"]}
    assert (found.path, found.separate) == (tmp_path, ("test",))
    as_classes = class_folders.scan(f"train={tmp_path}")
    assert as_classes.class_names == ("day", "fog", "night")
    with pytest.raises(MissingDataError, match="gone does not exist"):
        class_folders.scan(f"train={tmp_path}/day,test={tmp_path}/gone")


def test_scan_takes_folders_of_the_same_single_name_as_classes(tmp_path):
    write(tmp_path, "cat/images/1.png", "dog/images/2.png", "cow/images/3.png")
    assert class_folders.scan(tmp_path).class_names == ("cat", "cow", "dog")


SYSTEM = (
    *("@eaDir", "$RECYCLE.BIN", "lost+found", "System Volume Information", "@Recycle", "#recycle"),
    *("__MACOSX", ".ipynb_checkpoints", ".Trashes", "found.000", "RECYCLER", "#snapshot", "@tmp"),
)


@pytest.mark.parametrize("name", SYSTEM)
def test_scan_ignores_and_counts_folders_of_the_system(name, tmp_path):
    write(tmp_path, "cat/1.png", "dog/2.png", f"{name}/3.png", f"cat/{name}/4.png")
    found = class_folders.scan(tmp_path)
    assert found.class_names == ("cat", "dog")
    assert len(found.files) == 2
    assert found.others == {"system folder": 2}


def test_scan_names_what_a_class_without_images_holds(tmp_path):
    write(tmp_path, "dog/2.png")
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.pdf").write_text("no image")
    with pytest.raises(DataError, match=r"cat has no images, only 1 \.pdf: class 'cat' would be"):
        class_folders.scan(tmp_path)


def test_flat_takes_images_in_folders_of_any_depth(tmp_path):
    write(tmp_path, "a.png", "b/c.png", "b/d/e.png", "f/g.png")
    (tmp_path / "b" / "notes.txt").write_text("none")
    found = class_folders.flat(tmp_path)
    names = [str(file.path.relative_to(tmp_path)) for file in found.files]
    assert names == ["a.png", "b/c.png", "b/d/e.png", "f/g.png"]
    assert found.class_names == found.separate == ()
    assert {file.split for file in found.files} == {"train"}
    assert found.others[".txt"] == 1


def test_flat_takes_splits_with_images_alone(tmp_path):
    write(tmp_path, "train/a.png", "train/b.png", "test/c.png")
    for data_files in (tmp_path, f"train={tmp_path / 'train'},test={tmp_path / 'test'}"):
        found = class_folders.flat(data_files)
        assert [file.split for file in found.files] == ["train", "train", "test"]
        assert found.separate == ("test",)
        assert found.path == tmp_path


def test_flat_leaves_folders_of_classes_to_scan(tmp_path):
    write(tmp_path, "train/cat/a.png", "train/dog/b.png", "test/cat/c.png", "test/dog/d.png")
    assert class_folders.flat(tmp_path) is None
    assert class_folders.flat(tmp_path / "train") is None
    assert class_folders.flat(f"train={tmp_path / 'train'},test={tmp_path / 'test'}") is None


def test_flat_takes_no_hidden_file_for_an_image_beside_folders_of_classes(tmp_path):
    """Else a file of macOS would hide the classes."""
    write(tmp_path, "cat/a.png", "dog/b.png")
    (tmp_path / "._cover.png").write_bytes(b"\0\5\x16\7")
    assert class_folders.flat(tmp_path) is None


def test_flat_refuses_a_folder_without_images(tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(DataError, match="has no images to train on"):
        class_folders.flat(tmp_path)


def test_flat_keeps_splits_of_classes_apart_whatever_lies_beside_them(tmp_path):
    """Else a network would be trained on the images of test/ beforehand."""
    write(tmp_path, "train/cat/a.png", "train/dog/b.png", "test/cat/c.png", "test/dog/d.png")
    write(tmp_path, "preview.png")
    assert class_folders.flat(tmp_path) is None
    write(tmp_path / "train", "loose.png")  # beside classes that have no splits
    assert len(class_folders.flat(tmp_path / "train").files) == 3


def test_scan_takes_folders_of_which_one_is_relative(tmp_path, monkeypatch):
    write(tmp_path, *split_files("day", "night"))
    monkeypatch.chdir(tmp_path)
    found = class_folders.scan(f"train={tmp_path}/day,test=night")
    assert (found.path, found.separate) == (tmp_path, ("test",))
    assert class_folders.scan("train=day,test=night").path == pathlib.Path()


@pytest.mark.parametrize("name", ["a", "a/march"])
def test_scan_refuses_a_folder_that_cannot_be_read(name, tmp_path, monkeypatch):
    write(tmp_path, "a/1.png", "a/march/2.png", "b/3.png")
    real = os.scandir

    def scandir(path):
        if pathlib.Path(path) == tmp_path / name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=rf"^\S+/{name} cannot be read: Permission denied$"):
        class_folders.scan(tmp_path)
