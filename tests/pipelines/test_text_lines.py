"""Texts of one's own: files to rows by value, and what is refused by file and line."""

import numpy as np
import pytest

import pipelines
from pipelines import DataError
from pipelines.core.prepared import prepare
from pipelines.storage import tfds

GOOD = "good\tthe film\tis fine\nbad\tdull\n\ngood\t好看的电影\nbad\t不好\n"


def rows_of(files, **options):
    """Schema, and (text, label name) of every row by split; few texts, so splits are large."""
    fractions = {"validation": 0.3, "test": 0.3}
    pipeline = pipelines.get("text_lines", data_files=str(files), **fractions, **options)
    _, rows, schema = tfds.load(pipeline)
    return schema, {
        split: [
            (text.decode(), schema.class_names[label])
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


def test_text_lines_are_those_of_the_file(many):
    schema, rows = rows_of(many)
    assert schema.class_names == ("bad", "good")
    assert schema.task == "binary"
    everything = sorted(row for part in rows.values() for row in part)
    assert everything == sorted((f"text {i} 好", "good" if i % 2 else "bad") for i in range(60))
    assert set(rows) == {"train", "validation", "test"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_text_lines_are_the_same_in_any_encoding_and_with_any_line_end(tmp_path, encoding, end):
    train = write(tmp_path / "a.tsv", GOOD.replace("\n", end), encoding)
    _, rows = rows_of(f"train={train},validation={train},test={train}")
    expected = [
        ("the film\tis fine", "good"),
        ("dull", "bad"),
        ("好看的电影", "good"),
        ("不好", "bad"),
    ]
    assert rows["train"] == rows["test"] == expected


def test_text_lines_take_another_encoding_by_option(tmp_path):
    train = write(tmp_path / "a.tsv", "x\tété\ny\tnon\n", "cp1252")
    files = f"train={train},validation={train},test={train}"
    with pytest.raises(DataError, match=r"a\.tsv:1: byte 0xe9 is not utf-8"):
        rows_of(files)
    assert rows_of(files, encoding="cp1252")[1]["train"] == [("été", "x"), ("non", "y")]


def test_text_lines_of_a_folder_have_a_file_for_each_class(tmp_path):
    for name in ("sport", "politics", "weather"):
        write(tmp_path / "news" / f"{name}.txt", "".join(f"{name} {i}\tx\n" for i in range(30)))
    write(tmp_path / "news" / "notes.md", "no class")
    schema, rows = rows_of(tmp_path / "news")
    assert schema.class_names == ("politics", "sport", "weather")
    assert schema.task == "classification"
    for part in rows.values():
        assert part
        assert all(text.startswith(label) for text, label in part)


def test_text_lines_move_none_when_more_come(many):
    _, before = rows_of(many)
    write(many, many.read_text(encoding="utf-8") + "\n" + "good\tone more\n" * 3)
    _, after = rows_of(many)
    for split, part in before.items():
        assert part == [row for row in after[split] if row[0] != "one more"]


def test_text_lines_report_copies_and_contradictions(tmp_path, logged):
    train = write(tmp_path / "a.tsv", "good\tsame\nbad\tsame\ngood\tsame\nbad\tother\n")
    test = write(tmp_path / "b.tsv", "bad\tother\n")
    rows_of(f"train={train},validation={test},test={test}")
    lines = logged()
    assert f"1 texts have two labels, such as {train}:1 (good) and {train}:2 (bad)" in lines
    assert "1 texts of test are in train too: its figures flatter the model" in lines
    assert "4 texts are copies of an earlier one" in lines


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("good\tfine\nno tab here\n", "a.tsv:2: expected a label, a tab and a text"),
        ("\tfine\n", "a.tsv:1: expected a label"),
        (b"good\tfine\nbad\t\xff\n", "a.tsv:2: byte 0xff is not utf-8"),
        ("good\tfi\0ne\n", "a.tsv:1: a NUL"),
        ("", "has no text in it"),
        ("good\t \n\n", "has no text in it"),
        ("good\ta\ngood\tb\n", "two classes or more, received good"),
        (b"PK\x03\x04", "an Excel or ZIP file"),
    ],
)
def test_text_lines_refuse_files_that_cannot_be_read(tmp_path, content, reason):
    with pytest.raises(DataError, match=reason):
        rows_of(write(tmp_path / "a.tsv", content))


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ("nowhere", "is not a file"),
        ("empty", "is not a file, nor a folder or pattern of .txt files"),
        ("tests=a.tsv", "the splits are train, validation, test"),
        ("test=a.tsv", "no file is for train"),
        ("a.tsv,test=b.tsv", "of every file, or of none"),
        ("train=a.tsv,test=b.tsv", r"b\.tsv:1: label 'odd' is not in the training texts"),
    ],
)
def test_text_lines_refuse_files_that_cannot_be_meant(files, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write(tmp_path / "a.tsv", GOOD)
    write(tmp_path / "b.tsv", "odd\tx\n")
    with pytest.raises(DataError, match=reason):
        rows_of(files)


def test_text_lines_are_prepared_with_the_target_that_was_declared(many):
    pipeline, rows, schema = tfds.load(pipelines.get("text_lines", data_files=str(many)))
    prepared = prepare(pipeline, schema, rows)
    assert prepared.rows["train"].table["label"].dtype == np.int64
    assert prepared.spec.inputs["tokens"].length == 256
    assert prepared.spec.num_outputs == 1


MANY = "".join(f"{'xy'[i % 2]}\ttext number {i}\n" for i in range(60))


def test_text_lines_takes_names_of_columns_in_the_first_line_for_a_header(tmp_path, logged):
    path = write(tmp_path / "t.tsv", "Label\tText\n" + MANY)
    _, schema = pipelines.get("text_lines", data_files=path).read()
    assert schema.class_names == ("x", "y")
    assert f"{path}:1: taken as a header: Label\\tText" in "\n".join(logged())


def test_text_lines_warns_of_a_first_line_with_a_class_of_its_own(tmp_path, logged):
    path = write(tmp_path / "t.tsv", "mood\twords\n" + MANY)
    pipelines.get("text_lines", data_files=path).read()
    expected = f"warning: {path}:1: class 'mood' has this text only, 'words': delete the line if"
    assert any(line.startswith(expected) for line in logged())


@pytest.mark.parametrize(
    ("name", "line", "reason"),
    [
        ("t.txt", "__label__neg bad day", "this is fastText's form; write it with sed -E"),
        ("t.txt", '{"text": "a", "label": "b"}', "these are JSON lines; write a label, a tab"),
        ("t.csv", "a good film,pos", "this is a table; columns are for --pipeline=csv"),
        ("t.txt", '"a good film, and long",pos', "this is a table; columns are for"),
    ],
)
def test_text_lines_says_what_a_file_of_another_kind_is(name, line, reason, tmp_path):
    path = write(tmp_path / name, line + "\n")
    with pytest.raises(DataError, match=f":1: expected a label, a tab and a text, .*: {reason}"):
        pipelines.get("text_lines", data_files=path).read()
