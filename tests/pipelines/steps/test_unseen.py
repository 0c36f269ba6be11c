"""Values that training never had: by hand, alike in both input forms, and in an export."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines.files.readings import Reading
from pipelines.steps import tabular
from pipelines.steps.columns import forms
from tests.pipelines.tables import rows_of

FORMS = ("vector", "columns")


def twice(*texts: str) -> list[bytes]:
    return [text.encode() for text in texts for _ in range(2)]


def taken_as(values: list[bytes], asked: list[str]) -> tuple[list[str], list[bool]]:
    """The categories that texts become ("": none), and whether they are unknown; in both forms."""
    found = []
    for name in FORMS:
        form = forms()[name]
        part = form.fit(rows_of(c=values))
        [known] = tabular.known_categories(part)
        raw = {"c": tf.constant(asked)}
        made = form.make_preprocess(part)(raw)
        if name == "vector":
            one_hot = made["features"][:, : len(known)].numpy()
            index = np.where(one_hot.any(axis=1), one_hot.argmax(axis=1) + 2, 0)
        else:
            index = made["categories"][:, 0].numpy()
        unknown, unreadable = form.unseen(part).find(raw)
        assert not unreadable.numpy().any()
        names = ["", "", *(value.decode() for value in known)]
        found.append(([names[i] for i in index], unknown[:, 0].numpy().tolist()))
    assert found[0] == found[1]
    return found[0]


def test_a_code_is_known_with_a_point_or_zeros_where_all_are_plain_numbers():
    asked = ["1", "1.0", "1.", "012", "1.5", "3", "3.0", "", "?", "x"]
    found, unknown = taken_as(twice("1", "2", "12"), asked)
    assert found == ["1", "1", "1", "12", "", "", "", "", "", ""]
    assert unknown == [False] * 4 + [True] * 3 + [False, False, True]
    # As pandas writes whole numbers beside missing ones, and then as they are.
    assert taken_as(twice("1.0", "2.0"), ["1", "2.0", "3"]) == (["1.0", "2.0", ""], [0, 0, 1])


def test_a_lost_zero_is_added_where_all_codes_have_one_length():
    codes = twice("02134", "10001", "00501")
    found, unknown = taken_as(codes, ["2134", "501", "2134.0", "02134", "2135", "1001"])
    assert found == ["02134", "00501", "02134", "02134", "", ""]
    assert unknown == [False] * 4 + [True] * 2
    # Here 7 may be 007 as well as another code.
    found, unknown = taken_as(twice("007", "12", "1234"), ["7", "12.0", "0012", "007"])
    assert found == ["", "12", "", "007"]
    assert unknown == [True, False, True, False]
    assert taken_as(twice("02134", "10001", "A-1"), ["2134", "a-1"]) == (["", "A-1"], [True, False])


def test_case_and_spaces_do_not_matter_where_one_training_value_is_alike():
    values = twice("Female", "male", "New York", "Köln", "a B", "A b")
    asked = ["FEMALE", " female\t", "Male", "new  york", "NEW\u00a0YORK", "KÖLN", "a B"]
    found, unknown = taken_as(values, asked)
    assert found == ["Female", "Female", "male", "New York", "New York", "Köln", "a B"]
    assert unknown == [False] * 7
    found, unknown = taken_as(values, ["a b", "NewYork", "femal", "Fe male", "unknown"])
    assert found == [""] * 5
    assert unknown == [True] * 5


def test_rare_training_values_are_not_unknown():
    """Categories are values that occur twice, 100 at most; the others are counted as seen too."""
    values = [*twice("a", "b"), b"Once", b"other one", *twice(*(f"w{i:03}" for i in range(150)))]
    asked = ["a", "Once", "ONCE", "once ", "w149", "W149", "never", "w150"]
    _, unknown = taken_as(values, asked)
    assert unknown == [False] * 6 + [True] * 2
    # "ab" is alike to a category and to a rare value: it may be either.
    found, unknown = taken_as([*twice("AB", "c"), b"Ab", b"d"], ["AB", "Ab", "ab", "D"])
    assert found == ["AB", "", "", ""]
    assert unknown == [False, False, True, False]


def dated():
    rows = rows_of(
        size=[1.0, 2, 3, 4],
        price=[b"$1,000", b"$20", b"n/a", b"$3.50"],
        day=[b"2020-01-01", b"2020-02-01", b"", b"2020-03-01"],
        town=twice("Ulm", "Bonn"),
    )
    readings = {
        "price": Reading("number", "point $", words=(b"", b"n/a"), sentinels=(-1.0,)),
        "day": Reading("date", "year_first", words=(b"", b"never")),
    }
    return rows._replace(readings=readings)


@pytest.mark.parametrize("name", FORMS)
def test_what_cannot_be_read_is_told_from_what_is_missing(name):
    form = forms()[name]
    told = form.unseen(form.fit(dated()))
    raw = {
        "town": ["Ulm", "Mainz", "", "bonn", "Köln", "NA"],
        "size": [np.nan, 3e38, 7.0, 1.0, 2.0, np.inf],
        "price": ["1.000,50", "n/a", "-1", "$ 12", "cheap", ""],
        "day": ["2020-02-30", "", "never", "2031-01-01", "01/02/2020", " 2020-01-01 "],
    }
    for find in (told.find, tf.function(told.find, autograph=False)):
        unknown, unreadable = find({k: tf.constant(v) for k, v in raw.items()})
        # In the order of the fields that are sent: town, size, price, day.
        np.testing.assert_array_equal(
            np.flatnonzero(unknown), [1 * 4 + 0, 4 * 4 + 0]
        )  # Mainz and Köln
        rows, columns = np.nonzero(unreadable)
        assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [
            (0, 2),
            (0, 3),
            (4, 2),
            (4, 3),
        ]
    assert told.expected == {
        "price": "a number such as 1,234.5 $",
        "day": "a date such as 2024-01-31",
        "town": "'Bonn', 'Ulm'",
    }


def test_training_rows_are_as_they_were():
    """However their values are spelled, the part without the spellings gives the same inputs."""
    random = np.random.default_rng(0)
    words = ["a", "A", "a b", "a  b", "A\u00a0B", "1", "1.0", "01", "001", "x", "7.", "É", "é", "E"]
    words = [word.encode() for word in words] + [b"caf\xe9", b"caf\xe8"]
    for _ in range(20):
        values = random.choice(np.array(words, object), 40).tolist()
        for name in FORMS:
            form = forms()[name]
            part = form.fit(rows_of(c=values))
            earlier = {key: value for key, value in part.items() if key != "plain"}
            raw = {"c": tf.constant(values)}
            made, before = (form.make_preprocess(p)(raw) for p in (part, earlier))
            for key, value in before.items():
                np.testing.assert_array_equal(made[key], value)
            unknown, _ = form.unseen(part).find(raw)
            assert not unknown.numpy().any()


def test_bytes_that_are_no_text_are_unknown():
    form = forms()["vector"]
    part = form.fit(rows_of(c=[b"caf\xe9", b"caf\xe9", b"b", b"b"]))
    unknown, _ = form.unseen(part).find({"c": tf.constant([b"caf\xe9", b"caf\xe8", b"B"])})
    assert unknown[:, 0].numpy().tolist() == [False, True, False]


def test_a_part_of_an_earlier_format_knows_its_categories_alone():
    keys = ("holds", "seen", "plain", "plain_category")
    raw = {"c": tf.constant(["a", "A", "new"])}
    for values, expected in ((twice("a", "b"), [False, True, True]), ([b"a", b"a", b"z"], [0] * 3)):
        for name in FORMS:
            form = forms()[name]
            part = {k: v for k, v in form.fit(rows_of(c=values)).items() if k not in keys}
            assert form.unseen(part).find(raw)[0][:, 0].numpy().tolist() == expected
            form.make_preprocess(part)(raw)


def test_no_rows_are_no_fault():
    """An empty batch, and a column without any training value."""
    for name in FORMS:
        form = forms()[name]
        part = form.fit(rows_of(a=twice("1", "2"), b=[b""] * 4, c=twice("x", "Y")))
        none = {column: tf.zeros((0,), tf.string) for column in "abc"}
        assert [found.shape for found in form.unseen(part).find(none)] == [(0, 3)] * 2
        assert all(len(made) == 0 for made in form.make_preprocess(part)(none).values())
        one = {"a": tf.constant(["1.0"]), "b": tf.constant(["new"]), "c": tf.constant(["y"])}
        assert form.unseen(part).find(one)[0].numpy().tolist() == [[False, True, False]]


def test_expected_names_a_few_values_safely():
    form = forms()["columns"]
    part = form.fit(
        rows_of(c=twice(*(f"w{i:02}" for i in range(12))), d=twice("x\u202e" * 99) * 12)
    )
    expected = form.unseen(part).expected
    assert expected["c"] == ", ".join(f"'w{i:02}'" for i in range(10)) + " and others"
    assert len(expected["d"]) <= 80
    assert expected["d"].isprintable()
