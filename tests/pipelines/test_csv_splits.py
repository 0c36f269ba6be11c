"""Which rows of a table are for what, and which task its target stands for."""

import numpy as np
import pytest

import pipelines
from pipelines import DataError
from tests.pipelines.test_csv import joined, load, write
from trainers.training import compile as assembly


def rows_of(split, pipeline) -> set:
    return set(pipeline.rows[split].table["x"].tolist())


def numbers(first: int, last: int) -> list[list]:
    return [["x", "c", "y"], *([i / 8, f"k{i % 5}", i % 2] for i in range(first, last))]


def test_more_rows_move_none_and_a_seed_moves_many(tmp_path):
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "a.csv", numbers(0, 600))
    small = load(tmp_path / "data")
    write(tmp_path / "data" / "b.csv", numbers(600, 1000), delimiter=";")
    write(tmp_path / "data" / "notes.md", [["not a table"]])
    large = load(tmp_path / "data")
    for split in small.rows:
        assert rows_of(split, small) == {x for x in rows_of(split, large) if x < 600 / 8}
    shares = {split: rows.num_rows / 1000 for split, rows in large.rows.items()}
    for split, share in {"train": 0.7, "validation": 0.1, "test": 0.2}.items():
        assert abs(shares[split] - share) < 4 * (share * (1 - share) / 1000) ** 0.5
    assert rows_of("test", load(tmp_path / "data", split_seed=1)) != rows_of("test", large)
    third = load(tmp_path / "data", validation=0.3, test=0.4)
    assert abs(third.rows["train"].num_rows - 300) < 60


def test_files_one_by_one_by_comma_folder_and_pattern_are_the_same(tmp_path):
    a = write(tmp_path / "a.csv", numbers(0, 300))
    b = write(
        tmp_path / "b.csv", [["y", "x", "c"], *([i % 2, i / 8, "k"] for i in range(300, 400))]
    )
    for place in (f"{a},{b}", str(tmp_path), f"{tmp_path}/*.csv"):
        pipeline = load(place)
        assert sorted(joined(pipeline, "x")) == [i / 8 for i in range(400)]
        where = joined(pipeline, "x") * 8 % 2
        np.testing.assert_array_equal(where, joined(pipeline, "y"))


def test_copies_stay_together_and_are_counted(tmp_path, capsys):
    rows = numbers(0, 300)
    path = write(tmp_path / "a.csv", [*rows, *rows[1:101]])
    pipeline = load(path)
    values = [rows_of(split, pipeline) for split in pipeline.rows]
    assert sum(map(len, values)) == len(set.union(*values)) == 300
    assert "100 rows are copies of an earlier one" in capsys.readouterr().out


def test_given_files_are_kept_apart_and_leaks_are_reported(tmp_path, capsys):
    train = write(tmp_path / "train.csv", numbers(0, 500))
    test = write(tmp_path / "test.csv", numbers(490, 600))
    pipeline = load(f"train={train},test={test}")
    assert rows_of("test", pipeline) == {i / 8 for i in range(490, 600)}
    assert rows_of("train", pipeline) | rows_of("validation", pipeline) == {
        i / 8 for i in range(500)
    }
    assert abs(pipeline.rows["validation"].num_rows - 50) < 30
    assert "10 rows of test are in train too" in capsys.readouterr().out
    turned = load(f"test={test},train={train}")
    for split in pipeline.rows:
        assert rows_of(split, turned) == rows_of(split, pipeline)
    pipeline = load(f"train={train},validation={test}")
    assert abs(pipeline.rows["test"].num_rows - 100) < 40
    whole = load(f"train={train},validation={test},test={test}")
    assert whole.rows["train"].num_rows == 500
    assert pipeline.rows["validation"].num_rows == whole.rows["test"].num_rows == 110


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("nowhere.csv", "no file"),
        ("trian=a.csv", "train, validation, test"),
        ("test=a.csv", "no file is for train"),
        ("a.csv,test=a.csv", "every file, or of none"),
        ("a.csv,b.csv", "other columns than .*a.csv: x, z"),
    ],
)
def test_files_that_cannot_be_meant(files, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.csv", numbers(0, 30))
    write(tmp_path / "b.csv", [["z", "c", "y"], [1, 2, 3]])
    with pytest.raises(DataError, match=said):
        pipelines.get("csv", data_files=files, target="y")


def table_of(tmp_path, values) -> str:
    return write(tmp_path / "t.csv", [["x", "y"], *([i / 3, v] for i, v in enumerate(values))])


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        ([0, 1], "binary", ("0", "1")),
        (["1.0", "0"], "binary", ("0", "1")),
        (["yes", "no"], "binary", ("no", "yes")),
        ([10, 9, 8], "classification", ("8", "9", "10")),
        (list("cab"), "classification", ("a", "b", "c")),
        (list(range(20)), "classification", tuple(str(i) for i in range(20))),
        (list(range(21)), "regression", ()),
        ([0.5, 1, 2], "regression", ()),
    ],
)
def test_the_task_is_inferred_from_the_target(values, task, classes, tmp_path):
    pipeline = load(table_of(tmp_path, values * (300 // len(values))))
    assert (pipeline.task, pipeline.class_names) == (task, classes)
    found = sorted(set(joined(pipeline, "y").tolist()))
    assert found == (sorted(values) if task == "regression" else list(range(len(classes))))
    assert joined(pipeline, "y").dtype == (np.float32 if task == "regression" else np.int64)


def test_the_task_can_be_said(tmp_path):
    path = table_of(tmp_path, [0, 1, 2] * 80)
    assert load(path, task="regression").task == "regression"
    assert load(path, task="classification").class_names == ("0", "1", "2")
    with pytest.raises(DataError, match="has 3 values"):
        load(path, task="binary")
    with pytest.raises(DataError, match="is unknown; expected regression"):
        load(path, task="regresion")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["a"] * 40, "is a in every row"),
        ([""] * 40, "missing in every row"),
        ([f"v{i}" for i in range(40)], "40 different values in 40 rows, too many"),
    ],
)
def test_targets_that_tell_nothing(values, said, tmp_path):
    with pytest.raises(DataError, match=said):
        load(table_of(tmp_path, values))


def test_several_targets_are_labels(tmp_path):
    rows = [["x", "red", "blue", "late"]]
    rows += [[i / 3, i % 2, "yes" if i % 3 else "NO", i % 5 == 0] for i in range(300)]
    pipeline = load(write(tmp_path / "t.csv", rows), "red,blue,late")
    assert pipeline.task == "multi_label"
    assert pipeline.class_names == ("red", "blue", "late")
    assert pipeline.spec.num_outputs == 3
    table = {k: joined(pipeline, k) for k in ("x", "red,blue,late")}
    number = np.round(table["x"] * 3).astype(int)
    expected = np.stack([number % 2, number % 3 > 0, number % 5 == 0], axis=1)
    np.testing.assert_array_equal(table["red,blue,late"], expected.astype(np.float32))
    with pytest.raises(DataError, match=r"each is 0 or 1; x has '0\.333"):
        load(tmp_path / "t.csv", "x,red")


def test_a_regression_knows_its_units(tmp_path):
    pipeline = load(table_of(tmp_path, [1e6 + 1000 * (i % 41) for i in range(400)]))
    train = pipeline.rows["train"].table["y"].astype(np.float64)
    assert assembly.units(pipeline) == pytest.approx((train.mean(), train.std()))
    assert pipeline.rows["test"].table["y"].max() > 1e6  # rows keep their own numbers


def test_an_unknown_target_says_the_nearest(tmp_path):
    path = table_of(tmp_path, [0, 1] * 20)
    for options, said in (
        ({"target": "Y"}, "target=Y: no column 'Y'; nearest: x, y"),
        ({"target": "y", "ignore": "xx"}, "ignore=xx: no column 'xx'; nearest: x"),
        ({"target": "y", "categories": "z"}, "categories=z"),
        ({"target": "y", "ignore": "x"}, "no column to learn from"),
    ):
        with pytest.raises(DataError, match=said):
            load(path, **options)
