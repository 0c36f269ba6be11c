"""Lines of texts: which files, which have labels, and what each line gives."""

import pytest

from pipelines import DataError
from pipelines.files import line_files


def written(tmp_path, *lines: str, name: str = "a.tsv") -> str:
    path = tmp_path / name
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def test_labelled_lines_have_label_text_and_number(tmp_path):
    path = written(tmp_path, "label\ttext", "good\t fine film ", "", "bad\tno\tgood")
    [source] = line_files.sources(path)
    found = [(text.label, text.content, text.line) for text in line_files.labelled(source, "")]
    assert found == [("good", b"fine film", 2), ("bad", b"no\tgood", 4)]


def test_a_folder_has_a_class_a_file(tmp_path):
    written(tmp_path, "one", "two", name="x.txt")
    written(tmp_path, "three\tfour", name="y.txt")
    sources = line_files.sources(str(tmp_path))
    found = [(t.label, t.content) for s in sources for t in line_files.labelled(s, "")]
    assert found == [("x", b"one"), ("x", b"two"), ("y", b"three\tfour")]


@pytest.mark.parametrize(
    ("lines", "asked", "expected"),
    [
        (["a\tone", "b\ttwo", "a\tthree", "b\tfour"], "", True),
        (["a\tone", "b\ttwo", "a\tthree", "b\tfour"], "texts", False),
        (["one", "two", "three"], "", False),
        (["one", "two", "three"], "labelled", True),
        (["first half\tsecond half", "third\tfourth", "fifth\tsixth"], "", False),
    ],
)
def test_labels_are_known_by_all_lines(lines, asked, expected, tmp_path):
    path = written(tmp_path, *lines)
    sources = line_files.sources(path)
    assert line_files.have_labels(path, sources, "", asked) == expected


def test_one_line_in_twenty_without_a_label_is_refused_with_its_number(tmp_path):
    path = written(tmp_path, *[f"{'ab'[i % 2]}\ttext {i}" for i in range(19)], "no label here")
    sources = line_files.sources(path)
    with pytest.raises(DataError, match=r"a.tsv:20: expected a label.*lines=texts"):
        line_files.have_labels(path, sources, "", "")
