"""Texts of one's own, a file each: classes, splits and texts without labels by their folders."""

import os
import pathlib

import numpy as np
import pytest

import pipelines
from pipelines import DataError, MissingDataError, text_folder
from pipelines.core.prepared import prepare
from pipelines.core.rows import chunks
from pipelines.files import text_folders
from pipelines.storage import tfds
from trainers.tasks import registry as tasks
from zoo.spec import Field


def write(top: pathlib.Path, *names: str, text: str = "{name}") -> None:
    """Files that hold `text`, in which {name} is their own path."""
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text.replace("{name}", name), encoding="utf-8")


def several(folder: str, number: int = 30) -> list[str]:
    return [os.path.join(folder, f"{i}.txt") for i in range(number)]


def loaded(files, labels=True, **options):
    """Rows and schema, as a run has them."""
    pipeline = pipelines.get("text_folder", data_files=str(files), **options)
    _, rows, schema = tfds.load(pipeline if labels else tasks.source("masked_lm", pipeline))
    return rows, schema


def texts_of(rows) -> dict[str, list[str]]:
    return {
        name: [t.decode() for chunk in chunks(part) for t in chunk["text"]]
        for name, part in rows.items()
    }


def joined(rows) -> list[str]:
    return sorted(text for part in texts_of(rows).values() for text in part)


@pytest.fixture
def imdb(tmp_path) -> pathlib.Path:
    """The layout of aclImdb, with what else it has."""
    top = tmp_path / "aclImdb"
    for folder in ("train/pos", "train/neg", "test/pos", "test/neg"):
        write(top, *several(folder))
    write(top, *several("train/unsup", 60))
    write(top, "README", "imdb.vocab", "imdbEr.txt", "train/urls_pos.txt", "train/labeledBow.feat")
    return top


def test_text_folder_reads_aclimdb_with_labels_and_leaves_unsup_out(imdb, logged):
    rows, schema = loaded(imdb)
    assert (schema.task, schema.class_names) == ("binary", ("neg", "pos"))
    assert dict(schema.raw) == {"text": Field((), "string")}
    found = texts_of(rows)
    assert sorted(found["test"]) == sorted(several("test/pos") + several("test/neg"))
    assert sorted(found["train"] + found["validation"]) == sorted(
        several("train/pos") + several("train/neg")
    )
    for name, part in rows.items():
        labels = [schema.class_names[label] for label in part.table["label"]]
        assert labels == [text.split("/")[1] for text in found[name]]
    said = logged()
    assert f"{imdb}: 120 texts, 2 classes" in said
    assert "neg 60, pos 60" in said
    assert "60 texts of folders without labels are for --task=masked_lm" in said
    assert any(line.startswith("skipped, not texts or not in a folder of texts: ") for line in said)


def test_text_folder_without_labels_trains_on_unsup_and_never_on_test_texts(imdb, logged):
    (imdb / "train" / "unsup" / "copy.txt").write_text("test/pos/7.txt")
    found = texts_of(loaded(imdb, labels=False)[0])
    classifier = texts_of(loaded(imdb)[0])
    held_out = {*classifier["validation"], *classifier["test"]}
    assert not held_out & {text for part in found.values() for text in part}
    # All of unsup is there, and what a classifier trains on.
    unsup = set(several("train/unsup", 60))
    assert {text for part in found.values() for text in part} == unsup | {*classifier["train"]}
    assert {*found["validation"], *found["test"]} < unsup
    assert min(map(len, found.values())) > 0
    expected = (
        f"61 texts are of folders without labels: validation and test are some of them, and what a "
        f"classifier is validated or tested on, {len(held_out)} texts and 1 copies of them, is "
        "left out"
    )
    assert expected in logged()


def test_text_folder_holds_at_most_a_thousand_texts_without_labels_out(imdb, monkeypatch):
    monkeypatch.setattr(text_folders, "_HELD", 6)  # of 60, where the fractions are more
    found = texts_of(loaded(imdb, labels=False, validation=0.3, test=0.3)[0])
    assert 0 < len(found["validation"]) < 15
    assert 0 < len(found["test"]) < 15


@pytest.mark.parametrize("name", ["unsup", "Unlabeled"])
def test_text_folder_finds_texts_without_labels_beside_classes_and_splits(name, tmp_path):
    write(tmp_path / "a", *several("pos"), *several("neg"), *several(name))
    write(tmp_path / "b", *several("train/pos"), *several("train/neg"), *several(name))
    write(tmp_path / "b", *several("test/pos"), *several("test/neg"))
    for top in (tmp_path / "a", tmp_path / "b"):
        assert loaded(top)[1].class_names == ("neg", "pos")
        found = texts_of(loaded(top, labels=False)[0])
        assert set(several(name)) < {text for part in found.values() for text in part}
    write(tmp_path / "only", *several(name))
    assert joined(loaded(tmp_path / "only", labels=False)[0]) == sorted(several(name))


def test_text_folder_without_labels_takes_a_flat_folder(tmp_path):
    write(tmp_path / "flat", *(f"{i}.TXT" for i in range(30)), "notes.md")
    rows, schema = loaded(tmp_path / "flat", labels=False)
    assert (schema.task, schema.target) == ("masked_lm", None)
    assert joined(rows) == sorted(f"{i}.TXT" for i in range(30))


def test_text_folder_without_labels_takes_files_of_any_depth_whatever_their_class(tmp_path):
    write(tmp_path / "books", *several("poe/tales/early"), *several("poe/poems"), "poe/a.txt")
    assert len(joined(loaded(tmp_path / "books", labels=False)[0])) == 61
    # A class that only test has does no harm.
    write(
        tmp_path / "b", *several("train/a"), *several("train/b"), *several("test/a"), "test/c/1.txt"
    )
    found = texts_of(loaded(tmp_path / "b", labels=False)[0])
    assert sorted(found["test"]) == sorted([*several("test/a"), "test/c/1.txt"])
    with pytest.raises(DataError, match="class 'c' is not in train"):
        loaded(tmp_path / "b")


@pytest.mark.parametrize("named", [False, True])
def test_text_folder_without_labels_takes_splits_without_classes(named, tmp_path):
    write(tmp_path, *several("train"), *several("test"))
    files = f"train={tmp_path}/train,test={tmp_path}/test" if named else tmp_path
    found = texts_of(loaded(files, labels=False)[0])
    assert sorted(found["test"]) == sorted(several("test"))
    assert sorted(found["train"] + found["validation"]) == sorted(several("train"))


def test_text_folder_has_each_text_in_the_same_split_with_and_without_labels(tmp_path):
    write(tmp_path, *several("a"), *several("b"), *several("c"))
    with_labels, without = loaded(tmp_path)[0], loaded(tmp_path, labels=False)[0]
    assert texts_of(with_labels) == texts_of(without)
    moved = loaded(tmp_path, split_seed=5)[0]
    assert texts_of(moved) != texts_of(without)
    assert joined(moved) == joined(without)


def test_text_folder_takes_whole_files_in_any_encoding(tmp_path):
    lines = "Zeile eins\n\n  größer\nund größer\n"
    write(tmp_path, *several("a"), *several("b"))
    (tmp_path / "a" / "x.txt").write_bytes(("\n" + lines.replace("\n", "\r\n")).encode("utf-16"))
    (tmp_path / "b" / "y.txt").write_bytes(lines.encode("utf-8-sig"))
    assert joined(loaded(tmp_path)[0]).count(lines.strip()) == 2
    (tmp_path / "b" / "y.txt").write_bytes(lines.encode("cp1252"))
    with pytest.raises(DataError, match=r"y\.txt:3: byte 0xf6 is not utf-8: save the file as"):
        loaded(tmp_path)
    assert joined(loaded(tmp_path, encoding="cp1252")[0]).count(lines.strip()) == 2


def test_text_folder_reports_empty_files_copies_and_texts_with_two_labels(tmp_path, logged):
    write(tmp_path, *several("a"), *several("b"), "a/x.txt", "b/x.txt", text="same")
    write(tmp_path, *several("a", 20), *several("b", 20))
    write(tmp_path, "a/empty.txt", text=" \n")
    loaded(tmp_path)
    said = logged()
    assert "21 texts are copies of an earlier one" in said
    assert (
        f"1 texts have two labels, such as {tmp_path}/a/20.txt (a) and {tmp_path}/b/20.txt (b)"
        in said
    )
    assert f"skipped, no text in them: 1 files, such as {tmp_path}/a/empty.txt" in said


def test_text_folder_reads_files_when_they_do_not_fit_into_memory(imdb, monkeypatch):
    whole = [loaded(imdb, labels)[0] for labels in (True, False)]
    monkeypatch.setattr(text_folder, "RAM_BUDGET", 100)
    by_number = [loaded(imdb, labels)[0] for labels in (True, False)]
    for one, other in zip(whole, by_number, strict=True):
        assert texts_of(one) == texts_of(other)
        assert all(part.table is None for part in other.values())
    labels = [np.concatenate([c["label"] for c in chunks(p)]) for p in by_number[0].values()]
    for expected, label in zip(whole[0].values(), labels, strict=True):
        np.testing.assert_array_equal(label, expected.table["label"])
    # A run tells when they change, not where they lie.
    moved = imdb.rename(imdb.with_name("moved"))
    identities = {name: part.identity for name, part in by_number[0].items()}
    assert {name: part.identity for name, part in loaded(moved)[0].items()} == identities
    (moved / "test" / "pos" / "3.txt").write_text("changed")
    changed = {name: part.identity for name, part in loaded(moved)[0].items()}
    assert changed["train"] == identities["train"]
    assert changed["test"] != identities["test"]


@pytest.mark.parametrize("labels", [True, False])
def test_text_folder_is_prepared_from_memory_and_from_files_alike(
    labels, imdb, monkeypatch, tmp_path
):
    def prepared():
        pipeline = pipelines.get("text_folder", data_files=str(imdb), max_length=16)
        if not labels:
            pipeline = tasks.source("masked_lm", pipeline)
        pipeline, rows, schema = tfds.load(pipeline)
        if not labels:
            pipeline, schema = tasks.over("masked_lm", pipeline, schema, {})
        return prepare(pipeline, schema, rows)

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    in_memory = prepared().inputs_of("train")
    monkeypatch.setattr(text_folder, "RAM_BUDGET", 100)
    on_disk = prepared().inputs_of("train")
    assert in_memory.num_rows == on_disk.num_rows
    index = np.arange(in_memory.num_rows)
    np.testing.assert_array_equal(
        in_memory.take(index)["tokens"].numpy(), on_disk.read(index)["tokens"]
    )


@pytest.mark.parametrize(
    ("files", "labels", "reason"),
    [
        ("gone", True, "data_files={top}/gone does not exist"),
        (
            "a.txt",
            True,
            "data_files={top}/a.txt is a file, expected a folder with a file for each text; a text "
            "on each line is for --pipeline=text_lines",
        ),
        (
            "a.csv",
            False,
            "data_files={top}/a.csv is a file, expected a folder with a file for each text; a "
            "column of texts is for --pipeline=text_table",
        ),
        (
            "flat",
            True,
            "{top}/flat has no folders of classes: expected {top}/flat/pos/*.txt; if each file is "
            "a class with a text on each line, write --pipeline=text_lines; texts without labels "
            "are for --task=masked_lm",
        ),
        (
            "large",
            True,
            "{top}/large: 2 files with 80 lines are 2 texts: if each line is a text, put the files "
            "into one folder, each with the name of its class, and write --pipeline=text_lines",
        ),
        (
            "large/pos",
            False,
            "{top}/large/pos: 1 files with 40 lines are 1 texts: if each line is a text, write "
            "--pipeline=text_lines",
        ),
        (
            "none",
            False,
            "{top}/none has no texts to train on: expected .txt files, a text in each",
        ),
        (
            "none",
            True,
            "{top}/none has one class only, 'a'; expected more",
        ),
        ("blank", True, "{top}/blank: none of its 4 files has a text in it"),
        ("blank", False, "{top}/blank: none of its 4 files has a text in it"),
        (
            "split",
            True,
            "{top}/split: test, train have no folders of classes in them: expected "
            "{top}/split/train/pos/*.txt; if they are the classes themselves, write "
            "--data_files=train={top}/split",
        ),
    ],
)
def test_text_folder_refuses_what_is_unclear(files, labels, reason, tmp_path):
    write(tmp_path, "a.txt", "a.csv", *several("flat"), "none/a/x.md")
    write(tmp_path, "large/pos/all.txt", "large/neg/all.txt", text=("a line\n" * 40).strip())
    write(tmp_path, *several("split/train"), *several("split/test"))
    write(tmp_path, *several("blank/a", 2), *several("blank/b", 2), text="\n")
    with pytest.raises(DataError) as caught:
        loaded(tmp_path / files, labels)
    assert str(caught.value) == reason.replace("{top}", str(tmp_path))
    assert isinstance(caught.value, MissingDataError) == (files == "gone")


def test_text_folder_says_what_a_few_long_files_may_be(tmp_path, logged):
    write(tmp_path, *several("", 15), text="{name}" + "\na line" * 40)
    loaded(tmp_path, labels=False, split_seed=1)
    assert (
        f"{tmp_path}: 15 files with 615 lines are 15 texts: if each line is a text, write "
        "--pipeline=text_lines"
    ) in logged()


def test_text_folder_shows_hostile_names_on_their_line_and_names_a_broken_link(tmp_path, logged):
    write(tmp_path, *several("a\u202e\nerror: x"), *several("b"))
    for folder in ("a\u202e\nerror: x", "b"):
        (tmp_path / folder / "\u202e\nsame.txt").write_text("same")
        (tmp_path / folder / "\u202e\nempty.txt").write_text("")
    _, schema = loaded(tmp_path)
    assert schema.class_names == ("a\u202e\nerror: x", "b")
    said = logged()
    assert all(line.isprintable() for line in said)
    assert not any(line.startswith(("error: x", "same", "empty")) for line in said)
    (tmp_path / "b" / "gone.txt").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"b/gone\.txt cannot be read: No such file"):
        loaded(tmp_path)


def test_text_folder_refuses_folders_that_may_be_splits_or_classes(tmp_path):
    write(tmp_path, *several("day/a"), *several("day/b"), *several("night/a"), *several("night/b"))
    for labels in (True, False):
        with pytest.raises(DataError, match=r"if its folders are splits.*--data_files=train="):
            loaded(tmp_path, labels)
    files = f"train={tmp_path}/day,test={tmp_path}/night"
    for labels in (True, False):
        assert len(texts_of(loaded(files, labels)[0])["test"]) == 60
