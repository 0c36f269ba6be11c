"""Images of one's own by name in a table: classes, numbers, several labels."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from pipelines import DataError
from pipelines.core.prepared import prepare
from pipelines.files import decoding, photos
from pipelines.steps import image
from pipelines.storage import tfds
from tests.pipelines.files.test_class_folders import picture
from tests.pipelines.tables import write
from zoo.spec import Field

NUMBER = 60
NAMES = [f"photos/{i:02}.png" for i in range(NUMBER)]


@pytest.fixture
def folder(tmp_path) -> pathlib.Path:
    (tmp_path / "photos").mkdir()
    for i, name in enumerate(NAMES):
        picture(i, 12 + i % 5, 10).save(tmp_path / name)
    return tmp_path


def loaded(files, target="y", **options):
    options = {"image_size": 8, "padding": 1, **options}
    pipeline = pipelines.get("image_table", data_files=str(files), target=target, **options)
    return tfds.load(pipeline)


def stored_pixels(path: pathlib.Path, policy="squash") -> bytes:
    kind = decoding.Kind(8, policy, "uint8", "")
    return decoding.decode(path.read_bytes(), kind)[0].tobytes()


def pairs(rows, schema) -> list[tuple[bytes, object]]:
    """(pixels, target) of all rows."""
    found = [
        (pixels.tobytes(), value if np.ndim(value) else value.item())
        for part in rows.values()
        for pixels, value in zip(part.table["image"], part.table[schema.target_name], strict=True)
    ]
    return sorted(found, key=lambda pair: pair[0])


def expected(folder, values) -> list[tuple[bytes, object]]:
    both = zip([stored_pixels(folder / name) for name in NAMES], values, strict=True)
    return sorted(both, key=lambda pair: pair[0])


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_image_table_reads_classes_beside_the_names_of_files(kind, folder, logged):
    words = [("cat", "dog")[i % 2] for i in range(NUMBER)]
    path = folder / f"pets.{kind}"
    if kind == "jsonl":
        objects = [{"file": n, "y": w} for n, w in zip(NAMES, words, strict=True)]
        path.write_text("\n".join(map(json.dumps, objects)))
    else:
        rows = [["file", "y"], *zip(NAMES, words, strict=True)]
        write(path, rows, delimiter="," if kind == "csv" else "\t")
    pipeline, rows, schema = loaded(path)
    assert (schema.task, schema.class_names, schema.outputs) == (
        "classification",
        ("cat", "dog"),
        2,
    )
    assert dict(schema.raw) == {"image": Field((None, None, 3), "uint8")}
    assert pairs(rows, schema) == expected(folder, [i % 2 for i in range(NUMBER)])
    counts = ", ".join(f"{rows[name].num_rows} {name}" for name in pipelines.SPLITS)
    said = logged()
    assert said[said.index(f"{path}: {NUMBER} rows with an image") :] == [
        f"{path}: {NUMBER} rows with an image",
        f"of 10x12 to 10x16 pixels, resized to 8x8; {counts}",
        "target y: classification: cat 50.0%, dog 50.0%",
    ]
    made = prepare(pipeline, schema, rows)
    inputs = made.preprocess({"image": tf.constant(rows["test"].table["image"])})["image"]
    np.testing.assert_array_equal(
        inputs, image.scale({"image": rows["test"].table["image"]})["image"]
    )


def test_image_table_takes_numbers_as_a_regression(folder):
    values = [f"{np.sin(i):.3f}" for i in range(NUMBER)]
    path = write(folder / "a.csv", [["file", "y"], *zip(NAMES, values, strict=True)])
    _, rows, schema = loaded(path)
    assert (schema.task, schema.outputs, schema.target) == ("regression", 1, Field((), "float32"))
    numbers = [float(np.float32(value)) for value in values]
    assert pairs(rows, schema) == expected(folder, numbers)


@pytest.mark.parametrize("how", ["columns", "bars", "semicolons"])
def test_image_table_takes_several_labels(how, folder, logged):
    red, big = [i % 2 for i in range(NUMBER)], [i % 3 // 2 for i in range(NUMBER)]
    if how == "columns":
        header, target, options = ["file", "big", "red"], "big,red", {}
        cells = zip(big, red, strict=True)
    else:
        mark = "|" if how == "bars" else ";"
        header, target = ["file", "tags"], "tags"
        options = {} if how == "bars" else {"tags": ";"}
        words = [["red"] * r + ["big"] * b or ["none"] for r, b in zip(red, big, strict=True)]
        cells = [[mark.join(some)] for some in words]
    rows = [header, *([name, *row] for name, row in zip(NAMES, cells, strict=True))]
    _, rows, schema = loaded(write(folder / "a.csv", rows), target, **options)
    assert (schema.task, schema.class_names, schema.outputs) == ("multi_label", ("big", "red"), 2)
    assert schema.target == Field((2,), "float32")
    for (pixels, found), (wanted, flags) in zip(
        pairs(rows, schema), expected(folder, list(zip(big, red, strict=True))), strict=True
    ):
        assert pixels == wanted
        np.testing.assert_array_equal(found, flags)
    if how == "bars":
        [line] = [line for line in logged() if "labels separated" in line]
        assert line.startswith("tags: cells are taken as labels separated by |, 2 different ones")
        assert loaded(folder / "a.csv", "tags", task="classification")[2].class_names == (
            *("big", "none", "red", "red|big"),
        )


def test_image_table_leaves_out_rows_without_image_or_target_and_says_so(folder, logged):
    values = [("cat", "dog")[i % 2] for i in range(NUMBER)]
    names = list(NAMES)
    names[3], values[5], names[7] = "", "", NAMES[9]
    rows = [["id", "file", "y"], *zip(range(NUMBER), names, values, strict=True)]
    path = write(folder / "a.csv", rows)
    _, found, _ = loaded(path)
    assert sum(part.num_rows for part in found.values()) == NUMBER - 2
    said = logged()
    assert f"{path}: the images are those of file" in said
    assert "1 rows without file are left out" in said
    assert "1 rows without y are left out" in said
    assert "1 images are copies of an earlier one" in said


def test_image_table_keeps_copies_in_one_split_and_reports_two_labels(folder, logged):
    values = [("cat", "dog")[i % 2] for i in range(NUMBER)]
    rows = [["file", "y"], *zip(NAMES, values, strict=True)]
    rows += [[f"./{name}", "bird"] for name in NAMES[:30]]
    path = write(folder / "a.csv", rows)
    _, found, _ = loaded(path)
    parts = [{p.tobytes() for p in part.table["image"]} for part in found.values()]
    assert sum(map(len, parts)) == len(set.union(*parts)) == NUMBER
    said = logged()
    assert "30 images are copies of an earlier one" in said
    first = f"{path}:2 (cat) and {path}:62 (bird)"
    assert f"30 images have two labels, such as {first}" in said


def test_image_table_takes_splits_from_files_of_their_own(folder, logged):
    for name, some in (("train", range(40)), ("test", range(35, 60))):
        rows = [[NAMES[i], i % 2] for i in some]
        write(folder / f"{name}.csv", [["file", "y"], *rows])
    files = f"train={folder}/train.csv,test={folder}/test.csv"
    _, rows, _ = loaded(files)
    assert rows["test"].num_rows == 25
    assert rows["train"].num_rows + rows["validation"].num_rows == 40
    train = {p.tobytes() for p in rows["train"].table["image"]}
    both = sum(p.tobytes() in train for p in rows["test"].table["image"])
    assert 1 <= both <= 5
    assert f"{both} images of test are in train too: its figures flatter the model" in logged()


def test_image_table_names_bad_files_or_skips_them(folder, logged):
    values = [("cat", "dog")[i % 2] for i in range(NUMBER)]
    path = write(folder / "a.csv", [["file", "y"], *zip(NAMES, values, strict=True)])
    (folder / NAMES[4]).unlink()
    (folder / NAMES[6]).write_bytes((folder / NAMES[6]).read_bytes()[:100])
    with pytest.raises(DataError) as caught:
        loaded(path)
    assert str(caught.value) == f"{path}:6: {folder / NAMES[4]} does not exist"
    _, rows, schema = loaded(path, skip_bad=True)
    assert sum(part.num_rows for part in rows.values()) == NUMBER - 2
    wanted = [i for i in range(NUMBER) if i not in (4, 6)]
    assert dict(pairs(rows, schema)) == {stored_pixels(folder / NAMES[i]): i % 2 for i in wanted}
    said = logged()
    missing = f"{path}:6: {folder / NAMES[4]} does not exist"
    assert f"1 rows whose image does not exist are left out, such as {missing}" in said
    assert any(line.startswith("skipped, unreadable: 1, such as ") for line in said)
    picture(4, 12, 10).save(folder / NAMES[4])
    with pytest.raises(DataError, match=r"06\.png cannot be read"):
        loaded(path)


def test_image_table_refuses_a_class_none_of_whose_images_can_be_read(folder):
    values = ["rare" if i == 6 else ("cat", "dog")[i % 2] for i in range(NUMBER)]
    path = write(folder / "a.csv", [["file", "y"], *zip(NAMES, values, strict=True)])
    (folder / NAMES[6]).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"class 'rare' has no image that can be read: .*06\.png"):
        loaded(path, skip_bad=True)


@pytest.mark.parametrize(
    ("target", "options", "reason"),
    [
        ("z", {}, "target=z: no column 'z'; nearest: file, y"),
        (",", {}, "target=, names no column; choose from file, y"),
        ("y", {"image": "y"}, "image=y: expected one column that is not the target"),
        ("y", {"padding": 8}, "padding=8 must be less than image_size=8"),
        ("y", {"resize": "fit"}, "resize=fit: expected squash, crop, pad"),
        ("y", {"task": "regression"}, "task=regression: the target 'y' is not numeric|y is not"),
    ],
)
def test_image_table_refuses_in_one_line(target, options, reason, folder):
    values = [("cat", "dog")[i % 2] for i in range(NUMBER)]
    path = write(folder / "a.csv", [["file", "y"], *zip(NAMES, values, strict=True)])
    with pytest.raises(DataError, match=reason):
        loaded(path, target, **options)


def test_image_table_has_a_view_in_a_mirror_unless_that_changes_the_class(folder):
    made = [
        pipelines.get("image_table", data_files="a.csv", target="y", flip=flip).tta_views
        for flip in (True, False)
    ]
    assert made == [image.mirrored, None]


def test_image_table_refuses_a_target_that_is_called_as_the_images_are(folder):
    path = write(folder / "a.csv", [["file", "image"], *([n, i % 2] for i, n in enumerate(NAMES))])
    with pytest.raises(DataError, match="the target image is called as the images are to a server"):
        loaded(path, "image")


def test_image_table_reads_what_does_not_fit_in_memory_by_number(folder, monkeypatch):
    values = [i % 3 for i in range(NUMBER)]
    path = write(folder / "a.csv", [["file", "y"], *zip(NAMES, values, strict=True)])
    _, whole, _ = loaded(path, resize="pad")
    monkeypatch.setattr(photos, "RAM_BUDGET", 1)
    _, rows, _ = loaded(path, resize="pad", data_dir=str(folder))
    for name, part in rows.items():
        taken = part.read(np.arange(part.num_rows))
        for column, values in taken.items():
            np.testing.assert_array_equal(values, whole[name].table[column])
