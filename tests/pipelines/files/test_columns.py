"""What a column holds, found from its cells."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import DataError
from pipelines.files import column_cells, columns
from pipelines.files.readings import ColumnOptions


@settings(deadline=None)
@given(st.lists(st.floats(-1e37, 1e37) | st.none() | st.integers(-(10**9), 10**9), min_size=1))
def test_infer_reads_numbers_back(values):
    cells = ["" if value is None else repr(value) for value in values]
    column = columns.infer("x", column_cells.of(cells), str, ColumnOptions(missing=()))
    assert column.kind == "number"
    expected = [math.nan if value is None else float(value) for value in values]
    np.testing.assert_array_equal(column.values, expected)
    assert column.distinct == len({value + 0.0 for value in values if value is not None})


def infer(cells, name="x", **options):
    where = lambda row: f"t.csv:{row + 2}"
    return columns.infer(name, column_cells.of(cells), where, ColumnOptions(**options))


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "", "2.5"], "number", [1, np.nan, 2.5]),
        (["1", "NA", "?", "3"], "number", [1, np.nan, np.nan, 3]),
        (["a", "b", "na"], "text", [b"a", b"b", b""]),
        (["a", "", "b", "na"], "text", [b"a", b"", b"b", b"na"]),  # who writes both means both
        (["007", "12"], "text", [b"007", b"12"]),  # codes are names
        (["2000-01-02", "", "2000-01-01T10:00"], "date", [86400, np.nan, 36000]),
        (["2024-01-31", "2024-02"], "text", [b"2024-01-31", b"2024-02"]),
        (["2024-13-01", "2024-01-01"], "text", [b"2024-13-01", b"2024-01-01"]),
        (["#N/A", "1", "#DIV/0!", "2"], "number", [np.nan, 1, np.nan, 2]),
        (["$1,200", "$3"], "number", [1200, 3]),
        (["0,5", "2,25", ""], "number", [0.5, 2.25, np.nan]),
    ],
)
def test_infer_finds_numbers_dates_and_text(cells, kind, values):
    column = infer(cells)
    assert column.kind == kind
    np.testing.assert_array_equal(column.values, np.array(values, column.values.dtype))
    missing = [value == b"" or value != value for value in values]
    if column.sent is not None:
        present = [b"" if gone else c.encode() for c, gone in zip(cells, missing, strict=True)]
        assert column.sent.tolist() == present
    np.testing.assert_array_equal(column.missing, missing)
    assert column.distinct == len(values) - sum(missing)


@pytest.mark.parametrize("cells", [["1", "2"], ["2024-01-31", "2024-02-01"]])
def test_infer_takes_cells_as_they_are_where_they_are_names(cells):
    column = infer(cells, text=True)
    assert column.kind == "text"
    assert column.values.tolist() == [cell.encode() for cell in cells]


def test_infer_refuses_few_faults_among_numbers_and_takes_many_as_text():
    with pytest.raises(DataError, match=r"t\.csv:102: column 'x': 'many' is not a number, 200 oth"):
        infer([*map(str, range(100)), "many", *map(str, range(100))])
    some = infer(["1"] * 8 + ["odd"] * 2)
    assert some.kind == "text"
    assert some.remark == "taken as text for 2 cells, first t.csv:10: column 'x': 'odd'"


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        (["0,5"] * 30 + ["-"], r"'-' is not a number, 30 others .*missing=x:- if it means that"),
        (["$5.10"] * 30 + ["free"], r"'free' is not a number, 30 others are"),
        (["2024-01-31"] * 30 + ["soon"], r"'soon' is not a date, 30 others .*missing=x:soon"),
        (["31/12/2024"] * 30 + ["12/31/2024"], r"'12/31/2024' is not a date, 30 others are"),
        (["100"] * 30 + ["007"], r"'007' is not a number, 30 others are: correct it, leave it e"),
        (["12 %"] * 30 + ["7"], r"'7' is not a number, 30 others are"),
    ],
)
def test_infer_decides_by_the_bulk_and_names_the_odd_cell(cells, fault):
    with pytest.raises(DataError, match=rf"t\.csv:32: column 'x': {fault}"):
        infer(cells)
    assert infer(cells, text=True).kind == "text"


def test_infer_takes_the_words_that_are_asked_for_as_missing():
    cells = ["-", "0,5", "NA", "", "1,5"]
    column = infer(cells, missing=("-", "na"))
    np.testing.assert_array_equal(column.values, [np.nan, 0.5, np.nan, np.nan, 1.5])
    assert column.spelled == {"-": 1, "NA": 1, "": 1}
    assert column.reading.words == (b"", b"-", b"na")
    with pytest.raises(DataError, match="'NA' is not a number"):
        infer(["NA", *["1.5"] * 20], missing=("-",))  # in place of the usual words
    plain = infer(["-999", "-999.0", "0", "4"], missing=("-999", "0"))
    np.testing.assert_array_equal(plain.values, [np.nan, np.nan, np.nan, 4])
    assert plain.reading.sentinels == (-999, 0)


def test_infer_takes_sentinels_as_missing_and_says_how_to_undo_it():
    cells = [str(i % 50) for i in range(300)] + ["-999"] * 6
    column = infer(cells)
    assert column.missing.sum() == 6
    assert column.reading.sentinels == (-999,)
    assert column.remark == "x: -999 (6 cells) is taken as missing; missing=x: makes it a value"
    assert infer(cells, missing=()).values.min() == -999
    perhaps = infer([*cells[:300], "-999"])
    assert not perhaps.missing.any()
    assert perhaps.remark.startswith("x: does -999 (1 cells) mean missing? Then write --pipeline")
    days = [f"2015-{i % 12 + 1:02}-{i % 28 + 1:02}" for i in range(300)]
    column = infer([*days, *["1900-01-01"] * 9])
    assert column.missing.sum() == 9
    assert "x: 1900-01-01 (9 cells) is taken as missing; missing=x: makes it a value" in (
        column.remark.splitlines()
    )


def test_infer_keeps_the_words_of_a_target_as_classes():
    cells = ["None", "Apnea", "None", "NA", ""]
    column = infer(cells, target=True)
    assert column.values.tolist() == [b"None", b"Apnea", b"None", b"NA", b""]
    lines = column.remark.splitlines()
    assert lines[0] == "x: 'None' (2 cells) is a class; missing=x:None makes it missing"
    assert infer(cells, target=True, missing=("none",)).missing.tolist() == [1, 0, 1, 0, 1]
    feature = infer(cells[:4])
    assert feature.missing.tolist() == [1, 0, 1, 1]
    assert "x: 'None' (2 cells) is taken as missing; missing=x: makes it a value" in feature.remark
    # Beside cells that are missing in another way it is a value.
    assert infer(cells).missing.tolist() == [0, 0, 0, 0, 1]


def test_infer_says_why_what_looks_like_numbers_is_text():
    column = infer(["7.3K", "12.0K", "1M"])
    assert column.kind == "text"
    assert column.remark == (
        "x: cells such as '7.3K' are taken as text, being neither numbers nor dates of one form"
    )
    for cells in (["007", "012"], ["ab1", "cd2"], ["$5", "€7", "free", "gift"]):
        assert infer(cells).remark == ""
    assert infer(["5 kg", "7 kg"], text=True).remark == ""


def test_infer_takes_texts_as_such_though_one_may_be_a_number_in_two_ways():
    assert infer(["blue", "red", "1,200", "green"]).kind == "text"


def test_infer_takes_points_for_thousands_where_a_comma_is_asked_for():
    cells = ["1.250", "", "12.500", "999"]
    column = infer(cells, decimal="comma")
    np.testing.assert_array_equal(column.values, [1250, np.nan, 12_500, 999])
    assert column.reading.form == "comma"
    assert column.sent.tolist() == [b"1.250", b"", b"12.500", b"999"]
    assert column.remark == "x: '1.250' is read as 1250; as text: categories=x"
    np.testing.assert_array_equal(infer(cells).values, [1.25, np.nan, 12.5, 999])
    for plain in (["1.5", "2", "1.250"], ["1", "2", "1250"]):  # nothing to decide
        column = infer(plain, decimal="comma")
        np.testing.assert_array_equal(column.values, np.array(plain, float))
        assert (column.reading.form, column.sent) == ("", None)


@pytest.mark.parametrize("cells", [["$1,200", "N/A", "$3"], ["2024-01-31", "NaT", "2024-02-01"]])
def test_infer_tells_the_export_the_words_that_mean_missing(cells):
    assert infer(cells).reading.words[0] == b""
    assert set(infer(cells).reading.words) >= {b"n/a", b"#n/a", cells[1].lower().encode()}


def test_infer_finds_dates_of_digits_beside_a_number_that_means_missing():
    days = [f"2024{month:02}28" for month in range(1, 13)]
    for cells in ([*days, "0"], ["0", *days], [*days, "99991231"]):
        [absent] = {*cells} - {*days}
        column = infer(cells, missing=(absent,))
        assert (column.kind, column.missing.sum(), column.distinct) == ("date", 1, 12)
        assert column.reading.words == (b"", absent.encode())
        assert infer(cells).kind == "number"
