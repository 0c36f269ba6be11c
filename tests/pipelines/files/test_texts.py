"""Texts as rows: splits by content alone, and what is said of copies."""

import csv

import numpy as np
import pytest

import pipelines
from pipelines import DataError
from pipelines.files import texts
from pipelines.files.table import Cut
from pipelines.files.texts import Text
from trainers.tasks import registry as tasks

ROWS = [(("bad", "good")[i % 2], f"what number {i} said 好") for i in range(40)]


def gathered(*rows, separate=("train",), keep=True):
    """Texts of (split, label, content), each on a line of its own."""
    found = (
        Text(split, label, content.encode(), "a.txt", i)
        for i, (split, label, content) in enumerate(rows, start=1)
    )
    return texts.gathered(found, separate, keep=keep)


def test_a_text_is_in_the_same_split_in_every_layout_with_and_without_labels(tmp_path):
    (tmp_path / "a.tsv").write_text("".join(f"{k}\t{t}\n" for k, t in ROWS), encoding="utf-8")
    (tmp_path / "plain.txt").write_text("".join(f"{t}\n" for _, t in ROWS), encoding="utf-8")
    with open(tmp_path / "a.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("y", "said"), *ROWS])
    for i, (label, text) in enumerate(ROWS):
        (tmp_path / "top" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "top" / label / f"{i}.txt").write_text(text, encoding="utf-8")
    layouts = [
        ("text_lines", "a.tsv", (True, False)),
        ("text_lines", "plain.txt", (False,)),
        ("text_folder", "top", (True, False)),
        ("text_table", "a.csv", (True, False)),
    ]
    found = []
    for name, files, kinds in layouts:
        target = {"target": "y"} if name == "text_table" else {}
        pipeline = pipelines.get(name, data_files=str(tmp_path / files), **target)
        for labels in kinds:
            read = pipeline if labels else tasks.source("masked_lm", pipeline)
            rows, schema = read.read()
            [field] = schema.raw
            found.append({name: sorted(part.table[field]) for name, part in rows.items()})
    assert all(other == found[0] for other in found)
    assert sum(map(len, found[0].values())) == 40


def test_gathered_keeps_contents_or_paths_and_the_same_digests():
    rows = [("train", "x", "one"), ("test", "y", "two")]
    kept, left = gathered(*rows, separate=("train", "test")), gathered(*rows, keep=False)
    assert kept.contents.tolist() == [b"one", b"two"]
    assert left.contents.tolist() == [b"a.txt", b"a.txt"]
    np.testing.assert_array_equal(kept.digest, left.digest)
    assert (kept.where(1), kept.separate, left.separate) == ("a.txt:2", ("test",), ())


def test_labelled_takes_its_classes_from_training_texts():
    few = [("train", "x", f"text {i}") for i in range(9)]
    cut = Cut(0, 0.3, 0.3)
    with pytest.raises(DataError, match="a: expected two classes or more, received x"):
        texts.labelled(gathered(*few), "a", cut)
    found = gathered(*few, ("train", "y", "other"), ("test", "z", "odd"), separate=("test",))
    with pytest.raises(DataError, match=r"a\.txt:11: label 'z' is not in the training texts"):
        texts.labelled(found, "a", cut)


def test_copies_tell_those_of_another_label_with_both_places():
    found = gathered(
        ("train", "x", "same"), ("train", "y", "same"), ("test", "x", "same"), ("train", "y", "b")
    )
    assert list(texts.copies(found.digest, found.labels, found.where)) == [
        "2 texts are copies of an earlier one",
        "1 texts have two labels, such as a.txt:1 (x) and a.txt:2 (y)",
    ]
    assert list(texts.copies(found.digest[2:], found.labels[2:], found.where)) == []


def test_summary_names_twenty_classes_at_most():
    rows = [("train", f"class {i:02}", f"text {i}") for i in range(25)]
    digest = dict.fromkeys(pipelines.SPLITS, np.zeros(0, np.int64))
    head, classes, numbers = texts.summary(gathered(*rows), "a", digest)
    assert head == "a: 25 texts, 25 classes"
    assert classes.startswith("class 00 1, class 01 1, ")
    assert classes.endswith(", class 19 1 and 5 more")
    assert numbers == "0 train, 0 validation, 0 test"
