"""How the cells of a column are read: decided from the whole column, and kept in the state."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from pipelines.core.pipeline import DataError
from pipelines.files.shown import shown
from pipelines.files.table_file import MISSING, quoted

WORDS = tuple(word.encode() for word in MISSING)
KINDS_OF_DATES = ("day_first", "month_first", "number")
DECIMALS = ("point", "comma")


class Reading(NamedTuple):
    """What the exported model has to know about the cells of one column."""

    kind: str  # number, date, text, or words: free text
    form: str = ""  # of numbers as in numbers.py, "": plain numbers; of dates as in dates.py
    words: tuple[bytes, ...] = WORDS  # that mean missing, in lower case
    sentinels: tuple[float, ...] = ()  # numbers, or seconds since 2000, that mean missing


class ColumnOptions(NamedTuple):
    """The options for one column."""

    text: bool = False  # categories, whatever the cells look like
    missing: tuple[str, ...] | None = None  # spellings besides the empty cell; None: inferred
    dates: str = ""  # one of KINDS_OF_DATES
    decimal: str = ""  # one of DECIMALS
    target: bool = False


def parse_options(
    names: Sequence[str],
    *,
    categories: Collection[str] = (),
    targets: Collection[str] = (),
    missing: str = "",
    dates: str = "",
    decimal: str = "",
) -> dict[str, ColumnOptions]:
    """The options for each column.

    Args:
        missing: "NA|-999" for all columns, "age:-999|city:none" for some; likewise `dates`, of
            KINDS_OF_DATES, and `decimal`, of DECIMALS.

    Raises:
        DataError: a value is not one of the choices, or `missing` spells the name of a column with
            other case or spaces.
    """
    words = _by_column(names, missing)
    _check_words(names, words.get(None, ()))
    forms = _chosen(names, dates, "dates", KINDS_OF_DATES)
    marks = _chosen(names, decimal, "decimal", DECIMALS)
    return {
        name: ColumnOptions(
            text=name in categories,
            missing=words.get(name, words.get(None)),
            dates=forms.get(name, ""),
            decimal=marks.get(name, ""),
            target=name in targets,
        )
        for name in names
    }


def _chosen(
    names: Sequence[str], value: str, option: str, choices: tuple[str, ...]
) -> dict[str, str]:
    values = _by_column(names, value)
    for chosen in values.values():
        if len(chosen) != 1 or chosen[0] not in choices:
            raise DataError(
                f"{option}={shown(value)}: expected {', '.join(choices)}, or <column>:{choices[0]}"
            )
    everywhere = values.pop(None, None)
    return {name: values.get(name, everywhere or ("",))[0] for name in names}


def _check_words(names: Sequence[str], words: Sequence[str]) -> None:
    """DataError: a word for all columns, such as Age:-999, was meant for the column age."""
    columns = {_plain(name): name for name in names if name}
    for word in words:
        name = columns.get(_plain(word.partition(":")[0]))
        if ":" in word and name is not None:
            raise DataError(f"missing={shown(word)}: the column is called {quoted(name)}")


def _plain(name: str) -> str:
    return "".join(name.split()).casefold()


def _by_column(names: Sequence[str], value: str) -> Mapping[str | None, tuple[str, ...]]:
    """Column -> its values in an option; None -> those of all other columns."""
    values: dict[str | None, tuple[str, ...]] = {}
    for item in filter(None, map(str.strip, value.split("|"))):
        name = next((n for n in names if n and item.startswith(f"{n}:")), None)
        text = item if name is None else item[len(name) + 1 :]
        values[name] = (*values.get(name, ()), *([text.strip()] if text.strip() else []))
    return values
