"""The input form `columns`: ranks against NumPy, categories by hand."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from pipelines.core.pipeline import DataError
from pipelines.files.readings import Reading
from pipelines.steps import columns
from tests.pipelines.tables import rows_of
from zoo.spec import Field


def smooth(x):
    return x / np.sqrt(1 + (x / 3) ** 2)


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
    form = columns.columns_form()
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
    form = columns.columns_form()
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
    rows = rows._replace(readings={"day": Reading("date", "year_first")})
    form = columns.columns_form()
    part = form.fit(rows)
    assert form.fields(part) == {"categories": Field((2,), "int32", ids=(4, 3))}
    raw = {
        "size": tf.constant([3.0, np.nan, 9e9]),
        "town": tf.constant(["Ulm", "NULL", "Bonn"]),
        "day": tf.constant(["2000-01-03", "x", " 2000-01-05 "]),
        "kind": tf.constant(["a", "b", ""]),
    }
    made = form.make_preprocess(part)(raw)
    # Quartiles of 1 3 5 are 2 and 4, of the days 0 2 4 are 1 and 3.
    numbers = [[0, 0], [0, 0], [3, smooth(1)]]
    np.testing.assert_allclose(made["numbers"], numbers, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(made["ranks"], [[0.5, 0.5], [0, 0], [1, 1]], atol=1e-6)
    np.testing.assert_array_equal(made["missing"], [[0, 0], [1, 1], [0, 0]])
    np.testing.assert_array_equal(made["categories"], [[3, 2], [0, 1], [2, 0]])


def test_columns_form_leaves_out_a_part_of_no_columns():
    form = columns.columns_form()
    for rows, names in (
        (rows_of(x=[1.0, 2]), {"numbers", "ranks", "missing"}),
        (rows_of(c=[b"a", b"a"]), {"categories"}),
    ):
        part = form.fit(rows)
        raw = {k: tf.constant(v) for k, v in rows.table.items() if k != "y"}
        assert set(form.make_preprocess(part)(raw)) == names
        assert set(form.fields(part)) == names & {"categories"}


def test_codes_are_categories_beside_their_numbers(caplog):
    school = np.repeat([3.0, 8, 11, 40, 41], 60)
    effect = np.array([1.0, -2, 3, 0, 5])[np.repeat(np.arange(5), 60)]
    rows = rows_of(school=school, town=[b"a", b"b"] * 150, y=effect)
    form = columns.columns_form()
    # Five values of five bins each: the bins say what the codes would.
    assert not len(form.fit(rows)["coded"])
    random = np.random.default_rng(0)
    school = np.repeat(np.arange(200.0), 10)
    effect = random.normal(size=200)[school.astype(int)]
    rows = rows_of(
        age=random.integers(20, 60, 2000), school=school, town=[b"a", b"b"] * 1000, y=effect
    )
    with caplog.at_level("INFO"):
        part = form.fit(rows)
    assert "taken as categories besides as numbers: school (200 values)" in caplog.text
    assert form.fields(part) == {"categories": Field((2,), "int32", ids=(4, 202))}
    raw = {
        "age": tf.constant([30.0, 31, 32, 33]),
        "school": tf.constant([7.0, np.nan, 200, 7.5]),
        "town": tf.constant(["b", "a", "", "c"]),
    }
    made = form.make_preprocess(part)(raw)
    # 0: missing, 1: unknown, from 2 on: the values in order.
    np.testing.assert_array_equal(made["categories"], [[3, 9], [2, 0], [0, 1], [1, 1]])
    assert made["numbers"].shape == (4, 2)


def test_more_than_a_hundred_values_are_known_where_there_are_rows_for_them():
    towns = np.array([b"town %d" % (i % 300) for i in range(3000)] + [b"seen once"])
    form = columns.columns_form()
    rows = rows_of(town=towns.tolist(), x=np.arange(3001.0))
    assert form.fields(form.fit(rows))["categories"].ids == (302,)
    made = form.make_preprocess(form.fit(rows))
    asked = {"town": tf.constant(["town 0", "town 299", "seen once", "new", ""])}
    ids = made(asked | {"x": tf.zeros(5, tf.float64)})["categories"][:, 0]
    # In order as texts: town 299 is the 222nd of 300 (after town 298), from 2 on.
    order = sorted({town for town in towns.tolist() if town != b"seen once"})
    assert ids.numpy().tolist() == [2, 2 + order.index(b"town 299"), 1, 1, 0]
    # Half of the rows are enough for half of the values, the most frequent first.
    few = rows_of(town=towns[:1500].tolist(), x=np.arange(1500.0))
    assert form.fields(form.fit(few))["categories"].ids == (152,)


def test_codes_of_a_table_of_numbers_are_categories_in_a_graph_too():
    random = np.random.default_rng(0)
    school = np.repeat(np.arange(200.0), 10)
    effect = random.normal(size=200)[school.astype(int)]
    rows = rows_of(age=random.integers(20, 60, 2000), school=school, y=effect)
    form = columns.columns_form()
    preprocess = form.make_preprocess(form.fit(rows))
    raw = {"age": tf.constant([30.0, 31]), "school": tf.constant([7.0, 7.5])}
    expected = [[9], [1]]
    np.testing.assert_array_equal(preprocess(raw)["categories"], expected)
    np.testing.assert_array_equal(tf.function(preprocess)(raw)["categories"], expected)


def with_texts(**columns):
    rows = rows_of(**columns)
    return rows._replace(
        readings={"note": Reading("words", words=(b"", b"none")), "town": Reading("text")}
    )


NOTES = [b"not bad", b"bad", b"NONE", b"not"]


def test_columns_form_has_the_words_of_free_text():
    rows = with_texts(size=[1.0, 2, 3, 4], town=[b"a", b"b"] * 2, note=NOTES)
    form = columns.forms()["columns"]
    part = form.fit(rows)
    assert form.fields(part)["words"] == Field((1, 2), "int32", ids=4)
    raw = {
        "size": tf.constant([1.0, 1, 1]),
        "town": tf.constant(["a", "a", "a"]),
        "note": tf.constant(["Not good", " none ", "bad"]),
    }
    made = form.make_preprocess(part)(raw)
    assert set(made) == {"numbers", "ranks", "missing", "categories", "words"}
    # 0: padding, 1: unknown, then "bad" and "not".
    np.testing.assert_array_equal(made["words"][:, 0], [[3, 1], [0, 0], [2, 0]])
    unknown, unreadable = form.unseen(part).find({**raw, "town": tf.constant(["a", "c", "a"])})
    np.testing.assert_array_equal(unknown, [[0, 0, 0], [0, 1, 0], [0, 0, 0]])
    assert not unreadable.numpy().any()
    alone = with_texts(note=NOTES)
    made = form.make_preprocess(form.fit(alone))({"note": tf.constant(NOTES)})
    assert set(made) == {"words"}


def test_forms_leave_out_free_text_that_they_or_their_part_know_nothing_of():
    forms, rows = columns.forms(), with_texts(town=[b"a", b"b"] * 2, note=NOTES)
    assert list(forms["vector"].leaves_out(rows, None)) == ["note"]
    assert list(forms["columns"].leaves_out(rows, None)) == []
    before = {"columns": np.array(["town"])}
    for form in forms.values():
        assert list(form.leaves_out(rows, before)) == ["note"]
        # An earlier version took it for a category.
        assert list(form.leaves_out(rows, {"columns": np.array(["town", "note"])})) == []
    with pytest.raises(DataError, match=r"from but free text \(note\): --model=tabular takes"):
        forms["vector"].leaves_out(with_texts(note=NOTES), None)
