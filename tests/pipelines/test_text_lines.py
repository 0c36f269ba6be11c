"""Texts of one's own: files to rows by value, and what is refused by file and line."""

import numpy as np
import pytest

import pipelines
from pipelines import DataError
from pipelines.core.prepared import prepare
from pipelines.files import line_files
from pipelines.storage import tfds
from zoo.spec import Field

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
        (
            "t.txt",
            '{"text": "a", "label": "b"}',
            "these are JSON lines; for a column of texts write --pipeline=text_table",
        ),
        (
            "t.csv",
            "a good film,pos",
            "this is a table; for a column of texts write --pipeline=text_table",
        ),
        ("t.txt", '"a good film, and long",pos', "if this is a table, for a column of texts write"),
    ],
)
def test_text_lines_says_what_a_file_of_another_kind_is(name, line, reason, tmp_path):
    path = write(tmp_path / name, line + "\n")
    with pytest.raises(DataError, match=f":1: expected a label, a tab and a text, .*: {reason}"):
        pipelines.get("text_lines", data_files=path).read()


def test_text_lines_refuse_texts_before_the_tab(tmp_path):
    """As in GLUE's files; each text would be a class."""
    lines = ["sentence\tlabel", *(f"the film number {i}\t{i % 2}" for i in range(60))]
    path = write(tmp_path / "train.tsv", "\n".join(lines))
    with pytest.raises(DataError) as caught:
        rows_of(path)
    assert str(caught.value) == (
        f"{path}: 61 of 61 lines have a label that no other line has, such as 'the film number 10'"
        ": expected a label, a tab and a text; if the text comes first, write the label first with "
        r"awk -F'\t' '{print $2 FS $1}'; if these are labels, --pipeline_options=lines=labelled"
    )
    own = write(tmp_path / "own.tsv", "\n".join(f"class {i}\ttext {i}" for i in range(60)))
    assert len(rows_of(own, lines="labelled")[0].class_names) == 60


def texts_of(files, **options) -> dict[str, list[str]]:
    """The texts of each split, read without labels."""
    options = {"validation": 0.3, "test": 0.3, **options}
    pipeline = pipelines.get("text_lines", data_files=str(files), **options).unlabelled()
    _, rows, schema = tfds.load(pipeline)
    assert (schema.task, schema.target, dict(schema.raw)) == (
        "masked_lm",
        None,
        {"text": Field((), "string")},
    )
    assert {part.target for part in rows.values()} == {None}
    return {name: [t.decode() for t in part.table["text"]] for name, part in rows.items()}


def joined(parts: dict[str, list[str]]) -> list[str]:
    return sorted(text for part in parts.values() for text in part)


def test_text_lines_without_labels_take_each_line_of_a_plain_file(tmp_path, logged):
    lines = [f'第 {i} line, said "she"' if i % 2 else f"It was {i} o'clock." for i in range(60)]
    book = write(tmp_path / "book.txt", "text\r\n" + "\r\n\r\n".join(lines), "utf-16")
    found = texts_of(book)
    assert joined(found) == sorted(lines)
    assert all(found.values())
    said = logged()
    assert f"{book}:1: taken as a header: text" in said
    assert f"{book}: 60 texts" in said


def test_text_lines_without_labels_drop_those_of_every_line(many, logged):
    found = texts_of(many)
    assert joined(found) == sorted(f"text {i} 好" for i in range(60))
    assert any(
        line == f"{many}: each of 60 lines has one of 2 labels before a tab: the labels are "
        "dropped; lines=texts takes each line whole"
        for line in logged()
    )
    assert joined(texts_of(many, lines="texts"))[0] == "bad\ttext 0 好"
    # No text that a classifier is validated or tested on is trained on before.
    _, rows = rows_of(many)
    assert {split: [text for text, _ in part] for split, part in rows.items()} == found


def test_text_lines_without_labels_take_lines_whole_where_few_have_a_tab(tmp_path, logged):
    lines = [f"verse {i}\tof {i}" if i % 4 == 0 else f"verse {i}" for i in range(60)]
    song = write(tmp_path / "song.txt", "\n".join(lines))
    assert joined(texts_of(song)) == sorted(lines)
    assert any(
        line == f"{song}: 15 of 60 lines have a tab with something before it: each line is taken "
        "whole; lines=labelled drops what is before the tab"
        for line in logged()
    )


def test_text_lines_without_labels_take_two_languages_for_no_label(tmp_path, logged):
    lines = [f"sentence {i}\tphrase {i}" for i in range(60)]
    pairs = write(tmp_path / "pairs.tsv", "\n".join(lines))
    assert joined(texts_of(pairs)) == sorted(lines)
    assert "60 of 60 lines have a tab with something before it, 60 different ones" in "".join(
        logged()
    )
    assert joined(texts_of(pairs, lines="labelled")) == sorted(f"phrase {i}" for i in range(60))


def test_text_lines_without_labels_of_a_folder_take_each_line_of_each_file(tmp_path, logged):
    for name in ("one", "two"):
        write(tmp_path / "books" / f"{name}.txt", "".join(f"{name}\t{i}\n" for i in range(30)))
    assert joined(texts_of(tmp_path / "books")) == sorted(
        f"{name}\t{i}" for name in ("one", "two") for i in range(30)
    )
    files = f"train={tmp_path}/books/one.txt,test={tmp_path}/books/two.txt"
    found = texts_of(files, lines="texts")
    assert set(found["test"]) == {f"two\t{i}" for i in range(30)}
    assert not any(text.startswith("two") for text in found["train"] + found["validation"])


def test_text_lines_without_labels_report_copies_and_a_test_that_training_has(tmp_path, logged):
    train = write(tmp_path / "a.txt", "".join(f"line {i % 30}\n" for i in range(40)))
    test = write(tmp_path / "b.txt", "line 1\nline 2\nelse\n")
    texts_of(f"train={train},test={test}", validation=0.01, split_seed=3)
    said = "\n".join(logged())
    assert f"train={train},test={test}: 43 texts" in said
    assert "12 texts are copies of an earlier one" in said
    assert "2 texts of test are in train too: its figures flatter the model" in said


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (
            "a.txt",
            "x\tone\ny\ttwo\n" * 10 + "three\n",
            "a.txt:21: expected a label, a tab and a text, as in 20 other lines, received 'three': "
            "correct it, and labels are dropped; or take each line whole, labels too, with "
            "--pipeline_options=lines=texts",
        ),
        (
            "a.csv",
            "label,text\n",
            "a.csv:1: this is a table; for a column of texts write --pipeline=text_table "
            "--data_files={path}, or take each line as a text with --pipeline_options=lines=texts",
        ),
        (
            "a.jsonl",
            '\n{"text": "a"}\n',
            "a.jsonl:2: these are JSON lines; for a column of texts write --pipeline=text_table "
            "--data_files={path}, or take each line as a text with --pipeline_options=lines=texts",
        ),
        (
            "a.txt",
            "__label__pos fine\n",
            "a.txt:1: this is fastText's form; write it with sed -E 's/^__label__([^ ]+) /\\1\\t/'"
            ", or take each line as a text with --pipeline_options=lines=texts",
        ),
    ],
)
def test_text_lines_without_labels_refuse_what_is_unclear(name, content, reason, tmp_path):
    path = write(tmp_path / name, content)
    with pytest.raises(DataError) as caught:
        texts_of(path)
    assert str(caught.value) == f"{tmp_path}/{reason.replace('{path}', str(path))}"
    with pytest.raises(DataError, match=r"too few|by chance"):  # as texts, of which there are few
        texts_of(path, lines="texts", validation=0.001, test=0.001)


def test_text_lines_refuse_other_values_of_lines(many):
    with pytest.raises(DataError, match="lines=words: expected texts or labelled, or nothing"):
        texts_of(many, lines="words")
    with pytest.raises(
        DataError,
        match="lines=texts: with labels lines are labelled; texts without labels are for "
        "--task=masked_lm",
    ):
        rows_of(many, lines="texts")
    assert rows_of(many, lines="labelled") == rows_of(many)
    plain = write(many.parent / "plain.txt", "fine\n")
    with pytest.raises(DataError) as caught:
        texts_of(plain, lines="labelled")
    assert str(caught.value) == (
        f"{plain}:1: expected a label, a tab and a text, received 'fine'; take each line whole "
        "with --pipeline_options=lines=texts"
    )


def test_text_lines_with_labels_say_what_plain_lines_are_for(tmp_path):
    book = write(tmp_path / "books" / "book.txt", "It was a dark night.\nIt rained.\n")
    with pytest.raises(DataError) as caught:
        rows_of(book)
    assert str(caught.value) == (
        f"{book}:1: expected a label, a tab and a text, received 'It was a dark night.'; texts "
        "without labels are for --task=masked_lm"
    )
    with pytest.raises(DataError) as caught:
        rows_of(book.parent)
    assert str(caught.value) == (
        f"{book.parent}: expected two classes or more, a file for each, received one file, {book}; "
        "texts without labels are for --task=masked_lm"
    )


def test_text_lines_name_the_pipeline_of_folders_where_files_are_texts(tmp_path, logged):
    for i in range(25):
        write(tmp_path / "flat" / f"{i}.txt", "a text\nof two lines\n")
        write(tmp_path / "deep" / "train" / "pos" / f"{i}.txt", "a text")
    write(tmp_path / "deep" / "words.txt", "a\nb\n")
    expected = (
        f"{tmp_path}/flat: 25 files with 50 lines would be 25 classes: if each file is a text, put "
        "those of a class into a folder of its own and write --pipeline=text_folder; without "
        "classes, --pipeline=text_folder --task=masked_lm"
    )
    with pytest.raises(DataError) as caught:
        rows_of(tmp_path / "flat")
    assert str(caught.value) == expected
    for read in (rows_of, texts_of):
        with pytest.raises(DataError) as caught:
            read(tmp_path / "deep")
        assert str(caught.value) == (
            f"{tmp_path}/deep has its .txt files in folders below it: if each file is a text, "
            f"write --pipeline=text_folder --data_files={tmp_path}/deep; else move them elsewhere"
        )
    write(tmp_path / "flat" / "more.txt", "".join(f"line {i}\n" for i in range(60)))
    texts_of(tmp_path / "flat")
    assert (
        f"{tmp_path}/flat: 110 lines of 26 files are a text each; if each file is one text, write "
        "--pipeline=text_folder"
    ) in logged()


def test_text_lines_refuse_more_than_memory_holds(many, monkeypatch):
    monkeypatch.setattr(line_files, "RAM_BUDGET", 100)
    for read in (rows_of, texts_of):
        with pytest.raises(DataError, match=r"many\.tsv has .* GiB .*; texts of up to 0 GiB are r"):
            read(many)
