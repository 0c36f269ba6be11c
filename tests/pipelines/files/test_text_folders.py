"""Folders of texts: which file is of which class and split."""

from pipelines.files import text_folders


def files_of(tmp_path, *names: str):
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"the text of {name}")
    return tmp_path


def listed(found, top) -> list[tuple[str, str, str]]:
    return [(f.split, f.label, str(f.path.relative_to(top))) for f in found.files]


LAYOUT = (
    "train/pos/1.txt",
    "train/neg/2.txt",
    "train/unsup/3.txt",
    "test/pos/4.txt",
    "test/neg/5.txt",
)


def test_labelled_texts_are_those_in_folders_of_classes(tmp_path):
    top = files_of(tmp_path, *LAYOUT, "train/pos/notes.md")
    found = text_folders.labelled(str(top))
    assert listed(found, top) == [
        ("train", "neg", "train/neg/2.txt"),
        ("train", "pos", "train/pos/1.txt"),
        ("test", "neg", "test/neg/5.txt"),
        ("test", "pos", "test/pos/4.txt"),
    ]
    assert any("1 texts of folders without labels" in remark for remark in found.remarks)
    assert any("skipped" in remark and ".md" in remark for remark in found.remarks)


def test_without_labels_those_of_unsup_are_more(tmp_path):
    top = files_of(tmp_path, *LAYOUT)
    found = {
        name: (split, label)
        for split, label, name in listed(text_folders.unlabelled(str(top)), top)
    }
    assert found["train/unsup/3.txt"] == (text_folders.MORE, "")
    assert found["train/pos/1.txt"] == ("train", "")
    assert found["test/pos/4.txt"] == ("test", "")


def test_a_flat_folder_is_texts_to_train_on(tmp_path):
    top = files_of(tmp_path, "b.txt", "a.txt")
    found = text_folders.unlabelled(str(top))
    assert sorted(listed(found, top)) == [("train", "", "a.txt"), ("train", "", "b.txt")]


def test_texts_beside_a_folder_of_a_few_are_texts_too(tmp_path):
    top = files_of(tmp_path, *(f"{i}.txt" for i in range(5)), "old/a.txt", "old/deep/b.txt")
    found = text_folders.unlabelled(str(top))
    assert sorted(listed(found, top)) == sorted(
        ("train", "", name)
        for name in (*(f"{i}.txt" for i in range(5)), "old/a.txt", "old/deep/b.txt")
    )
    named = text_folders.unlabelled(f"train={top}")
    assert sorted(named.files) == sorted(found.files)
    assert found.remarks == named.remarks == []


def test_a_few_texts_beside_folders_of_texts_are_left_out_and_said(tmp_path):
    top = files_of(tmp_path, *LAYOUT, "train/urls.txt", "readme.txt", "._readme.txt")
    for files in (f"train={top}/train,test={top}/test", str(top)):
        found = text_folders.unlabelled(files)
        assert sorted(name for *_, name in listed(found, top)) == sorted(LAYOUT)
    expected = f"left out, beside folders of texts: 2 files, such as {top}/readme.txt"
    assert expected in found.remarks


def test_splits_stay_apart_whatever_lies_beside_them(tmp_path):
    top = files_of(tmp_path, *LAYOUT, *(f"{i}.txt" for i in range(30)))
    found = text_folders.unlabelled(str(top))
    assert ("test", "", "test/pos/4.txt") in listed(found, top)
    assert len(found.files) == len(LAYOUT)
