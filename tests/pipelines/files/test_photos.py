"""Photographs are decoded once: by content, whatever happens to their files, disk or process."""

import errno
import os
import pathlib
import shutil
import tempfile

import numpy as np
import pytest
from PIL import Image

from pipelines import DataError
from pipelines.core import splits
from pipelines.core.rows import take
from pipelines.files import decoding, photo, photos
from pipelines.files.table import Cut
from pipelines.storage import content, locks, photo_cache
from tests.pipelines.files import photographs
from zoo.spec import Field

SIZE = 16


@pytest.fixture
def files(tmp_path) -> list[pathlib.Path]:
    """Ten photographs, JPEG but for one."""
    (tmp_path / "photos").mkdir()
    paths = [tmp_path / "photos" / f"{i}.jpg" for i in range(10)]
    for path, (_, one) in zip(paths, photographs.photographs(10, 200, seed=3), strict=True):
        path.write_bytes(photographs.jpeg(one))
    one.save(paths[9].with_suffix(".png"))
    paths[9].unlink()
    return [*paths[:9], paths[9].with_suffix(".png")]


@pytest.fixture(autouse=True)
def _stored(monkeypatch, tmp_path):
    """Files of any size and age are stored, three at a time."""
    monkeypatch.setattr(photos, "_SMALLEST", 1)
    monkeypatch.setattr(content, "_YOUNG", -1)
    monkeypatch.setattr(photo_cache, "PAIR_SIZE", 3)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "cache").mkdir()


@pytest.fixture
def work(monkeypatch):
    """A function that returns what was done to files since its last call: (read, decoded)."""
    done = {"read": 0, "decode": 0, "is_wide": 0}

    def counted(owner, name):
        real = getattr(owner, name)

        def call(*args, **kwargs):
            done[name] += 1
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    counted(photo, "read")
    counted(photo, "is_wide")
    counted(decoding, "decode")

    def since() -> tuple[int, int]:
        found = done["read"] + done["is_wide"], done["decode"]
        done.update(dict.fromkeys(done, 0))
        return found

    return since


def read(files, **changes) -> photos.Photos:
    cache = str(files[0].parents[1] / "cache")
    return photos.read(files, SIZE, "squash", **{"skip_bad": False, "cache": cache, **changes})


def pixels(found: photos.Photos) -> np.ndarray:
    return found.take(np.arange(len(found.paths)))


def assert_same(found: photos.Photos, expected: photos.Photos) -> None:
    np.testing.assert_array_equal(pixels(found), pixels(expected))
    np.testing.assert_array_equal(found.shapes, expected.shapes)
    np.testing.assert_array_equal(found.digest, expected.digest)


def test_read_gives_the_decoded_pixels_sizes_and_digests(files):
    found = read(files)
    contents = [path.read_bytes() for path in files]
    np.testing.assert_array_equal(found.digest, splits.digests(contents))
    for i, one in enumerate(contents):
        expected, shape = decoding.decode(one, found.kind)
        np.testing.assert_array_equal(found.take(np.array([i]))[0], expected)
        assert tuple(found.shapes[i]) == shape == photo.decode(one).shape[:2]


def test_second_read_opens_no_file(files, work):
    first = read(files)
    assert work() == (20, 10)
    assert_same(read(files), first)
    assert work() == (0, 0)


def test_second_read_of_sixteen_bit_images_opens_no_file(tmp_path, work):
    random = np.random.default_rng(0)
    paths = [tmp_path / "photos" / f"{i}.png" for i in range(4)]
    paths[0].parent.mkdir()
    for path in paths:
        Image.fromarray(random.integers(0, 2**12, (20, 20)).astype(np.uint16)).save(path)
    first = read(paths)
    assert first.kind.dtype == "uint16"
    work()
    assert_same(read(paths), first)
    assert work() == (0, 0)


def test_files_that_moved_are_read_and_not_decoded(files, work):
    first = read(files)
    work()
    moved = [path.parent.parent / "other" / path.name for path in files]
    shutil.copytree(files[0].parent, moved[0].parent)
    assert_same(read(moved), first)
    assert work() == (10 + 10, 0)  # once for the depth of its pixels, which is not known by path


@pytest.mark.parametrize("change", ["new", "content", "time", "same size and time"])
def test_only_what_changed_is_read_and_decoded(change, files, work):
    first = pixels(read(files))
    work()
    path, before, other = files[4], files[4].stat(), files[5].read_bytes()
    if change == "new":
        files = [*files, path.with_name("10.jpg")]
        files[-1].write_bytes(other + b"0")
    elif change == "content":
        path.write_bytes(other + b"0")
    elif change == "time":
        os.utime(path)
    else:
        black = photographs.jpeg(Image.new("RGB", (30, 30)))
        path.write_bytes(black + b"0" * (before.st_size - len(black)))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (
            before.st_size,
            before.st_mtime_ns,
        )
    found = pixels(read(files))
    assert work() == (2, 0 if change == "time" else 1)
    same = [i for i in range(10) if i != 4 or change in ("new", "time")]
    np.testing.assert_array_equal(found[same], first[same])
    if change in ("new", "content"):
        np.testing.assert_array_equal(found[-1 if change == "new" else 4], first[5])
    if change == "same size and time":
        assert (found[4] == 0).all()


def test_the_folder_above_a_link_is_the_one_that_the_file_system_means(files, tmp_path, work):
    """Not the one in which the link lies: it may hold other photographs of these names, or none."""
    first, cache = read(files), str(tmp_path / "cache")
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "far" / "photos").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far" / "deep")
    meant = [tmp_path / "link" / ".." / "photos" / path.name for path in files]
    for path, other in zip(meant, reversed(files), strict=True):
        path.write_bytes(other.read_bytes())
    np.testing.assert_array_equal(pixels(read(meant, cache=cache)), pixels(first)[::-1])
    shutil.rmtree(files[0].parent)
    work()
    np.testing.assert_array_equal(pixels(read(meant, cache=cache)), pixels(first)[::-1])
    assert work() == (0, 0)


def test_other_sizes_ways_and_decoders_are_decoded_anew(files, work, monkeypatch):
    read(files)
    for changes in ({"size": 12}, {"policy": "crop"}):
        options = {"size": SIZE, "policy": "squash", "skip_bad": False, **changes}
        work()
        photos.read(files, cache=str(files[0].parents[1] / "cache"), **options)
        assert work()[1] == 10
    monkeypatch.setattr(photo, "DECODER", 2)
    read(files)
    assert work()[1] == 10


def test_copies_are_stored_once(files, work):
    copies = [path.with_name(f"copy of {path.name}") for path in files]
    for path, copy in zip(files, copies, strict=True):
        shutil.copy(path, copy)
    found = read([*files, *copies])
    np.testing.assert_array_equal(pixels(found)[:10], pixels(found)[10:])
    assert len(found.stored.positions) == 10


def test_few_bytes_are_not_stored(files, tmp_path, monkeypatch):
    monkeypatch.setattr(photos, "_SMALLEST", 2**22)
    found = read(files)
    assert len(found.held) == 10
    assert os.listdir(tmp_path / "cache") == []


@pytest.mark.parametrize("in_memory", [True, False])
def test_interrupted_reading_goes_on_where_it_stopped(in_memory, files, work, monkeypatch):
    expected = pixels(read(files, cache=str(files[0].parents[1])))
    work()
    if not in_memory:
        monkeypatch.setattr(photos, "RAM_BUDGET", 1)
    with monkeypatch.context() as patch:

        def interrupted(items, *_):
            for i, item in enumerate(items):
                if i == 7:
                    raise KeyboardInterrupt
                yield item

        patch.setattr(decoding, "progress", interrupted)
        with pytest.raises(KeyboardInterrupt):
            read(files)
    work()
    np.testing.assert_array_equal(pixels(read(files)), expected)
    assert work()[1] == 3


def test_slow_reading_is_stored_before_many_are_read(files, monkeypatch):
    monkeypatch.setattr(decoding, "_LONGEST", -1.0)
    assert len(read(files).stored.pairs) == 10  # else four


@pytest.mark.parametrize("damage", ["cut short", "flipped"])
def test_damaged_store_is_made_anew_with_one_line(damage, files, work, logged):
    first = read(files)
    folder = photo_cache.folder(str(files[0].parents[1] / "cache"), first.kind)
    expected = pixels(first)
    path = max(folder.glob("*.pixels"), key=lambda path: path.stat().st_size)  # of three
    whole = bytearray(path.read_bytes())
    whole[100] ^= 8
    path.write_bytes(whole[:-1] if damage == "cut short" else whole)
    work(), logged()
    np.testing.assert_array_equal(pixels(read(files)), expected)
    assert work()[1] == 3
    [line] = logged()
    assert line.startswith(f"{path} and 0 more files of decoded photographs are damaged: ")
    np.testing.assert_array_equal(pixels(read(files)), expected)
    assert (work(), logged()) == ((0, 0), [])


def on_disk(files, monkeypatch) -> photos.Photos:
    monkeypatch.setattr(photos, "RAM_BUDGET", 1)
    return read(files)


def test_rows_of_few_photographs_may_be_too_many_for_the_memory(files, monkeypatch):
    """Of a table that names each image in several rows."""
    found = read(files)
    monkeypatch.setattr(photos, "RAM_BUDGET", 15 * found.kind.bytes)
    index, label = np.arange(20) % 10, Field((), "int64")
    rows = found.rows(index, "label", np.arange(20), label)
    assert rows.table is None
    assert rows.identity
    np.testing.assert_array_equal(take(rows, np.arange(20))["image"], found.take(index))
    assert found.rows(index[:15], "label", np.arange(15), label).table is not None


def test_rows_that_are_damaged_while_they_are_read_are_decoded_again(files, monkeypatch, logged):
    expected = pixels(read(files))
    found = on_disk(files, monkeypatch)
    rows = found.rows(np.arange(10)[::-1], "label", np.arange(10)[::-1], Field((), "int64"))
    for path in found.stored.pairs[0].path.parent.glob("*.pixels"):
        with open(path, "r+b") as file:
            file.write(b"\1\2\3\4\5")
    logged()
    taken = take(rows, np.arange(10))
    np.testing.assert_array_equal(taken["image"], expected[::-1])
    np.testing.assert_array_equal(taken["label"], np.arange(10)[::-1])
    lines = logged()
    assert len(lines) == 4  # the first one of each pair of files
    assert all("are damaged: it is decoded again" in line for line in lines)
    np.testing.assert_array_equal(take(rows, np.arange(10))["image"], expected[::-1])
    assert logged() == []


def test_rows_whose_copy_is_damaged_and_whose_file_changed_are_refused(files, monkeypatch):
    found = on_disk(files, monkeypatch)
    pair, row = found.stored.positions[found.digests[2]]
    place = found.stored.pairs[pair].path.with_suffix(".pixels")
    with open(place, "r+b") as file:
        file.seek(row * found.kind.bytes)
        file.write(b"\1\2\3\4\5")
    files[2].write_bytes(files[3].read_bytes())
    with pytest.raises(DataError, match=r"2\.jpg has changed since the command began"):
        found.take(np.array([2]))


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "cache")


def test_full_disk_is_one_line_and_all_is_read_into_memory(files, work, monkeypatch, logged):
    expected = pixels(read(files, cache=str(files[0].parents[1])))
    work(), logged()
    with monkeypatch.context() as patch:
        patch.setattr(photo_cache, "write", full)
        found = read(files)
    assert work()[1] == 10
    np.testing.assert_array_equal(pixels(found), expected)
    assert logged() == [
        "decoded photographs are not kept for the next command: the disk is full: cache"
    ]


def test_full_disk_keeps_what_was_stored_before(files, work, monkeypatch, logged):
    real, calls = photo_cache.write, []

    def full_later(*args):
        calls.append(args)
        return full() if len(calls) > 2 else real(*args)

    monkeypatch.setattr(photo_cache, "write", full_later)
    expected = pixels(read(files))
    assert len(logged()) == 1
    assert work()[1] == 10
    monkeypatch.setattr(photo_cache, "write", real)
    np.testing.assert_array_equal(pixels(read(files)), expected)
    assert work()[1] == 4


def test_full_disk_ends_reading_what_does_not_fit_in_memory(files, monkeypatch):
    monkeypatch.setattr(photo_cache, "write", full)
    with pytest.raises(OSError, match="No space left"):
        on_disk(files, monkeypatch)


def test_folder_that_cannot_be_made_costs_only_time(files, tmp_path, logged):
    (tmp_path / "cache" / ".decoded-images").write_text("a file")
    found = read(files)
    assert len(found.held) == 10
    [line] = logged()
    assert line.startswith("decoded photographs are not kept for the next command: ")


def test_cache_is_made_where_it_does_not_exist_and_found_at_home(files, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    found = read(files, cache="~/new/cache")
    kept = tmp_path / "new" / "cache" / ".decoded-images"
    assert {pair.path.parents[1] for pair in found.stored.pairs} == {kept}


@pytest.mark.parametrize("in_memory", [True, False])
def test_store_that_is_removed_while_others_are_read_is_made_again(
    in_memory, files, monkeypatch, logged
):
    expected = pixels(read(files, cache=str(files[0].parents[1])))
    logged()
    real, calls = photo_cache.write, []

    def removed(folder, some):
        real(folder, some)
        calls.append(len(some))
        if len(calls) == 2:
            shutil.rmtree(folder.parent)

    monkeypatch.setattr(photo_cache, "write", removed)
    found = read(files) if in_memory else on_disk(files, monkeypatch)
    np.testing.assert_array_equal(pixels(found), expected)
    assert sum(calls) == 10 + 6
    [line] = logged()
    assert line.startswith("decoded photographs are gone from ")


def test_store_that_is_removed_again_and_again_ends_reading(files, monkeypatch):
    real = photo_cache.write

    def removed(folder, some):
        real(folder, some)
        shutil.rmtree(folder.parent)

    monkeypatch.setattr(photo_cache, "write", removed)
    with pytest.raises(OSError, match="are removed while others are read"):
        read(files)


def test_process_that_waited_takes_what_the_other_one_stored(files, work, monkeypatch):
    real = locks.alone

    def alone(path, what):
        monkeypatch.setattr(locks, "alone", real)
        read(files)  # by the other process, which holds the lock
        work()
        return real(path, what)

    monkeypatch.setattr(locks, "alone", alone)
    found = read(files)
    assert work() == (10, 0)
    monkeypatch.setattr(locks, "alone", real)
    assert_same(found, read(files))


def test_bad_files_are_named_or_skipped_and_looked_at_again(files, work):
    files[3].write_bytes(files[3].read_bytes()[:500])
    with pytest.raises(DataError, match=r"3\.jpg cannot be read: "):
        read(files)
    found = read(files, skip_bad=True)
    assert found.numbers.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert list(found.bad) == [3]
    assert found.skipped[0].startswith(f"skipped, unreadable: 1, such as {files[3]}: ")
    work()
    assert_same(read(files, skip_bad=True), found)
    assert work() == (2, 1)
    files[3].write_bytes(files[4].read_bytes())  # mended
    assert read(files).digests[3] == found.digests[3]


def test_by_split_is_by_content_where_a_split_has_no_files_of_its_own():
    digest = splits.digests([bytes([i]) for i in range(200)])
    cut = Cut(0, 0.1, 0.2)
    whole = photos.by_split(digest, ["train"] * 200, (), cut)
    assert sorted(np.concatenate([*whole.values()]).tolist()) == list(range(200))
    assert 20 < len(whole["test"]) < 60
    of = ["test" if i < 30 else "train" for i in range(200)]
    found = photos.by_split(digest, of, ("test",), cut)
    assert found["test"].tolist() == list(range(30))
    assert set(found["validation"]) <= set(whole["validation"])
    of = ["test" if i < 30 else "train" if i < 150 else "validation" for i in range(200)]
    found = photos.by_split(digest, of, ("validation", "test"), cut)
    assert [len(found[name]) for name in ("train", "validation", "test")] == [120, 50, 30]
