"""Reads the cells of a large table with pyarrow: the same cells as `table_file.rows`.

Tables that are not plain are left to that reader, which names the line of an error.
"""

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from pipelines.files.column_cells import Cells
from pipelines.files.table_file import SPACE, TableFile
from pipelines.files.text_files import LONGEST_LINE
from pipelines.storage.progress import progress

if TYPE_CHECKING:
    import pyarrow

_SMALLEST, _LARGEST = 2**22, 2**30  # bytes
_CHUNK = 2**24  # bytes read at a time, so that the file and its cells are never both in memory


def columns(table: TableFile) -> list[Cells] | None:
    """The stripped cells of every column; None: the table is not plain.

    Row i of a plain table is in line `table.start` + 1 + i.
    """
    size = os.path.getsize(table.path)
    if not _SMALLEST <= size <= _LARGEST:
        return None
    if table.encoding not in ("utf-8", "utf-8-sig") or table.open_end or table.quote != '"':
        return None
    import pyarrow  # comes with TensorFlow Datasets

    parts = []
    with open(table.path, "rb") as file:
        for _ in range(table.start):  # the header, and lines above it
            line = file.readline(LONGEST_LINE)
            if line.count(b'"') % 2 or b"\r" in line.removesuffix(b"\n").removesuffix(b"\r"):
                return None  # a record of more than one line
        label = f"reading {os.path.basename(table.path)}"
        for chunk in progress(_whole_lines(file), -(-size // _CHUNK), label):
            part = _cells(table, chunk)
            if part is None:
                return None
            parts.append(part)
    if not parts:
        return None
    return [Cells(pyarrow.chunked_array(column)) for column in zip(*parts, strict=True)]


def release_memory() -> None:
    """Makes pyarrow release the memory of cells that are no longer used."""
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """The rest of a file in chunks of whole lines."""
    rest = b""
    while chunk := file.read(_CHUNK):
        end = chunk.rfind(b"\n") + 1
        if not end and len(rest) <= LONGEST_LINE:
            rest += chunk
            continue
        yield rest + chunk[:end]
        rest = chunk[end:]
    if rest:
        yield rest


def _cells(table: TableFile, content: bytes) -> "list[pyarrow.StringArray] | None":
    """The cells of some lines by column; None: they are not plain."""
    import pyarrow
    import pyarrow.compute
    import pyarrow.csv

    ends = np.flatnonzero(np.frombuffer(content, np.uint8) == ord("\n"))
    longest = np.diff(ends, prepend=-1, append=len(content)).max()
    quotes = b'"' in content
    if longest > LONGEST_LINE or not _in_lines(content):
        return None
    if quotes and not _are_around_cells(content, table.delimiter, ends):
        return None
    try:
        read = pyarrow.csv.read_csv(
            pyarrow.BufferReader(content),
            pyarrow.csv.ReadOptions(
                column_names=table.names, block_size=int(max(2**20, 2 * longest))
            ),
            pyarrow.csv.ParseOptions(
                delimiter=table.delimiter,
                quote_char='"' if quotes else False,
                ignore_empty_lines=False,
            ),
            pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(table.names, pyarrow.string()),
                strings_can_be_null=False,
            ),
        )
    except pyarrow.ArrowInvalid:  # a line of another width, bytes that are not UTF-8
        return None
    if read.num_rows != len(ends) + (not content.endswith(b"\n")):
        return None
    arrays = [read[name].combine_chunks() for name in table.names]
    spaces = set(SPACE) - {"\r", "\n", table.delimiter}
    if not any(space.encode() in content for space in spaces):
        return arrays
    return [pyarrow.compute.utf8_trim(column, characters=SPACE) for column in arrays]


def _in_lines(content: bytes) -> bool:
    """Whether every line is a row and ends in LF or CRLF."""
    if content.startswith((b"\n", b"\r\n")) or b"\0" in content:
        return False
    if b"\n\n" in content or b"\n\r\n" in content:
        return False
    return content.count(b"\r") == content.count(b"\r\n")


def _are_around_cells(content: bytes, delimiter: str, ends: np.ndarray) -> bool:
    """Whether all quotes enclose whole cells, which have no line breaks or quotes in them.

    The two readers differ in all other cases: spaces before quotes, quotes in cells.
    """
    byte = np.frombuffer(content, np.uint8)
    quotes = np.flatnonzero(byte == ord('"'))
    if len(quotes) % 2:
        return False
    around = [ord(delimiter), ord("\n"), ord("\r")]
    opening, closing = quotes[::2], quotes[1::2]
    before = byte[opening[opening > 0] - 1]
    after = byte[closing[closing < len(byte) - 1] + 1]
    if not (np.isin(before, around[:2]).all() and np.isin(after, around).all()):
        return False
    return bool((np.searchsorted(ends, opening) == np.searchsorted(ends, closing)).all())
