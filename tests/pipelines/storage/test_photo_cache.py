"""Decoded photographs on disk: whole or not there, found by content, forgotten by age."""

import errno
import os
import pathlib

import numpy as np
import pytest

from pipelines.storage import locks, photo_cache
from pipelines.storage.photo_cache import Kind, Photo

KIND = Kind(4, "squash", "uint8", "decoder 1")


def photos(number: int, first: int = 0) -> list[Photo]:
    return [
        Photo(f"{i:032x}", (30 + i, 40), np.full(KIND.shape, i, np.uint8))
        for i in range(first, first + number)
    ]


@pytest.fixture
def folder(tmp_path) -> pathlib.Path:
    return photo_cache.folder(str(tmp_path), KIND)


def names(folder: pathlib.Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir())


def test_folder_is_another_one_for_each_kind_and_decoder(tmp_path):
    kinds = [
        KIND,
        KIND._replace(size=5),
        KIND._replace(policy="pad"),
        KIND._replace(dtype="uint16"),
        KIND._replace(decoder="decoder 2"),
    ]
    folders = {photo_cache.folder(str(tmp_path), kind) for kind in kinds}
    assert len(folders) == len(kinds)
    assert {path.parent for path in folders} == {tmp_path / ".decoded-images"}
    assert not (tmp_path / ".decoded-images").exists()  # made when it is written


def test_load_finds_what_was_written_by_content(folder):
    assert photo_cache.load(folder, KIND).positions == {}
    photo_cache.write(folder, photos(3))
    photo_cache.write(folder, photos(2, first=3))
    assert names(folder) == [".npz", ".npz", ".pixels", ".pixels"]
    stored = photo_cache.load(folder, KIND)
    assert sorted(stored.positions) == [one.digest for one in photos(5)]
    for one in photos(5):
        np.testing.assert_array_equal(stored.pixels(one.digest), one.pixels)
        assert stored.shape(one.digest) == one.shape
    everything = [one.digest for one in photos(5)]
    assert photo_cache.verified(stored, [*everything, "f" * 32]) is stored


def damages() -> dict[str, tuple[str, object]]:
    def cut(path):
        os.truncate(path, path.stat().st_size - 1)

    def flip(path):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    return {
        "pixels cut short": (".pixels", cut),
        "pixels too long": (".pixels", lambda path: path.write_bytes(path.read_bytes() + b"0")),
        "pixels gone": (".pixels", pathlib.Path.unlink),
        "description cut short": (".npz", cut),
        "description empty": (".npz", lambda path: path.write_bytes(b"")),
        "description of something else": (".npz", lambda path: np.savez(path, digests=np.ones(3))),
        "a bit flipped": (".pixels", flip),
    }


@pytest.mark.parametrize("damage", damages())
def test_damaged_pair_is_dropped_with_one_line_and_the_others_are_kept(damage, folder, logged):
    photo_cache.write(folder, photos(3))
    [first] = folder.glob("*.npz")
    photo_cache.write(folder, photos(2, first=3))
    suffix, harm = damages()[damage]
    harm(first.with_suffix(suffix))
    everything = [one.digest for one in photos(5)]
    stored = photo_cache.verified(photo_cache.load(folder, KIND), everything)
    assert sorted(stored.positions) == everything[3:]
    [line] = logged()
    assert line == (
        f"{first.with_suffix('.pixels')} and 0 more files of decoded photographs are damaged: "
        "these photographs are decoded again"
    )
    for one in photos(2, first=3):
        np.testing.assert_array_equal(stored.pixels(one.digest), one.pixels)
    assert names(folder) == [".npz", ".pixels"]
    photo_cache.load(folder, KIND)
    assert logged() == []


def test_pixels_that_are_damaged_later_are_noticed_when_they_are_read(folder):
    photo_cache.write(folder, photos(3))
    stored = photo_cache.load(folder, KIND)
    [path] = folder.glob("*.pixels")
    with open(path, "r+b") as file:
        file.seek(KIND.bytes)
        file.write(b"\xff")
    first, second, third = (one.digest for one in photos(3))
    assert stored.pixels(second) is None
    assert names(folder) == []  # the next command decodes all three
    for digest in (first, third):  # what is mapped can be read on
        assert stored.pixels(digest) is not None


@pytest.mark.parametrize("at", ["fsync", "rename"])
def test_write_on_a_full_disk_leaves_nothing(at, folder, monkeypatch):
    photo_cache.write(folder, photos(2))
    calls = []

    def full(*_):
        calls.append(at)
        if len(calls) == 2:  # the pixels are there, their description is not
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*_)

    real = getattr(os, at)
    monkeypatch.setattr(os, at, full)
    with pytest.raises(OSError, match="No space left"):
        photo_cache.write(folder, photos(2, first=2))
    assert names(folder) == [".npz", ".pixels"]
    assert sorted(photo_cache.load(folder, KIND).positions) == [one.digest for one in photos(2)]


def test_description_appears_after_the_pixels_are_on_the_disk(folder, monkeypatch):
    done = []
    for name in ("fsync", "rename"):
        real = getattr(os, name)

        def noted(*args, name=name, real=real):
            target = pathlib.Path(args[-1]).suffix if name == "rename" else ""
            done.append(f"{name}{target}")
            return real(*args)

        monkeypatch.setattr(os, name, noted)
    photo_cache.write(folder, photos(2))
    assert done == ["fsync", "rename.pixels", "fsync", "rename.npz"]


def test_remains_of_a_killed_process_are_removed(folder):
    photo_cache.write(folder, photos(2))
    (folder / "aa.pixels").write_bytes(b"whole, but nobody says whose")
    (folder / "bb.npz.123.tmp").write_bytes(b"half")
    (folder / photo_cache.LOCK).touch()
    photo_cache.remove_remains(folder)
    assert sorted(p.name for p in folder.iterdir())[0] == photo_cache.LOCK
    assert names(folder) == ["", ".npz", ".pixels"]


def test_remains_of_another_user_stay_and_end_nothing(folder, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    photo_cache.write(folder, photos(2))
    (folder / "aa.pixels").write_bytes(b"whole, but nobody says whose")
    monkeypatch.setattr(pathlib.Path, "unlink", refused)
    photo_cache.remove_remains(folder)
    assert names(folder) == [".npz", ".pixels", ".pixels"]
    assert len(photo_cache.load(folder, KIND).positions) == 2


def test_oldest_are_forgotten_beyond_the_limit_and_never_those_in_use(tmp_path, monkeypatch):
    kinds = [KIND, KIND, KIND._replace(policy="pad"), KIND._replace(policy="pad")]
    pairs = []
    for age, kind in enumerate(kinds):
        folder = photo_cache.folder(str(tmp_path), kind)
        before = set(folder.glob("*.npz"))
        photo_cache.write(folder, photos(10, first=10 * age))
        [path] = set(folder.glob("*.npz")) - before
        os.utime(path, (1000 + age, 1000 + age))
        pairs.append(path)
    folder = photo_cache.folder(str(tmp_path), KIND)
    size = sum(one.stat().st_size for one in (pairs[3], pairs[3].with_suffix(".pixels")))
    monkeypatch.setattr(photo_cache, "_MAX_BYTES", 2 * size)
    stored = photo_cache.load(folder, KIND)
    photo_cache.keep_newest(folder, stored, [photos(1)[0].digest])  # of the oldest pair
    assert [path.exists() for path in pairs] == [True, False, True, True]
    assert not pairs[1].with_suffix(".pixels").exists()
    assert pairs[0].stat().st_mtime > 2000  # used now
    photo_cache.keep_newest(folder, photo_cache.Stored(KIND), [])
    assert [path.exists() for path in pairs] == [True, False, False, True]


def test_too_many_open_files_are_no_damage(folder, monkeypatch):
    photo_cache.write(folder, photos(2))
    full = OSError(errno.EMFILE, "Too many open files")
    monkeypatch.setattr(photo_cache, "_opened", lambda path, kind: (_ for _ in ()).throw(full))
    with pytest.raises(OSError, match="Too many open files"):
        photo_cache.load(folder, KIND)
    assert names(folder) == [".npz", ".pixels"]


def test_what_another_process_has_just_stored_is_not_removed(folder, monkeypatch):
    photo_cache.write(folder, photos(2))
    monkeypatch.setattr(photo_cache, "_MAX_BYTES", 0)
    with locks.alone(folder / photo_cache.LOCK, "photographs"):
        photo_cache.keep_newest(folder, photo_cache.Stored(KIND), [])
        assert len(photo_cache.load(folder, KIND).positions) == 2
    photo_cache.keep_newest(folder, photo_cache.Stored(KIND), [])
    assert not photo_cache.load(folder, KIND).positions


def test_damaged_pair_of_another_user_is_not_used_and_stays(folder, monkeypatch, logged):
    def refused(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    photo_cache.write(folder, photos(3))
    stored = photo_cache.load(folder, KIND)
    [path] = folder.glob("*.pixels")
    with open(path, "r+b") as file:
        file.write(b"\xff")
    monkeypatch.setattr(pathlib.Path, "unlink", refused)
    first, *_ = (one.digest for one in photos(3))
    assert stored.pixels(first) is None
    assert photo_cache.verified(stored, [first]).positions == {}
    assert len(logged()) == 1
    assert names(folder) == [".npz", ".pixels"]
