"""Input forms of tables: by hand, against NumPy, and with what only some rows have."""

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from pipelines import DataError, Rows
from pipelines.steps import tabular
from pipelines.steps.columns import forms
from tests.pipelines.tables import load_csv, loaded, rows_of, write
from zoo.spec import Field


def smooth(x):
    return x / np.sqrt(1 + (x / 3) ** 2)


def test_encode_by_hand(tmp_path):
    """Numbers, missing ones, dates and categories, with statistics of the training rows alone."""
    header = ["size", "full", "town", "day", "y"]
    train = [
        ["1", "5", "Ulm", "2000-01-01", 0],
        ["3", "6", "Ulm", "2000-01-03", 1],
        ["", "7", "Bonn", "2000-01-03T12:00", 0],
        ["5", "8", "Bonn", "2000-01-05", 1],
        ["7", "9", "once", "1999-12-31", 1],
        ["4", "7", "", "2000-01-03", 0],
    ]
    test = [
        [" 11 ", "", "Köln", "2000-01-13", 0],
        ["na", "7", " Ulm", "", 1],
        ["4", "1e30", "NULL", "?", 1],
    ]
    write(tmp_path / "a.csv", [header, *train])
    write(tmp_path / "b.csv", [header, *test])
    files = ",".join(
        f"{split}={tmp_path / 'ab'[i % 2]}.csv"
        for split, i in (("train", 0), ("validation", 1), ("test", 1))
    )
    prepared = load_csv(files)
    # Median and quartiles of 1 3 4 5 7, of 5 6 7 7 8 9, and of the days -1 0 2 2 2.5 4.
    size = lambda x: smooth((x - 4) / 2)
    full_at = lambda x: smooth((x - 7) / 1.5)
    day = lambda x: smooth((x - 2) / (2.375 - 0.5))
    # size, full, day, time of day, "size is missing", then Bonn, Ulm, other, missing
    expected = [
        [size(11), 0, day(12), 0, 0, 0, 0, 1, 0],
        [0, full_at(7), 0, 0, 1, 0, 1, 0, 0],
        [size(4), 3, 0, 0, 0, 0, 0, 0, 1],
    ]
    raw = {name: prepared.rows["test"].table[name] for name in prepared.raw}
    for preprocess in (prepared.preprocess, tf.function(prepared.preprocess, autograph=False)):
        found = preprocess({name: tf.constant(column) for name, column in raw.items()})
        np.testing.assert_allclose(found["features"], expected, rtol=1e-5, atol=1e-6)
    # A client that sends words as they stand in a file, or a number that says "missing" in JSON.
    sent = {
        "size": [3e38, np.inf],
        "full": [7.0, np.nan],
        "town": ["N/A", "ULMS"],
        "day": ["", "x"],
    }
    spaced = {"size": [3.0], "full": [7.0], "town": ["\tUlm "], "day": [" 2000-01-03 "]}
    found = prepared.preprocess({k: tf.constant(v) for k, v in spaced.items()})["features"]
    np.testing.assert_allclose(found[:, 2:], [[day(2), 0, 0, 0, 1, 0, 0]], rtol=1e-5)
    found = prepared.preprocess({k: tf.constant(v) for k, v in sent.items()})["features"].numpy()
    np.testing.assert_allclose(found[:, 5:], [[0, 0, 0, 1], [0, 0, 1, 0]])
    np.testing.assert_allclose(found[:, :5], [[0, full_at(7), 0, 0, 1], [0, 0, 0, 0, 1]], atol=1e-6)


def test_encode_leaves_a_column_at_zero_that_varies_only_after_training(tmp_path):
    write(tmp_path / "a.csv", [["x", "c", "y"], *([0.1, i * i, i % 2] for i in range(50))])
    write(tmp_path / "b.csv", [["x", "c", "y"], [900, 1, 0], ["", 2, 1]])
    prepared = load_csv(f"train={tmp_path}/a.csv,test={tmp_path}/b.csv")
    raw = {k: tf.constant(prepared.rows["test"].table[k]) for k in prepared.raw}
    np.testing.assert_array_equal(prepared.preprocess(raw)["features"][:, 0], [0, 0])


def test_encode_takes_rare_categories_as_other(tmp_path):
    words = [f"w{i:03}" for i in range(150) for _ in range(2 + (i < 40))] + ["once"]
    rows = [["w", "y"], *([word, i % 2] for i, word in enumerate(words))]
    write(tmp_path / "a.csv", rows)
    prepared = load_csv(f"train={tmp_path}/a.csv,validation={tmp_path}/a.csv,test={tmp_path}/a.csv")
    known = [word.decode() for word in prepared.state["inputs/vector"]["categories"]]
    assert known == [f"w{i:03}" for i in range(100)]
    found = prepared.preprocess({"w": tf.constant(["w000", "w099", "w100", "once", "new", ""])})
    position = found["features"].numpy().argmax(axis=1)
    np.testing.assert_array_equal(position[:5], [0, 99, 100, 100, 100])
    assert found["features"].numpy()[5].sum() == 0  # missing was never seen: no weight was trained


def test_encode_refuses_statistics_of_other_columns(tmp_path):
    one = load_csv(write(tmp_path / "a.csv", [["x", "y"], *([i, i % 2] for i in range(60))]))
    two = write(tmp_path / "b.csv", [["z", "y"], *([i * i, i % 2] for i in range(60))])
    pipeline = pipelines.get("csv", data_files=two, target="y")
    with pytest.raises(DataError, match="other columns: x, z differ"):
        _ = loaded(pipeline, state=one.state).spec


def test_fit_statistics_and_standardize_by_hand():
    part = tabular.fit_statistics(rows_of(a=[1.0, 3, 5, 7], same=[2.0] * 4))
    assert part["columns"].tolist() == ["a", "same"]
    np.testing.assert_allclose(part["mean"], [4, 2])
    np.testing.assert_allclose(part["std"], [5**0.5, 1])  # a column that never varies: 1
    raw = {"a": tf.constant([4.0, 9]), "same": tf.constant([2.0, 3])}
    made = tabular.standardize(part)(raw)["features"]
    np.testing.assert_allclose(made, [[0, 0], [5**0.5, 1]], rtol=1e-6)
    with pytest.raises(DataError, match="other columns: same differ"):
        tabular.standardize(part)({"a": raw["a"]})


def test_stratified_keeps_the_fraction_of_each_class_in_every_split():
    target = np.repeat([0, 1, 2], [600, 300, 100])
    fields = {"x": Field((), "int64"), "label": Field((), "int64")}
    rows = Rows(1000, fields, "label", table={"x": np.arange(1000), "label": target})
    parts = tabular.stratified(rows, seed=3, validation=0.1, test=0.2)
    expected = {"train": [420, 210, 70], "validation": [60, 30, 10], "test": [120, 60, 20]}
    for name, part in parts.items():
        assert np.bincount(part.table["label"]).tolist() == expected[name]
        assert (np.diff(part.table["x"]) > 0).all()  # in stored order
    seen = np.concatenate([part.table["x"] for part in parts.values()])
    np.testing.assert_array_equal(np.sort(seen), np.arange(1000))


@pytest.mark.parametrize(
    ("values", "centre", "scale"),
    [
        ([0, 1, 2, 3, 4], 2, 1 / 2),  # quartiles 1 and 3
        ([0, 1, 2, 3, 1e30], 2, 1 / 2),  # no value is the scale
        ([0, 0, 0, 0, 1], 0, 2),  # half of the distance of the others
        ([0, 0, 0, 0, 0, 0, 2, 4, 1e9], 0, 1 / 2),
        ([np.nan, 7, 7], 0, 0),
        ([np.nan], 0, 0),
        ([1, np.nan, 3], 2, 1),
    ],
)
def test_robust_by_hand(values, centre, scale):
    assert tabular.robust(np.array(values, float)) == pytest.approx((centre, scale))


def test_encode_centres_large_numbers_in_float64():
    """Seconds since 1970, which float32 rounds to 128."""
    seconds = 1_716_000_000.0 + np.arange(0, 101.0)
    rows = rows_of(x=seconds)
    rows = rows._replace(
        fields={**rows.fields, "x": Field((), "float64")}, table={**rows.table, "x": seconds}
    )
    for form, name in (
        (forms()["vector"], "features"),
        (forms()["columns"], "numbers"),
    ):
        made = form.make_preprocess(form.fit(rows))({"x": tf.constant(seconds)})
        expected = smooth((np.arange(0, 101) - 50) / 50)
        np.testing.assert_allclose(made[name][:, 0], expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(made["ranks"][:, 0], np.arange(101) / 100, atol=1e-6)


def test_encode_reads_a_part_of_the_earlier_format_as_it_was_meant():
    part = {
        "numbers": np.array(["size"]),
        "dates": np.array(["day"]),
        "texts": np.array(["town"]),
        "mean": np.array([3, 10], np.float32),
        "scale": np.array([0.5, 0.1], np.float32),
        "flagged": np.array([1]),
        "categories": np.array([b"Bonn", b"Ulm"]),
        "category_of": np.array([0, 0]),
        "other": np.array([False]),
        "absent": np.array([True]),
    }
    raw = {"size": [5.0, 900.0], "day": ["2000-01-21 23:59", "?"], "town": ["Ulm", "none"]}
    made = tabular.encode(part)({k: tf.constant(v) for k, v in raw.items()})["features"]
    np.testing.assert_allclose(made, [[1, 1, 0, 0, 1, 0], [10, 0, 1, 0, 0, 1]], atol=1e-6)


def test_fit_columns_of_texts_that_are_all_missing_flags_them():
    part = tabular.fit_columns(rows_of(c=[b"", b"", b""]))
    made = tabular.encode(part)({"c": tf.constant(["", "NA", "new"])})["features"]
    np.testing.assert_array_equal(made, [[1], [1], [0]])  # "missing" alone; never seen: zeros


def test_fit_columns_refuses_a_table_of_a_target_alone():
    rows = rows_of(x=[1.0, 2])
    alone = rows._replace(fields={"y": rows.fields["y"]}, table={"y": rows.table["y"]})
    with pytest.raises(DataError, match="no column is left to learn from"):
        tabular.fit_columns(alone)
