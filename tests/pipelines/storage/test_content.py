"""Hashes of files' contents: read once, and again as soon as anybody has touched the file."""

import hashlib
import json
import os
import pathlib
import tempfile

import pytest

from pipelines.storage import content


@pytest.fixture
def read(monkeypatch):
    """The names of the files that were read, as they are read."""
    names, real = [], hashlib.file_digest

    def noted(file, algorithm):
        names.append(pathlib.Path(file.name).name)
        return real(file, algorithm)

    monkeypatch.setattr(hashlib, "file_digest", noted)
    monkeypatch.setattr(content, "_YOUNG", -1)  # as if all files were old
    return names


def two_files(folder: pathlib.Path) -> list[pathlib.Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / "a", folder / "b"]
    for path in paths:
        path.write_bytes(path.name.encode() * 1000)
    return paths


def test_digests_are_those_of_the_whole_content_and_read_once(tmp_path, read):
    paths = two_files(tmp_path)
    found = content.digests(paths, str(tmp_path))
    assert found == [hashlib.sha256(c * 1000).hexdigest()[:32] for c in (b"a", b"b")]
    assert sorted(read) == ["a", "b"]
    assert content.digests(paths, str(tmp_path)) == found
    assert len(read) == 2


def test_file_that_was_changed_with_the_same_size_and_time_is_read_again(tmp_path, read):
    paths = two_files(tmp_path)
    before = content.digests(paths, str(tmp_path))
    status = paths[0].stat()
    paths[0].write_bytes(b"c" * 1000)
    os.utime(paths[0], ns=(status.st_atime_ns, status.st_mtime_ns))
    after = content.digests(paths, str(tmp_path))
    assert after[1] == before[1]
    assert after[0] == hashlib.sha256(b"c" * 1000).hexdigest()[:32]
    assert read[2:] == ["a"]


def test_file_just_written_is_not_remembered(tmp_path, read, monkeypatch):
    """It could change again within the tick of its time."""
    monkeypatch.setattr(content, "_YOUNG", 2 * 10**9)
    paths = two_files(tmp_path)
    for _ in range(2):
        content.digests(paths, str(tmp_path))
    assert len(read) == 4
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("damage", [b"", b"[1]", b'{"x": 3}', b"\xff", b'{"/a": ["short"]}'])
def test_damaged_memory_is_made_again(damage, tmp_path, read):
    paths = two_files(tmp_path)
    memory = tmp_path / ".content-hashes.json"
    memory.write_bytes(damage.replace(b"/a", os.fsencode(paths[0])))
    found = content.digests(paths, str(tmp_path))
    assert found[0] != found[1]
    assert json.loads(memory.read_text())[str(paths[0])][-1] == found[0]


def test_memory_that_cannot_be_written_costs_only_time(tmp_path, read, monkeypatch):
    paths = two_files(tmp_path)

    def full(path, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    for _ in range(2):
        content.digests(paths, str(tmp_path))
    assert len(read) == 4
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_memory_of_a_read_only_folder_is_kept_for_this_user(tmp_path, read, monkeypatch):
    paths, real = two_files(tmp_path / "data"), os.access
    (tmp_path / "temp").mkdir()
    monkeypatch.setattr(
        os, "access", lambda path, mode: "data" not in str(path) and real(path, mode)
    )
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    for _ in range(2):
        content.digests(paths, str(tmp_path / "data"))
    assert len(read) == 2
    assert sorted(os.listdir(tmp_path / "data")) == ["a", "b"]
