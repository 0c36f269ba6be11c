"""Input forms of tables: by hand, against NumPy, and with what only some rows have."""

import datetime

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import pipelines
from pipelines import DataError, Rows
from pipelines.steps import tabular
from tests.pipelines.tables import load_csv, loaded, write
from zoo.spec import Field


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
    sizes, full = np.array([1.0, 3, 5, 7, 4]), np.array([5.0, 6, 7, 8, 9, 7])
    day = np.array([0.0, 2, 2, 4, -1, 2])
    scaled = lambda x, seen: (x - seen.mean()) / seen.std()
    # size, full, day, "size is missing", then Bonn, Ulm, other, missing
    expected = [
        [scaled(11, sizes), 0, scaled(12, day), 0, 0, 0, 1, 0],
        [0, scaled(7, full), 0, 1, 0, 1, 0, 0],
        [scaled(4, sizes), 10, 0, 0, 0, 0, 0, 1],
    ]
    raw = {name: prepared.rows["test"].table[name] for name in prepared.raw}
    for preprocess in (prepared.preprocess, tf.function(prepared.preprocess, autograph=False)):
        found = preprocess({name: tf.constant(column) for name, column in raw.items()})
        np.testing.assert_allclose(found["features"], expected, rtol=1e-5, atol=1e-6)
    # A client that sends words as they stand in a file, or a number that says "missing" in JSON.
    sent = {"size": [3e38, np.inf], "full": [7.0, np.nan], "town": ["N/A", "ULM"], "day": ["", "x"]}
    spaced = {"size": [3.0], "full": [7.0], "town": ["\tUlm "], "day": [" 2000-01-03 "]}
    found = prepared.preprocess({k: tf.constant(v) for k, v in spaced.items()})["features"]
    np.testing.assert_allclose(found[:, 2:], [[scaled(2, day), 0, 0, 1, 0, 0]], rtol=1e-5)
    found = prepared.preprocess({k: tf.constant(v) for k, v in sent.items()})["features"].numpy()
    np.testing.assert_allclose(found[:, 4:], [[0, 0, 0, 1], [0, 0, 1, 0]])
    np.testing.assert_allclose(found[:, :4], [[0, scaled(7, full), 0, 1], [0, 0, 0, 1]], atol=1e-6)


def test_encode_leaves_a_column_at_zero_that_varies_only_after_training(tmp_path):
    write(tmp_path / "a.csv", [["x", "c", "y"], *([0.1, i, i % 2] for i in range(50))])
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


def test_days_are_those_of_the_calendar():
    first = datetime.date(1600, 1, 1)
    dates = [first + datetime.timedelta(days=61 * i) for i in range(4000)]
    expected = [(date - datetime.date(2000, 1, 1)).days for date in dates]
    text = tf.constant([f" {date.isoformat()}" for date in dates])
    np.testing.assert_array_equal(tabular.days(text), expected)
    assert np.isnan(tabular.days(tf.constant(["2024-13-01", "24-01-01", "", "2024-1-1"]))).all()


def test_encode_refuses_statistics_of_other_columns(tmp_path):
    one = load_csv(write(tmp_path / "a.csv", [["x", "y"], *([i, i % 2] for i in range(60))]))
    two = write(tmp_path / "b.csv", [["z", "y"], *([i, i % 2] for i in range(60))])
    prepared = loaded(pipelines.get("csv", data_files=two, target="y"), state=one.state)
    with pytest.raises(DataError, match="other columns: x, z differ"):
        prepared.spec  # noqa: B018


def rows_of(**columns) -> Rows:
    """A column of floats is one of numbers, one of bytes is one of texts; `y` is the target."""
    table, fields = {}, {}
    number = len(next(iter(columns.values())))
    for name, values in (columns | {"y": np.arange(number) % 2}).items():
        text = isinstance(values[0], bytes)
        table[name] = np.array(values, object if text else np.float32)
        fields[name] = Field((), "string" if text else "float32")
    return Rows(number, fields, "y", table=table)


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
    ("cells", "kind"),
    [
        ([b"2024-01-01", b"", b"2024-02-01T10:00"], "dates"),
        ([b"2024-01-01", b"later", b"2024-02-01"], "texts"),
        ([b"", b"", b""], "texts"),  # all missing: nothing says that it would be dates
        ([b"a", b"b", b"a"], "texts"),
    ],
)
def test_fit_columns_finds_dates_from_the_training_rows(cells, kind):
    part = tabular.fit_columns(rows_of(x=[1.0, 2, 3], when=cells))
    assert part[kind].tolist() == ["when"]
    assert part["numbers"].tolist() == ["x"]
    as_text = tabular.fit_columns(rows_of(x=[1.0, 2, 3], when=cells), as_text=("when",))
    assert as_text["texts"].tolist() == ["when"]


def test_fit_columns_of_texts_that_are_all_missing_flags_them():
    part = tabular.fit_columns(rows_of(c=[b"", b"", b""]))
    made = tabular.encode(part)({"c": tf.constant(["", "NA", "new"])})["features"]
    np.testing.assert_array_equal(made, [[1], [1], [0]])  # "missing" alone; never seen: zeros


def test_fit_columns_refuses_a_table_of_a_target_alone():
    rows = rows_of(x=[1.0, 2])
    alone = rows._replace(fields={"y": rows.fields["y"]}, table={"y": rows.table["y"]})
    with pytest.raises(DataError, match="no column is left to learn from"):
        tabular.fit_columns(alone)


@pytest.mark.parametrize(
    "column",
    [
        np.random.default_rng(0).normal(size=1000),
        np.random.default_rng(1).integers(0, 5, 1000),  # many ties
        np.repeat([0.0, 1.0], [990, 10]),
        np.repeat(3.0, 50),
        np.array([1.0, np.nan, 2, np.inf, 10, np.nan]),
        np.arange(3.0),
    ],
    ids=["normal", "ties", "rare", "constant", "missing", "few"],
)
def test_ranks_are_interpolated_between_training_quantiles(column):
    column = column.astype(np.float32)
    form = tabular.columns_form()
    part = form.fit(rows_of(x=column))
    asked = np.concatenate([column, np.linspace(-4, 12, 301)]).astype(np.float32)
    made = form.make_preprocess(part)({"x": tf.constant(asked)})
    present = column[np.isfinite(column)].astype(np.float64)
    quantiles = np.quantile(present, np.linspace(0, 1, 257)).astype(np.float32)
    expected = np.interp(asked, quantiles, np.linspace(0, 1, 257))
    missing = ~np.isfinite(asked)
    np.testing.assert_array_equal(made["missing"][:, 0], missing)
    np.testing.assert_allclose(made["ranks"][:, 0], np.where(missing, 0, expected), atol=2e-4)
    ranks = made["ranks"].numpy()[np.argsort(asked[~missing]), 0] if not missing.any() else [0.0]
    assert (np.diff(ranks) >= 0).all()


def test_ranks_of_many_different_numbers_are_their_fractions():
    column = np.random.default_rng(0).normal(size=5000).astype(np.float32)
    form = tabular.columns_form()
    made = form.make_preprocess(form.fit(rows_of(x=column)))({"x": tf.constant(column)})
    fraction = (stats.rankdata(column) - 1) / (len(column) - 1)
    np.testing.assert_allclose(made["ranks"][:, 0], fraction, atol=2.5 / 257)


def test_columns_form_keeps_numbers_dates_and_categories_apart():
    rows = rows_of(
        size=[1.0, np.nan, 3, 5],
        town=[b"Ulm", b"Ulm", b"Bonn", b"Bonn"],
        day=[b"2000-01-01", b"2000-01-03", b"", b"2000-01-05"],
        kind=[b"a", b"b", b"c", b"a"],
    )
    form = tabular.columns_form()
    part = form.fit(rows)
    assert form.fields(part) == {"categories": Field((2,), "int32", ids=(4, 3))}
    raw = {
        "size": tf.constant([3.0, np.nan, 9e9]),
        "town": tf.constant(["Ulm", "NULL", "Bonn"]),
        "day": tf.constant(["2000-01-03", "x", " 2000-01-05 "]),
        "kind": tf.constant(["a", "b", ""]),
    }
    made = form.make_preprocess(part)(raw)
    size, day = np.array([1.0, 3, 5]), np.array([0.0, 2, 4])
    scaled = lambda x, seen: (x - seen.mean()) / seen.std()
    numbers = [[scaled(3, size), scaled(2, day)], [0, 0], [10, scaled(4, day)]]
    np.testing.assert_allclose(made["numbers"], numbers, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(made["ranks"], [[0.5, 0.5], [0, 0], [1, 1]], atol=1e-6)
    np.testing.assert_array_equal(made["missing"], [[0, 0], [1, 1], [0, 0]])
    np.testing.assert_array_equal(made["categories"], [[3, 2], [0, 1], [2, 0]])


def test_columns_form_leaves_out_a_part_of_no_columns():
    form = tabular.columns_form()
    for rows, names in (
        (rows_of(x=[1.0, 2]), {"numbers", "ranks", "missing"}),
        (rows_of(c=[b"a", b"a"]), {"categories"}),
    ):
        part = form.fit(rows)
        raw = {k: tf.constant(v) for k, v in rows.table.items() if k != "y"}
        assert set(form.make_preprocess(part)(raw)) == names
        assert set(form.fields(part)) == names & {"categories"}
