"""What the options say about each column."""

import pytest

from pipelines import DataError
from pipelines.files import readings
from pipelines.files.readings import ColumnOptions

NAMES = ("age", "city", "sold")


def test_parse_options_for_all_columns_and_for_some():
    parsed = readings.parse_options(
        NAMES,
        categories=["city"],
        targets=["sold"],
        missing="NA|-999|age:-1|age:none|city:",
        dates="month_first",
        decimal="age:comma",
    )
    assert parsed == {
        "age": ColumnOptions(missing=("-1", "none"), dates="month_first", decimal="comma"),
        "city": ColumnOptions(text=True, missing=(), dates="month_first"),
        "sold": ColumnOptions(missing=("NA", "-999"), dates="month_first", target=True),
    }
    spaced = readings.parse_options(NAMES, missing="NA | age: -1 |Err:502")
    assert spaced["age"] == ColumnOptions(missing=("-1",))
    assert spaced["city"] == ColumnOptions(missing=("NA", "Err:502"))
    assert readings.parse_options(NAMES) == dict.fromkeys(NAMES, ColumnOptions())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"dates": "day"}, "dates=day: expected day_first, month_first, number, or <column>:day_f"),
        ({"dates": "age:"}, "dates=age:: expected"),
        ({"decimal": "age:."}, "decimal=age:.: expected point, comma, or <column>:point"),
        ({"decimal": "comma|point"}, r"decimal=comma\|point: expected"),
        ({"missing": "NA|Age :-1"}, "missing=Age :-1: the column is called 'age'"),
        ({"missing": "CITY:"}, "missing=CITY:: the column is called 'city'"),
    ],
)
def test_parse_options_refuses_other_values(options, reason):
    with pytest.raises(DataError, match=reason):
        readings.parse_options(NAMES, **options)
