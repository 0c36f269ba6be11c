"""Own texts: files to rows by value, and what is refused by file and line."""

import numpy as np
import pytest

import pipelines
from pipelines import DataError
from pipelines.storage import tfds as source

GOOD = "good\tthe film\tis fine\nbad\tdull\n\ngood\t好看的电影\nbad\t不好\n"


def rows_of(place, **options):
    """(text, label name) of every row, by split; short texts, so that splits are half and half."""
    shares = {"validation": 0.3, "test": 0.3}
    pipeline = pipelines.get("text_lines", data_files=str(place), **shares, **options)
    pipeline, rows = source.load(pipeline)
    names = pipeline.class_names
    return pipeline, {
        split: [
            (text.decode(), names[label])
            for text, label in zip(r.table["text"], r.table["label"], strict=True)
        ]
        for split, r in rows.items()
    }


def write(path, content: str | bytes, encoding: str = "utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


@pytest.fixture
def many(tmp_path):
    lines = [f"{'good' if i % 2 else 'bad'}\ttext {i} 好" for i in range(60)]
    return write(tmp_path / "many.tsv", "\n".join(lines))


def test_labels_and_texts_are_those_of_the_file(many):
    pipeline, rows = rows_of(many)
    assert pipeline.class_names == ("bad", "good")
    assert pipeline.task == "binary"
    everything = sorted(row for part in rows.values() for row in part)
    assert everything == sorted((f"text {i} 好", "good" if i % 2 else "bad") for i in range(60))
    assert set(rows) == {"train", "validation", "test"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_and_line_ends_make_no_difference(tmp_path, encoding, end):
    train = write(tmp_path / "a.tsv", GOOD.replace("\n", end), encoding)
    given = f"train={train},validation={train},test={train}"
    _, rows = rows_of(given)
    expected = [
        ("the film\tis fine", "good"),
        ("dull", "bad"),
        ("好看的电影", "good"),
        ("不好", "bad"),
    ]
    assert rows["train"] == rows["test"] == expected


def test_another_encoding_by_option(tmp_path):
    train = write(tmp_path / "a.tsv", "x\tété\ny\tnon\n", "cp1252")
    given = f"train={train},validation={train},test={train}"
    with pytest.raises(DataError, match=r"a\.tsv:1: byte 0xe9 is not utf-8"):
        rows_of(given)
    assert rows_of(given, encoding="cp1252")[1]["train"] == [("été", "x"), ("non", "y")]


def test_a_folder_has_a_file_for_each_class(tmp_path):
    for name in ("sport", "politics", "weather"):
        write(tmp_path / "news" / f"{name}.txt", "".join(f"{name} {i}\tx\n" for i in range(30)))
    write(tmp_path / "news" / "notes.md", "no class")
    pipeline, rows = rows_of(tmp_path / "news")
    assert pipeline.class_names == ("politics", "sport", "weather")
    assert pipeline.task == "classification"
    for part in rows.values():
        assert part
        assert all(text.startswith(label) for text, label in part)


def test_more_texts_move_none(many):
    _, before = rows_of(many)
    write(many, many.read_text(encoding="utf-8") + "\n" + "good\tone more\n" * 3)
    _, after = rows_of(many)
    for split, part in before.items():
        assert part == [row for row in after[split] if row[0] != "one more"]


def test_copies_and_contradictions_are_told(tmp_path, capsys):
    train = write(tmp_path / "a.tsv", "good\tsame\nbad\tsame\ngood\tsame\nbad\tother\n")
    test = write(tmp_path / "b.tsv", "bad\tother\n")
    rows_of(f"train={train},validation={test},test={test}")
    told = capsys.readouterr().err
    assert "1 texts stand under two labels" in told
    assert f"{train}:1 (good) and {train}:2 (bad)" in told
    assert "1 texts of test are in train too" in told
    assert "4 texts are copies of an earlier one" in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("good\tfine\nno tab here\n", "a.tsv:2: expected a label, a tab and a text"),
        ("\tfine\n", "a.tsv:1: expected a label"),
        (b"good\tfine\nbad\t\xff\n", "a.tsv:2: byte 0xff is not utf-8"),
        ("good\tfi\0ne\n", "a.tsv:1: a NUL"),
        ("", "has no text in it"),
        ("good\t \n\n", "has no text in it"),
        ("good\ta\ngood\tb\n", "two classes or more, found good"),
        (b"PK\x03\x04", "an Excel or ZIP file"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, content, told):
    with pytest.raises(DataError, match=told):
        rows_of(write(tmp_path / "a.tsv", content))


def test_places_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    for place, told in {
        tmp_path / "nowhere": "is no file",
        tmp_path / "empty": "is no file, nor a folder or pattern of .txt files",
        "tests=a.tsv": "the splits are train, validation, test",
        "test=a.tsv": "no file is for train",
        "a.tsv,test=b.tsv": "of every file, or of none",
    }.items():
        with pytest.raises(DataError, match=told):
            rows_of(place)
    train = write(tmp_path / "a.tsv", GOOD)
    test = write(tmp_path / "b.tsv", "odd\tx\n")
    with pytest.raises(DataError, match=r"b\.tsv:1: label 'odd' is not in the training texts"):
        rows_of(f"train={train},test={test}")


def test_the_target_is_as_declared(many):
    pipeline, _ = rows_of(many)
    rows = pipelines.prepared(pipeline, pipeline.read()).rows
    assert rows["train"].table["label"].dtype == np.int64
