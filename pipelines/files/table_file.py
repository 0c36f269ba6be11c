"""Tables as text files: encoding, delimiter, quotes, missing values; errors with file and line.

Used by training (`pipelines/csv.py`) and by `trainers.predict`. Standard library only.
"""

import collections
import csv
import itertools
import keyword
import logging
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipelines.core.pipeline import DataError
from pipelines.files import table_head, text_files
from pipelines.files.shown import shown

_log = logging.getLogger(__name__)

MISSING = (  # in upper or lower case: what pandas writes and reads, and Excel's errors
    *("", "?", "n/a", "na", "nan", "none", "null", "-nan", "<na>", "#n/a", "#na", "#n/a n/a"),
    *("1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"),
    *("#div/0!", "#name?", "#null!", "#num!", "#ref!", "#value!"),
)
SPACE = " \t\n\v\f\r"  # the characters that tf.strings.strip removes in the exported model
NAME = 60  # characters of a name of a column or class in a message
LARGEST = 1e38  # absolute value of a number; the limit of float32 is 3.4e38
EXACT = 2.0**53  # up to here float64 represents every integer
_MAX_COLUMNS = 100_000  # each is a field of the exported model
_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class TableFile(NamedTuple):
    """A text file with a header."""

    path: str
    encoding: str
    delimiter: str
    names: tuple[str, ...]  # of the columns, as in the header
    start: int = 1  # line of the header; lines above it are not part of the table
    quote: str = '"'
    open_end: bool = False  # whether lines end with a delimiter that has no cell after it


def open_table(path: str, encoding: str = "") -> TableFile:
    """The file with its encoding (by its byte order mark, else UTF-8), delimiter and header.

    Lines above the header (titles, Excel's "sep=;") and empty columns at its end are left out.

    Raises:
        DataError: the file does not exist, is empty or not text, has no header, or its header
            names no columns.
    """
    encoding = text_files.encoding_of(path, encoding)
    heads, fault = [], None
    named, start = _named_delimiter(path, encoding)
    for delimiter in named or _delimiters(path, encoding):
        table = TableFile(path, encoding, delimiter, (), start)
        try:
            sample = _sample(table)
        except csv.Error as error:  # the quotes do not fit this delimiter
            fault = error
            continue
        if not sample:
            raise DataError(f"{path} is empty: expected a header and rows")
        position = table_head.header_at([cells for _, cells in sample])
        line, names = sample[position]
        below = [cells for _, cells in sample[position + 1 :]]
        kept = table_head.trimmed(names)
        every = bool(below) and all(len(cells) > len(kept) for cells in below)
        open_end = every or len(kept) < len(names)
        heads.append((table._replace(names=kept, start=line, open_end=open_end), below))
    table, sample = max(heads, key=_likelihood, default=(None, []))
    if fault is not None and (table is None or len(table.names) < 2):
        raise DataError(str(fault)) from fault
    if table_head.has_single_quotes(table.names, sample):
        table = _with_single_quotes(table)
    table_head.check_is_header(f"{path}:{table.start}", table.names, sample, table.delimiter)
    _check_header(table)
    return table


def _likelihood(head: tuple[TableFile, Sequence[Sequence[str]]]) -> tuple[bool, int]:
    """A sort key of delimiters: whether most rows have a cell for each name; the number of names.

    Names may have commas in them: the header Temp, °C;Wind, km/h;Day has more names when cut at
    commas, but its rows do not fit these.
    """
    table, below = head
    width = len(table.names)
    fitting = sum(len(cells) >= width and not any(cells[width:]) for cells in below)
    return width > 1 and 2 * fitting > len(below), width


def rows(table: TableFile) -> Iterator[tuple[int, list[str]]]:
    """(line, stripped cells) of every row; blank lines are skipped.

    Raises:
        DataError: a row has more or fewer cells than the header, bytes are not text, or a quote is
            not closed.
    """
    width, records = len(table.names), _records(table)
    next(records)  # the header
    try:
        for line, cells in records:
            if table.open_end and not any(cells[width:]):
                del cells[width:]
            if len(cells) != width:
                raise DataError(f"{table.path}:{line}: {_wrong_width(table, line, cells)}")
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


def quoted(name: str) -> str:
    """The name of a column or class for a message: in quotes, escaped, and not too long."""
    return shown(repr(name), NAME)


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


def _wrong_width(table: TableFile, line: int, cells: Sequence[str]) -> str:
    width = len(table.names)
    above = f" in line {table.start}" if table.start > 1 else ""
    fault = f"{len(cells)} cells, the header{above} has {width} columns"
    lines = itertools.islice(text_files.lines(table.path, table.encoding), table.start - 1, line)
    header = next(lines)
    [last] = collections.deque(lines, 1)
    if last.endswith("\r") and header.endswith("\n"):  # pandas writes such cells without quotes
        return (
            f"{fault}: a carriage return in a cell ends the line, where others end in a line feed; "
            "put quotes around the cell, or a space for it"
        )
    if len(cells) < width:
        return f"{fault}: is the line cut, or does it belong to a title or a note?"
    beyond = shown(repr(cells[width]), 40)
    return (
        f"{fault}: does {beyond} belong to the cell before it, which then needs quotes, or is a "
        "name missing in the header?"
    )


def _named_delimiter(path: str, encoding: str) -> tuple[str, int]:
    """The delimiter that Excel's first line "sep=;" names, and the next line; else "" and 1."""
    first = next(text_files.lines(path, encoding), "").strip(SPACE).strip('"')
    match = re.fullmatch(r"(?i)sep=(.)", first) or re.fullmatch(r"(?i)sep=(\t?)", first)
    return ((match[1] or "\t"), 2) if match else ("", 1)


def _delimiters(path: str, encoding: str) -> tuple[str, ...]:
    """The delimiters that a file may have, the likeliest first.

    In a .tsv only the tab, unless the first line has another one: a single column of texts may have
    commas in its rows.
    """
    if not path.lower().endswith(".tsv"):
        return (",", ";", "\t", "|")
    first = next(text_files.lines(path, encoding), "")
    return ("\t", ",", ";", "|") if set(first) & {",", ";", "|"} else ("\t",)


def _sample(table: TableFile) -> list[tuple[int, list[str]]]:
    """The first records, up to an error; an error in the very first one is raised."""
    sample = []
    try:
        for record in itertools.islice(_records(table), table_head.SAMPLE):
            sample.append(record)
    except (csv.Error, DataError):
        if not sample:
            raise
    return sample


def _with_single_quotes(table: TableFile) -> TableFile:
    quoted_table = table._replace(quote="'")
    try:
        [(_, names), *_] = _sample(quoted_table)
    except csv.Error:
        return table
    _log.info("%s: cells are in single quotes", table.path)
    return quoted_table._replace(names=table_head.trimmed(names))


def _records(table: TableFile) -> Iterator[tuple[int, list[str]]]:
    """(first line, cells) of every record that is not blank, from the header on."""
    line = table.start
    try:
        lines = text_files.lines(table.path, table.encoding)
        reader = csv.reader(
            itertools.islice(lines, table.start - 1, None),
            delimiter=table.delimiter,
            quotechar=table.quote,
            skipinitialspace=True,  # before a quote: 50, "blue", 0
            strict=True,
        )
        for record in reader:
            cells = [cell.strip(SPACE) for cell in record]
            first, line = line, reader.line_num + table.start
            if len(cells) > 1 or (cells and cells[0]):
                yield first, cells
    except csv.Error as error:
        raise csv.Error(f"{table.path}:{line}: {error}: is a quote not closed?") from error


def _check_header(table: TableFile) -> None:
    where, names = f"{table.path}:{table.start}", table.names
    if len(names) > _MAX_COLUMNS:
        raise DataError(f"{where}: {len(names):,} columns, at most {_MAX_COLUMNS:,} are read")
    known: dict[str, str] = {}
    for i, name in enumerate(names):
        if not name and i:  # the first column without a name is the row number that pandas writes
            raise DataError(f"{where}: column {i + 1} has no name")
        field = field_name(name).lower()  # TensorFlow's names must differ in more than case
        if field in known:
            same = f"beside {quoted(known[field])}: both are {shown(field, NAME)} to a server"
            same = "twice" if known[field] == name else same
            raise DataError(f"{where}: column {quoted(name)} {same}; rename one")
        known[field] = name
