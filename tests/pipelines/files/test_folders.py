"""Folders of people's data, and those of their operating systems."""

import unicodedata

import pytest

from pipelines import DataError
from pipelines.files import folders


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, True) for name in ("@eaDir", "$RECYCLE.BIN", "Thumbs.db", ".git", "FOUND.000")),
        *((name, False) for name in ("cat", "found", "recycling", "lost")),
    ],
)
def test_is_system_knows_what_systems_leave(name, expected):
    assert folders.is_system(name) == expected


def test_subfolders_are_sorted_by_their_composed_names(tmp_path):
    for name in ("b", unicodedata.normalize("NFD", "\u00e9t\u00e9"), "a", "__MACOSX"):
        (tmp_path / name).mkdir()
    (tmp_path / "file.txt").write_text("x")
    found = folders.subfolders(tmp_path)
    assert list(found) == ["a", "b", "\u00e9t\u00e9"]
    assert found["\u00e9t\u00e9"].name == unicodedata.normalize("NFD", "\u00e9t\u00e9")
    (tmp_path / "\u00e9t\u00e9").mkdir()
    with pytest.raises(DataError, match="the same name in different spellings"):
        folders.subfolders(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        folders.subfolders(tmp_path / "gone")
