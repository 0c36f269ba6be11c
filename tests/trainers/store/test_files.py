"""Files that are whole or absent, and hashes."""

import hashlib
import os

import numpy as np
import pytest

from trainers.errors import ArtefactError
from trainers.store import files


@pytest.mark.parametrize("content", [b"new", lambda file: file.write(b"new")])
def test_replace_whole_writes_bytes_or_what_a_function_writes(content, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    files.replace_whole(path, content)
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_replace_whole_that_fails_leaves_the_old_file_alone(function, tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(OSError, match="No space"):
        files.replace_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.json"]


def test_replace_whole_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    fsync, replace, done = os.fsync, os.replace, []
    monkeypatch.setattr(os, "fsync", lambda handle: done.append("synced") or fsync(handle))
    monkeypatch.setattr(os, "replace", lambda a, b: done.append("renamed") or replace(a, b))
    files.replace_whole(tmp_path / "a", b"new")
    assert done == ["synced", "renamed"]


def test_replace_whole_refuses_a_link_in_its_way(tmp_path, monkeypatch):
    """Somebody who guessed the name could lead the write to another file."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    monkeypatch.setattr(files.secrets, "token_hex", lambda size: "guessed")
    (tmp_path / ".writing-guessed").symlink_to(victim)
    with pytest.raises(FileExistsError):
        files.replace_whole(tmp_path / "a", b"new")
    assert victim.read_bytes() == b"mine"


def test_unfinished_lists_what_a_killed_process_left(tmp_path):
    left = files.temporary_path(tmp_path / "a")
    left.touch()
    (tmp_path / "a").touch()
    assert files.unfinished(tmp_path) == [left]
    assert files.temporary_path(tmp_path / "a") != left
    assert files.unfinished(tmp_path / "nothing") == []


def test_sha256_is_that_of_the_content(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 1000)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(b"abc" * 1000).hexdigest()


def test_fingerprint_covers_names_types_shapes_and_content():
    base = {"a": np.arange(6, dtype=np.int32)}
    others = [
        {"b": base["a"]},
        {"a": base["a"].astype(np.int64)},
        {"a": base["a"].reshape(2, 3)},
        {"a": base["a"][::-1]},
        {**base, "b": np.zeros(1)},
    ]
    prints = [files.fingerprint(arrays) for arrays in (base, *others)]
    assert len(set(prints)) == len(prints)
    assert files.fingerprint({"a": base["a"].copy()}) == prints[0]


def test_fingerprint_of_texts_is_that_of_their_bytes():
    def texts(*values):
        return {"a": np.array(values, object)}

    assert files.fingerprint(texts(b"ab", b"c")) == files.fingerprint(texts(b"ab", b"c"))
    assert files.fingerprint(texts(b"ab", b"c")) != files.fingerprint(texts(b"a", b"bc"))


def test_clear_removes_what_is_half_written_and_follows_no_link(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").touch()
    place = tmp_path / "run"
    (place / ".writing-1").mkdir(parents=True)
    (place / ".writing-1" / "half").touch()
    (place / ".writing-2").touch()
    (place / ".writing-3").symlink_to(tmp_path / "mine")
    (place / "whole").touch()
    files.clear(place)
    assert os.listdir(place) == ["whole"]
    assert os.listdir(tmp_path / "mine") == ["a"]
    files.clear(tmp_path / "nothing")


def test_open_plain_appends_and_reads(tmp_path):
    for expected in (b"ab", b"abab"):
        with files.open_plain(tmp_path / "a") as file:
            file.write(b"ab")
            file.seek(0)
            assert file.read() == expected
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(ArtefactError, match="b is not a plain file"):
        files.open_plain(tmp_path / "b")
    with pytest.raises(FileNotFoundError):
        files.open_plain(tmp_path / "nothing" / "a")
