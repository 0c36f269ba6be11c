"""Which files are meant, for which split, and their lines."""

import pytest

from pipelines import DataError, MissingDataError
from pipelines.files.text_files import by_split, encoding_of, expanded, lines


@pytest.mark.parametrize(
    ("data_files", "expected"),
    [
        ("a.csv", {"train": ["a.csv"]}),
        ("a.csv, b.csv", {"train": ["a.csv", "b.csv"]}),
        ("data/*.csv", {"train": ["data/*.csv"]}),
        ("train=a.csv,test=b.csv", {"train": ["a.csv"], "test": ["b.csv"]}),
        (
            "train=a.csv,validation=b.csv,train=c.csv",
            {"train": ["a.csv", "c.csv"], "validation": ["b.csv"]},
        ),
    ],
)
def test_by_split_reads_the_splits_that_are_named(data_files, expected):
    assert by_split(data_files) == expected


def test_by_split_takes_a_file_of_any_name_that_exists(tmp_path):
    path = tmp_path / "x=1,test=2.csv"
    path.touch()
    assert by_split(str(path)) == {"train": [str(path)]}


@pytest.mark.parametrize(
    ("data_files", "reason"),
    [
        ("tests=a.csv", "'tests=a.csv': the splits are train, validation, test"),
        ("test=a.csv", "no file is for train"),
        ("a.csv,test=b.csv", "name the split of every file, or of none"),
    ],
)
def test_by_split_refuses_what_cannot_be_meant(data_files, reason):
    with pytest.raises(DataError, match=reason):
        by_split(data_files)


def test_expanded_finds_files_folders_and_patterns_sorted(tmp_path):
    for name in ("b.csv", "a.CSV", "c.tsv", "notes.md"):
        (tmp_path / name).touch()
    found = [str(tmp_path / name) for name in ("a.CSV", "b.csv", "c.tsv")]
    assert expanded(str(tmp_path), (".csv", ".tsv")) == found
    assert expanded(f"{tmp_path}/*.csv", (".csv",)) == found[1:2]
    assert expanded(f"{tmp_path}/notes.md", (".csv",)) == [f"{tmp_path}/notes.md"]
    for pattern in (f"{tmp_path}/*.txt", f"{tmp_path}/gone"):
        with pytest.raises(MissingDataError, match=r"is not a file, nor a folder or pattern of"):
            expanded(pattern, (".csv", ".tsv"))


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-32", "cp1252"]
)
def test_encoding_of_a_file_is_that_of_its_mark_or_of_the_option(encoding, tmp_path):
    content = "été\nzwei"
    marked = (
        content.encode(encoding)
        if "bom" not in encoding
        else b"\xff\xfe" + content.encode("utf-16-le")
    )
    (tmp_path / "t").write_bytes(marked)
    option = "cp1252" if encoding == "cp1252" else ""
    chosen = encoding_of(str(tmp_path / "t"), option)
    assert list(lines(str(tmp_path / "t"), chosen)) == ["été\n", "zwei"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04x", "is not text but an Excel or ZIP file"),
        (b"\x1f\x8bx", "not text but compr"),
    ],
)
def test_encoding_of_refuses_what_is_not_text(content, reason, tmp_path):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(DataError, match=reason):
        encoding_of(str(tmp_path / "t"))
    with pytest.raises(DataError, match="gone cannot be read: No such file"):
        encoding_of(str(tmp_path / "gone"))


@pytest.mark.parametrize(
    ("content", "encoding", "reason"),
    [
        (b"a\r\nb\rc\n\xff\n", "utf-8", "t:4: byte 0xff is not utf-8: save the file as UTF-8"),
        (b"a\nb\0\n", "utf-8", "t:2: a NUL character"),
        (b"a\n", "utf8000", "encoding='utf8000' is unknown to Python"),
        (b"\xff\xfea\0b", "utf-16", "t:1: byte 0x62 is not utf-16"),
    ],
)
def test_lines_name_the_line_of_a_fault(content, encoding, reason, tmp_path):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(DataError, match=reason):
        list(lines(str(tmp_path / "t"), encoding))
