"""Folders of splits and of classes, told apart by their names."""

import pytest

from pipelines import DataError
from pipelines.files import class_folders, split_folders


def made(top, *folders: str):
    for folder in folders:
        (top / folder).mkdir(parents=True)
        (top / folder / "1.png").touch()
    return split_folders.layout(top, class_folders.IMAGES).classes


def names(classes) -> dict[str, list[str]]:
    return {split: list(of_split) for split, of_split in classes.items()}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("Training", "Testing"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("training_set", "test_set"),
        ("train_data", "val2017"),
        ("learn", "test"),  # of the same classes as its sibling
    ],
)
def test_layout_finds_splits_by_their_usual_names(train, test, tmp_path):
    classes = made(tmp_path, *(f"{s}/{c}" for s in (train, test) for c in ("cat", "dog")))
    other = "validation" if "val" in test else "test"
    assert names(classes) == {"train": ["cat", "dog"], other: ["cat", "dog"]}


def test_layout_finds_splits_below_each_class(tmp_path):
    classes = made(tmp_path, "cat/train", "cat/test", "dog/train", "dog/test")
    assert names(classes) == {"train": ["cat", "dog"], "test": ["cat", "dog"]}


def test_layout_takes_all_other_folders_for_classes(tmp_path):
    classes = made(tmp_path, "cat", "dog", "train station", "@eaDir", "$RECYCLE.BIN", "lost+found")
    assert names(classes) == {"train": ["cat", "dog", "train station"]}


def test_a_class_with_folders_in_it_is_none_of_a_split_beside_one_without(tmp_path):
    """Nothing is the same in both, so they are not alike."""
    assert names(made(tmp_path, "cat/small", "cat/large", "dog")) == {"train": ["cat", "dog"]}


def test_layout_refuses_what_may_be_either(tmp_path):
    with pytest.raises(DataError, match=r"if its folders are splits.*--data_files=train="):
        made(tmp_path, "day/cat", "day/dog", "night/cat", "night/dog")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("train/1", "test/1"), {"train": "train", "test": "test"}),
        (("Training/1", "dev/1", "notes/1"), {"train": "Training", "validation": "dev"}),
        (("train/cat/1", "test/1"), {}),
        (("train/1", "other/1"), {}),
        (("cat/1", "dog/1"), {}),
    ],
)
def test_without_classes_are_folders_of_splits_with_files_alone(names, expected, tmp_path):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    found = split_folders.without_classes(tmp_path)
    assert found == {split: tmp_path / name for split, name in expected.items()}
