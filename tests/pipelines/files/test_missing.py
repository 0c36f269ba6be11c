"""Which words mean missing."""

from collections import Counter

from pipelines.files import missing
from pipelines.files.readings import WORDS, ColumnOptions


def absent(cells, **options):
    return missing.absent(Counter(cells), ColumnOptions(**options))


def test_absent_takes_all_words_in_numbers_and_dates():
    for cells in (["1", "NA", "none", "?", "#N/A"], ["2024-01-31", "NA", "none", "?", "#N/A"]):
        found = absent(cells)
        assert set(found.spelled) == {"NA", "none", "?", "#N/A"}
        assert found.words == WORDS


def test_absent_knows_the_dates_that_are_none():
    found = absent(["2024-01-31", "2024-02-01", "2024-02-02", "2024-02-03", "NaT", "0000-00-00"])
    assert set(found.spelled) == {"NaT", "0000-00-00"}
    assert "Nat" not in absent(["Nat", "Ann", "Bob"]).spelled


def test_absent_of_texts_by_evidence():
    assert set(absent(["a", "b", "None"]).spelled) == {"None"}
    found = absent(["a", "b", "None", "none", "", "NaN"])
    assert (set(found.spelled), found.values) == ({"", "NaN"}, {"None": 1, "none": 1})
    assert b"none" not in found.words
    assert b"null" in found.words
    target = absent(["a", "None", "?", ""], target=True)
    assert (set(target.spelled), set(target.values)) == ({""}, {"None", "?"})
    assert target.words == (b"",)


def test_absent_of_words_that_are_asked_for():
    found = absent(["a", "Unknown", "NA", ""], missing=("unknown",))
    assert (set(found.spelled), found.words) == ({"Unknown", ""}, (b"", b"unknown"))
    assert set(absent(["-999", "-999.0", "5"], missing=("-999",)).spelled) == {"-999", "-999.0"}
    assert absent(["None", "a"], missing=()).spelled == {}


def test_remarks_say_how_to_read_it_otherwise():
    options = ColumnOptions()
    [line] = missing.remarks("x", absent(["a", "b", "None", ""]), options)
    assert line == (
        "x: 'None' (1 cells) is a value, beside other missing cells; missing=x:None makes it "
        "missing"
    )
    assert missing.remarks("x", absent(["a", "b", "None"]), options) == [
        "x: 'None' (1 cells) is taken as missing; missing=x: makes it a value"
    ]
    assert missing.remarks("x", absent(["a", "b", "null"]), options) == []
