"""Folders of image files: every fault by name, no leaks between splits."""

import errno
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import pipelines
from pipelines import DataError, image_folder
from pipelines.core.prepared import prepare, served
from pipelines.core.rows import take
from pipelines.core.stream import stream
from pipelines.files import class_folders, photo
from pipelines.files import photos as photos_module
from pipelines.steps import image
from pipelines.storage import tfds
from tests.pipelines.files.test_class_folders import picture, write
from zoo.spec import Field


@pytest.fixture
def photos(tmp_path) -> pathlib.Path:
    """Thirty pictures in each of two classes."""
    for label, name in enumerate(("cat", "dog")):
        write(tmp_path / "photos", *(f"{name}/{i:02}.png" for i in range(30)), seed=100 * label)
    return tmp_path / "photos"


def load(folder: pathlib.Path, **options):
    """The rows of each split."""
    pipeline = pipelines.get("image_folder", data_files=str(folder), **options)
    rows, _ = pipeline.read()
    return rows


@pytest.mark.parametrize("resize", ["squash", "pad"])
def test_image_folder_makes_the_same_numbers_of_stored_and_of_sent_images(resize, tmp_path):
    sizes = [(24, 31), (16, 16), (7, 90), (300, 200)]
    for label, name in enumerate("ab"):
        for i, (height, width) in enumerate(5 * sizes):
            (tmp_path / name).mkdir(exist_ok=True)
            picture(9 * i + label, height, width).save(tmp_path / name / f"{i:02}.png")
    found = class_folders.scan(tmp_path)
    options = {"data_files": str(tmp_path), "image_size": 16, "resize": resize}
    pipeline = pipelines.get("image_folder", **options)
    rows, schema = pipeline.read()
    assert schema.class_names == ("a", "b")
    preprocess = served(pipeline, schema, state={}).preprocess
    images = image_folder.read_all(found, 16, skip_bad=False, policy=resize)
    stored = images.take(np.arange(40))
    assert stored.shape == (40, 16, 16, 3)
    exported = tf.function(preprocess, autograph=False).get_concrete_function(
        {"image": tf.TensorSpec((None, None, None, 3), tf.uint8)}
    )
    for file, row in list(zip(found.files, stored, strict=True))[:6]:
        whole = exported({"image": tf.constant(photo.decode(file.path.read_bytes())[None])})[
            "image"
        ]
        again = exported({"image": tf.constant(row[None])})["image"]
        np.testing.assert_array_equal(whole, again)
        np.testing.assert_array_equal(whole[0], image.scale({"image": row})["image"])
    assert sum(part.num_rows for part in rows.values()) == 40


def test_image_folder_names_a_file_larger_than_any_image_at_once(photos):
    file = photos / "cat" / "00.png"
    os.truncate(file, 60 * 2**30)  # sparse
    with pytest.raises(DataError, match=f"{file} cannot be read: 61,440 MiB, more than the 512"):
        load(photos)
    assert sum(part.num_rows for part in load(photos, skip_bad=True).values()) == 59


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EMFILE, "Too many open files")])
def test_image_folder_never_skips_a_file_for_want_of_memory_or_handles(error, photos, monkeypatch):
    def fail(path):
        raise error

    monkeypatch.setattr(photo, "read", fail)
    with pytest.raises(type(error)) as caught:
        load(photos, skip_bad=True)
    assert caught.value is error


def test_image_folder_logs_hostile_names_on_their_line(tmp_path, logged):
    names = ["cat\u202egpj", "dog\nwarning: forged", "x" * 255]
    for name in names:
        write(tmp_path, *(f"{name}/{i}\n\u202e.png" for i in range(10)))
    _, schema = pipelines.get("image_folder", data_files=str(tmp_path)).read()
    assert schema.class_names == tuple(names)  # as they are
    lines = logged()
    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith("warning: forged") for line in lines)
    assert max(map(len, lines)) < 1000


@pytest.mark.parametrize(("bits", "used"), [(8, 8), (10, 10), (11, 12), (12, 12), (16, 16)])
def test_image_folder_scales_sixteen_bit_images_by_what_they_hold(bits, used, tmp_path, logged):
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(15):
            grey = random.integers(0, 2**bits, (8, 8)).astype(np.uint16)
            Image.fromarray(grey).save(tmp_path / name / f"{i}.png")
    pipeline = pipelines.get("image_folder", data_files=str(tmp_path), image_size=8, padding=1)
    rows, schema = pipeline.read()
    made = prepare(pipeline, schema, rows)
    assert made.state["inputs/image"]["largest"] == 2**used - 1
    assert made.raw["image"] == Field((None, None, 3), "uint16")
    assert f"of which {used} are used: 0..{2**used - 1} is black..white" in "\n".join(logged())
    raw = np.array([0, 2**used - 1], np.uint16)  # black and white
    ends = made.preprocess(
        {"image": tf.constant(raw[:, None, None, None] * np.ones((8, 8, 3), np.uint16))}
    )
    np.testing.assert_allclose(ends["image"][:, 0, 0, 0], [-1, 1], atol=1e-6)
    stored = made.preprocess({"image": tf.constant(rows["train"].table["image"])})["image"]
    assert stored.numpy().std() > 0.5 * 2 ** (bits - used)  # of a uniform: 0.58
    served_again = served(pipeline, schema, state=made.state).preprocess
    np.testing.assert_array_equal(
        served_again({"image": tf.constant(rows["train"].table["image"])})["image"], stored
    )


def test_image_folder_refuses_images_of_eight_and_of_sixteen_bits(photos):
    Image.fromarray(np.full((9, 9), 4000, np.uint16)).save(photos / "cat" / "07.png")
    with pytest.raises(DataError, match=r"07.png and 0 more have grey of 16 bits, the others 8"):
        load(photos)


def test_image_folder_moves_no_file_when_more_come(photos):
    def by_split():
        rows = load(photos, image_size=8)
        return {name: {row.tobytes() for row in part.table["image"]} for name, part in rows.items()}

    before = by_split()
    assert sum(map(len, before.values())) == 60
    write(photos, *(f"cat/a{i}.png" for i in range(20)), seed=300)
    after = by_split()
    for name, part in before.items():
        assert part <= after[name]
    assert sum(map(len, after.values())) == 80


def test_image_folder_takes_splits_of_their_own(tmp_path, logged):
    write(tmp_path, *(f"train/{c}/{i}.png" for c in "ab" for i in range(30)))
    write(tmp_path, "test/a/1.png", "test/a/2.png", "test/b/1.png", seed=500)
    rows = load(tmp_path, image_size=8)
    assert rows["test"].num_rows == 3
    np.testing.assert_array_equal(rows["test"].table["label"], [0, 0, 1])
    assert rows["train"].num_rows + rows["validation"].num_rows == 60
    assert 1 <= rows["validation"].num_rows < 15
    write(tmp_path, "valid/b/1.png", seed=600)
    rows = load(tmp_path, image_size=8)
    assert {name: part.num_rows for name, part in rows.items()} == {
        "train": 60,
        "validation": 1,
        "test": 3,
    }
    assert "warning: validation has no image of a" in logged()


def test_summary_says_what_is_there_and_what_looks_wrong(photos, logged):
    (photos / "cat" / "copy.png").write_bytes((photos / "cat" / "00.png").read_bytes())
    (photos / "dog" / "conflict.png").write_bytes((photos / "cat" / "01.png").read_bytes())
    (photos / "dog" / "list.csv").write_text("a,b")
    picture(0, 5, 4).save(photos / "dog" / "small.png")
    picture(0, 70, 90).save(photos / "dog" / "tall.png")
    rows = load(photos, image_size=8)
    lines = logged()
    counts = ", ".join(f"{rows[name].num_rows} {name}" for name in class_folders.SPLITS)
    assert lines == [
        f"{photos}: 64 images in 2 classes: cat 31, dog 33",
        f"of 4x5 to 90x70 pixels, resized to 8x8; {counts}",
        "skipped, not images or not in a class folder: 1 .csv",
        "warning: 1 image(s) are copies of another one of their class, such as "
        "cat/00.png = cat/copy.png",
        "warning: 1 image(s) are in another class too: one of the two labels is wrong, such as "
        "cat/01.png = dog/conflict.png",
    ]


def test_summary_reports_copies_across_splits(tmp_path, logged):
    write(tmp_path, *(f"train/{c}/{i}.png" for c in "ab" for i in range(20)))
    write(tmp_path, "test/a/1.png", "test/b/x.png", seed=900)
    (tmp_path / "test" / "a" / "leak.png").write_bytes((tmp_path / "train/a/3.png").read_bytes())
    load(tmp_path, image_size=8)
    [line] = [line for line in logged() if "another split" in line]
    assert line == (
        "warning: 1 image(s) are in another split too: its figures flatter the model, such as "
        "train/a/3.png = test/a/leak.png"
    )


def test_image_folder_stops_at_a_damaged_file_or_leaves_it_out_on_request(photos, logged):
    bad = photos / "cat" / "07.png"
    bad.write_bytes(bad.read_bytes()[:200])
    (photos / "dog" / "gone.jpg").symlink_to(photos / "nowhere.jpg")
    with pytest.raises(DataError, match=r"(07\.png|gone\.jpg) cannot be read"):
        load(photos, image_size=8)
    rows = load(photos, image_size=8, skip_bad=True)
    assert sum(part.num_rows for part in rows.values()) == 59
    assert any(line.startswith(f"skipped, unreadable: 2, such as {bad}: ") for line in logged())
    for path in (photos / "dog").iterdir():
        path.unlink()
    (photos / "dog" / "1.png").write_text("no image")
    with pytest.raises(
        DataError, match=r"class 'dog' has no image that can be read, 1 tried: .*1\.png: not"
    ):
        load(photos, image_size=8, skip_bad=True)


@pytest.mark.parametrize("separate", [False, True])
def test_image_folder_reads_what_does_not_fit_in_memory_by_number(
    separate, photos, tmp_path, monkeypatch
):
    if separate:
        for name in ("cat", "dog"):
            (photos / "train").mkdir(exist_ok=True)
            (photos / name).rename(photos / "train" / name)
        write(photos, "test/cat/1.png", "test/dog/1.png", seed=500)
    whole = load(photos, image_size=12)
    monkeypatch.setattr(photos_module, "RAM_BUDGET", 60 * 3 * 12**2 - 1)
    rows = load(photos, image_size=12, data_dir=str(tmp_path))
    for name, part in rows.items():
        assert part.table is None
        assert part.fields == whole[name].fields
        every = np.arange(part.num_rows)
        for index in (every, every[::-1], every[:1], every[:0]):
            for column, values in take(part, index).items():
                np.testing.assert_array_equal(values, whole[name].table[column][index])
    identities = {part.identity for part in rows.values()}
    assert len(identities - {""}) == 3
    assert load(photos, image_size=12, data_dir=str(tmp_path))["test"].identity in identities
    picture(9).save(photos.parent / "new.png")
    (photos.parent / "new.png").rename(next(photos.rglob("cat")) / "new.png")
    other = load(photos, image_size=12, data_dir=str(tmp_path))
    assert {part.identity for part in other.values()} != identities


def test_image_folder_trains_on_rows_that_are_read_by_number(photos, tmp_path, monkeypatch):
    """Batches are those of the rows in memory."""
    options = {"data_files": str(photos), "image_size": 12, "data_dir": str(tmp_path)}

    def batches():
        pipeline = pipelines.get("image_folder", **options)
        pipeline, rows, schema = tfds.load(pipeline)
        prepared = prepare(pipeline, schema, rows)
        return [*stream(prepared, "train", batch_size=8, training=True, seed=0).take(3)]

    expected = batches()
    monkeypatch.setattr(photos_module, "RAM_BUDGET", 60 * 3 * 12**2 - 1)
    for (x, y, _), (x_read, y_read, _) in zip(expected, batches(), strict=True):
        np.testing.assert_array_equal(x["image"], x_read["image"])
        np.testing.assert_array_equal(y, y_read)


def test_image_folder_scales_sixteen_bit_images_that_are_read_by_number(tmp_path, monkeypatch):
    grey = np.random.default_rng(0).integers(0, 4096, (40, 8, 8)).astype(np.uint16)
    for i, pixels in enumerate(grey):
        (tmp_path / "p" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "p" / "ab"[i % 2] / f"{i}.png")
    monkeypatch.setattr(photos_module, "RAM_BUDGET", 1)
    options = {"image_size": 8, "padding": 1, "data_dir": str(tmp_path)}
    pipeline = pipelines.get("image_folder", data_files=str(tmp_path / "p"), **options)
    rows, schema = pipeline.read()
    assert rows["train"].fields["image"].dtype == "uint16"
    assert prepare(pipeline, schema, rows).state["inputs/image"]["largest"] == 4095


def test_image_folder_refuses_an_unknown_way_to_resize(photos):
    with pytest.raises(DataError, match="resize=stretch: expected squash, crop, pad"):
        load(photos, resize="stretch")


@pytest.mark.parametrize("padding", [-1, 8, 9])
def test_image_folder_refuses_shifts_as_wide_as_the_image(padding, photos):
    with pytest.raises(DataError, match="less than image_size=8"):
        load(photos, image_size=8, padding=padding)


def unlabelled(folder: pathlib.Path, **options):
    """Rows and schema as a task without labels reads them."""
    pipeline = pipelines.get("image_folder", data_files=str(folder), image_size=8, **options)
    return pipeline.unlabelled().read()


def test_image_folder_without_labels_takes_a_flat_folder(tmp_path, logged):
    write(tmp_path, *(f"{i:02}.png" for i in range(40)), "holiday/1.png", "holiday/2.png")
    with pytest.raises(DataError, match=r"one class only|no folders"):
        load(tmp_path)
    rows, schema = unlabelled(tmp_path)
    assert schema.target is None
    assert schema.class_names == ()
    assert sum(part.num_rows for part in rows.values()) == 42
    for part in rows.values():
        assert part.target is None
        assert set(part.table) == set(part.fields) == {"image"}
    assert logged()[0].endswith(": 42 images of no class")


def test_image_folder_without_labels_keeps_the_splits_and_the_classes_of_folders(photos):
    labelled = load(photos, image_size=8)
    rows, schema = unlabelled(photos)
    assert schema.class_names == ("cat", "dog")
    for split, part in labelled.items():
        np.testing.assert_array_equal(part.table["image"], rows[split].table["image"])
        np.testing.assert_array_equal(part.table["label"], rows[split].table["label"])


def test_image_folder_without_labels_reads_by_number_what_does_not_fit(tmp_path, monkeypatch):
    write(tmp_path / "photos", *(f"{i:02}.png" for i in range(30)))
    monkeypatch.setattr(photos_module, "RAM_BUDGET", 1000)
    rows, _ = unlabelled(tmp_path / "photos", data_dir=str(tmp_path / "kept"))
    train = rows["train"]
    assert train.table is None
    assert set(train.fields) == set(train.read(np.array([0, 2]))) == {"image"}


def test_labels_of_an_image_folder_are_drawn_after_its_splits(photos):
    pipeline = pipelines.get("image_folder", data_files=str(photos), image_size=8, labels=10)
    rows, schema = pipeline.read()
    few = prepare(pipeline, schema, rows).rows
    assert np.bincount(few["train"].table["label"]).tolist() == [5, 5]
    assert few["test"].num_rows == rows["test"].num_rows
    without = pipeline.unlabelled()
    rows, schema = without.read()
    assert (without.cut(rows)["train"].table["label"] >= 0).sum() == 10
    with pytest.raises(DataError, match=r"labels=1000 is 500 of each of 2 classes"):
        prepare(pipelines.get("image_folder", data_files=str(photos), labels=1000), schema, rows)


def test_labels_of_a_folder_without_classes_are_refused(tmp_path):
    write(tmp_path, *(f"{i:02}.png" for i in range(40)))
    without = pipelines.get("image_folder", data_files=str(tmp_path), labels=10).unlabelled()
    rows, _ = without.read()
    with pytest.raises(DataError, match=r"labels=10: the images of .* have no labels"):
        without.cut(rows)


def test_a_folder_of_which_no_image_can_be_read_says_why(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.jpg").write_text("no image")
    with pytest.raises(DataError, match=r"none of 3 images can be read: .*0\.jpg: not"):
        unlabelled(tmp_path, skip_bad=True)


def test_files_are_looked_through_once_for_all_classes():
    class Files(list):
        begun = 0

        def __iter__(self):
            self.begun += 1
            return super().__iter__()

    files = Files(class_folders.File(pathlib.Path("x"), i, "train") for i in range(5))
    folder = class_folders.Folder(pathlib.Path(), tuple("abcde"), (*files,), (), {})
    files.begun = 0
    image_folder._check_read(folder, files, [])
    assert files.begun == 1  # a thousand classes of a million files took minutes
