"""Tables as text files: encoding, delimiter, quotes, missing values; errors with file and line.

Used by training (`pipelines/csv.py`) and by `trainers.predict`. Standard library only.
"""

import csv
import keyword
import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from pipelines.core.pipeline import DataError
from pipelines.files import text_files

MISSING = ("", "?", "n/a", "na", "nan", "none", "null")  # in any case
SPACE = " \t\n\v\f\r"  # the characters that tf.strings.strip removes in the exported model
LARGEST = 1e38  # number; the limit of float32 is 3.4e38
_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class TableFile(NamedTuple):
    """A text file with a header."""

    path: str
    encoding: str
    delimiter: str
    names: tuple[str, ...]  # of the columns, as in the header


def open_table(path: str, encoding: str = "") -> TableFile:
    """The file with its encoding (by its byte order mark, else UTF-8), delimiter and header.

    Raises:
        DataError: the file does not exist, is empty or not text, or its header names no columns.
    """
    encoding = text_files.encoding_of(path, encoding)
    headers, fault = [], None
    for delimiter in (",", ";", "\t"):
        try:
            first = next(_records(TableFile(path, encoding, delimiter, ())), None)
        except csv.Error as error:  # the quotes do not fit this delimiter
            fault = error
            continue
        if first is None:
            raise DataError(f"{path} is empty: expected a header and rows")
        headers.append((delimiter, first[1]))
    delimiter, names = max(headers, key=lambda header: len(header[1]), default=("", ()))
    if fault is not None and len(names) < 2:
        raise DataError(str(fault)) from fault
    table = TableFile(path, encoding, delimiter, tuple(names))
    _check_header(table)
    return table


def rows(table: TableFile) -> Iterator[tuple[int, list[str]]]:
    """(line, stripped cells) of every row; blank lines are skipped.

    Raises:
        DataError: a row with more or fewer cells than the header, bytes that are not text, quotes
            that are not closed.
    """
    width, records = len(table.names), _records(table)
    next(records)  # the header
    try:
        for line, cells in records:
            if len(cells) != width:
                raise DataError(
                    f"{table.path}:{line}: {len(cells)} cells, the header has {width} columns"
                )
            yield line, cells
    except csv.Error as error:
        raise DataError(str(error)) from error


def number(cell: str) -> float | None:
    """The value of a cell; NaN if it is missing, None if it is not a number within float32.

    Codes such as 007 and texts such as 1_000 or inf are not numbers.
    """
    if cell.lower() in MISSING:
        return float("nan")
    if not _NUMBER.fullmatch(cell):
        return None
    value = float(cell)
    return value if abs(value) <= LARGEST else None


def field_name(column: str) -> str:
    """The name of a column in requests to an exported model: letters, digits, underscores.

    TensorFlow accepts no other argument names in a signature: "Größe (cm)" is "Gro_u00dfe_cm".
    """
    plain = "".join(
        c for c in unicodedata.normalize("NFKD", column) if not unicodedata.combining(c)
    )
    coded = "".join(c if c.isascii() or not c.isalnum() else f"_u{ord(c):04x}" for c in plain)
    name = re.sub(r"[^A-Za-z0-9]+", "_", coded).strip("_")
    if keyword.iskeyword(name) or name == "self":
        return f"{name}_"
    return name if name[:1].isalpha() else f"column_{name}".rstrip("_")


def _records(table: TableFile) -> Iterator[tuple[int, list[str]]]:
    """(first line, cells) of every record that is not blank, from the header on."""
    line = 1
    try:
        lines = text_files.lines(table.path, table.encoding)
        reader = csv.reader(lines, delimiter=table.delimiter, strict=True)
        for record in reader:
            cells = [cell.strip(SPACE) for cell in record]
            first, line = line, reader.line_num + 1
            if len(cells) > 1 or (cells and cells[0]):
                yield first, cells
    except csv.Error as error:
        raise csv.Error(f"{table.path}:{line}: {error}: is a quote not closed?") from error


def _check_header(table: TableFile) -> None:
    where, names = f"{table.path}:1", table.names
    known: dict[str, str] = {}
    for i, name in enumerate(names):
        if not name and i:  # the first column without a name is the row number that pandas writes
            raise DataError(f"{where}: column {i + 1} has no name")
        field = field_name(name)
        if field in known:
            same = "twice" if known[field] == name else f"beside {known[field]!r}: both are {field}"
            raise DataError(f"{where}: column {name!r} {same}; rename one")
        known[field] = name
