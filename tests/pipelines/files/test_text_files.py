"""Which files are meant, for which split, and their lines."""

import os
import re
import tracemalloc

import pytest

from pipelines import DataError, MissingDataError
from pipelines.files import text_files
from pipelines.files.text_files import LONGEST_LINE, by_split, encoding_of, expanded, lines


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


def test_by_split_and_expanded_take_lists_and_names_of_any_length(tmp_path):
    names = [f"file{i}.csv" for i in range(1000)]
    assert by_split(",".join(names)) == {"train": names}
    long = "n" * 5000 + "\u202e.csv"
    assert by_split(long) == {"train": [long]}
    for pattern in (long, f"~nobody/{long}"):
        with pytest.raises(MissingDataError, match=r"n…n.*n\\u202e\.csv is not a file") as caught:
            expanded(pattern, (".csv",))
        assert len(str(caught.value)) < 600


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


def test_lines_refuse_one_that_is_too_long_without_reading_the_rest(tmp_path):
    """60 GB that take no room on disk: of text, in no line, and of zeros."""
    tracemalloc.start()
    try:
        for name, start, reason in (
            ("a", "one\n" + "x" * (LONGEST_LINE + 1), "a:2: a line of more than 16,777,216 char"),
            ("zeros", "one\ntwo", "zeros:2: a NUL character"),
        ):
            path = tmp_path / name
            path.write_text(start)
            os.truncate(path, 60 * 2**30)
            with pytest.raises(DataError, match=reason):
                list(lines(str(path), "utf-8"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200 * 2**20


def test_lines_take_one_of_the_greatest_length(tmp_path):
    path = tmp_path / "a"
    path.write_text("x" * (LONGEST_LINE - 1) + "\ny")
    assert [len(line) for line in lines(str(path), "utf-8")] == [LONGEST_LINE, 1]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32", "shift_jis"])
def test_lines_name_the_line_of_a_fault_wherever_it_is_in_a_chunk(encoding, tmp_path, monkeypatch):
    """Byte and line as of the file decoded as a whole, for chunks that cut characters in two."""
    monkeypatch.setattr(text_files, "_CHUNK", 3)
    whole = "ab\r\n字\rc\n字\r\n字 d\n".encode(encoding)
    wrong = {"utf-8": b"\xff", "utf-16": b"\x00\xd8", "utf-32": b"\0\0\x11\0", "shift_jis": b"\xfd"}
    width = {"utf-16": 2, "utf-32": 4}.get(encoding, 1)
    for place in range(4 if width > 1 else 0, len(whole), width):
        content = whole[:place] + wrong[encoding] + whole[place + width :]
        with pytest.raises(UnicodeDecodeError) as caught:
            content.decode(encoding)
        before = content[: caught.value.start].decode(encoding)
        line = 1 + len(re.findall("\r\n|\r|\n", before))
        (tmp_path / "t").write_bytes(content)
        with pytest.raises(DataError, match=f"t:{line}: byte {content[caught.value.start]:#04x} "):
            list(lines(str(tmp_path / "t"), encoding))


def test_filled_counts_blank_lines_and_leaves_them_out(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\r\n \r\n\r\nzwei ü\n".encode("utf-16-le"))
    assert list(text_files.filled(str(path), "")) == [(1, "one\r\n"), (4, "zwei ü\n")]


def test_whole_is_the_text_of_a_file_with_line_feeds(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf\r\n one\r\n\r\ntwo\rthree\n\n")
    assert text_files.whole(str(path), "cp1252") == "one\n\ntwo\nthree"
    path.write_bytes(b"caf\xe9\n")
    assert text_files.whole(str(path), "cp1252") == "café"
    with pytest.raises(DataError, match=r"a\.txt:1: byte 0xe9 is not utf-8"):
        text_files.whole(str(path), "")


def test_check_size_names_the_largest_file(tmp_path):
    for name, size in (("a", 2**30), ("b", 3 * 2**30)):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, size)  # sparse
    paths = [str(tmp_path / name) for name in "ab"]
    text_files.check_size(paths, 2**32, "tables")
    with pytest.raises(DataError) as caught:
        text_files.check_size(paths, 2**31, "tables")
    expected = f"{paths[1]} has 3.0 GiB of 4.0 in all; tables of up to 2 GiB are read"
    assert str(caught.value) == expected
    with pytest.raises(DataError, match="gone cannot be read: No such file"):
        text_files.check_size([str(tmp_path / "gone")], 1, "tables")


def test_expanded_takes_no_hidden_file_of_a_folder(tmp_path):
    """What macOS writes beside files on other disks, and the lock of an editor, a broken link."""
    (tmp_path / "sport.txt").write_text("a text")
    (tmp_path / "._sport.txt").write_bytes(b"\0\5\x16\7")
    (tmp_path / ".#sport.txt").symlink_to("user@host.1234")
    assert expanded(str(tmp_path), (".txt",)) == [f"{tmp_path}/sport.txt"]
