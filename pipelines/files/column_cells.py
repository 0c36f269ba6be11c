"""The cells of one column of a table: its distinct cells, and which of them each row has."""

import dataclasses
import functools
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipelines.files.table_file import EXACT

if TYPE_CHECKING:
    import pyarrow

# A character that plain numbers such as 1.5e-3 do not have, or a leading zero as in 007.
_NOT_PLAIN = re.compile(r"[^0-9eE.+\-]|^[+-]?0[0-9]")
_BLOCK_SIZE = 2**14  # rows whose cells are joined at a time


class Coded(NamedTuple):
    """Distinct cells in order of first occurrence, and each row's index into them."""

    distinct: Sequence[str]
    codes: np.ndarray  # (N,) int32


@dataclasses.dataclass(frozen=True, eq=False)
class Cells:
    """The stripped cells of one column; costly properties are computed once, on first use."""

    source: "Coded | pyarrow.ChunkedArray"

    def __len__(self) -> int:
        return len(self.source.codes if isinstance(self.source, Coded) else self.source)

    def __getitem__(self, row: int) -> str:
        if isinstance(self.source, Coded):
            return self.source.distinct[self.source.codes[row]]
        return self.source[row].as_py()

    @functools.cached_property
    def coded(self) -> Coded:
        """The distinct cells, and each row's index into them."""
        if isinstance(self.source, Coded):
            return self.source
        encoded = self.source.combine_chunks().dictionary_encode()
        return Coded(encoded.dictionary.to_pylist(), encoded.indices.to_numpy())

    @functools.cached_property
    def counts(self) -> Mapping[str, int]:
        """Cell -> number of occurrences, in order of first occurrence."""
        distinct, codes = self.coded
        numbers = np.bincount(codes, minlength=len(distinct)).tolist()
        return dict(zip(distinct, numbers, strict=True))

    @functools.cached_property
    def numbers(self) -> np.ndarray | None:
        """(N,) float64, NaN: empty, if all cells are plain numbers or empty; otherwise None.

        Also None if one is beyond 2^53, where float64 cannot represent every integer.
        """
        if isinstance(self.source, Coded):
            values = _plain_numbers(self.source.distinct)
            values = None if values is None else values[self.source.codes]
        else:
            parts = [_arrow_numbers(chunk) for chunk in self.source.chunks]
            values = None if any(part is None for part in parts) else np.concatenate(parts)
        if values is None or np.nanmax(np.abs(values), initial=0.0) > EXACT:
            return None
        return values

    def head(self, number: int) -> list[str]:
        """The first cells."""
        return [self[row] for row in range(min(number, len(self)))]

    def row(self, cell: str) -> int:
        """The first row with this cell, of those in `coded`."""
        distinct, codes = self.coded
        return int(np.argmax(codes == distinct.index(cell)))

    def each(self, values: np.ndarray) -> np.ndarray:
        """One value per row, from one value per distinct cell."""
        return values[self.coded.codes]


def of(cells: Iterable[str]) -> Cells:
    """Cells from texts, one per row."""
    gathered = Gathered()
    gathered.extend(cells)
    return gathered.cells()


class Gathered:
    """Collects the cells of a column, a few at a time; each distinct cell is stored once."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._codes = array("i")

    def extend(self, cells: Iterable[str]) -> None:
        """Appends rows."""
        ids = self._ids
        self._codes.extend([ids.setdefault(cell, len(ids)) for cell in cells])

    def cells(self) -> Cells:
        """All rows so far."""
        return Cells(Coded(list(self._ids), np.array(self._codes, np.int32)))


def joined(parts: Sequence[Cells]) -> Cells:
    """The rows of one column of several files."""
    if len(parts) == 1:
        return parts[0]
    if not any(isinstance(part.source, Coded) for part in parts):
        import pyarrow  # comes with TensorFlow Datasets

        return Cells(pyarrow.chunked_array([c for part in parts for c in part.source.chunks]))
    ids: dict[str, int] = {}
    codes = []
    for part in parts:
        own = np.array([ids.setdefault(cell, len(ids)) for cell in part.coded.distinct], np.int32)
        codes.append(part.each(own))
    return Cells(Coded(list(ids), np.concatenate(codes)))


def rows(columns: Sequence[Cells]) -> Iterator[bytes]:
    """Every row in UTF-8, its cells joined by NUL."""
    arrow = not any(isinstance(column.source, Coded) for column in columns)
    for first in range(0, len(columns[0]), _BLOCK_SIZE):
        yield from (_arrow_rows if arrow else _coded_rows)(columns, first)


def _coded_rows(columns: Sequence[Cells], first: int) -> list[bytes]:
    texts = [
        map(
            column.coded.distinct.__getitem__,
            column.coded.codes[first : first + _BLOCK_SIZE].tolist(),
        )
        for column in columns
    ]
    return ["\0".join(row).encode() for row in zip(*texts, strict=True)]


def _arrow_rows(columns: Sequence[Cells], first: int) -> list[bytes]:
    import pyarrow
    import pyarrow.compute

    texts = [
        column.source.slice(first, _BLOCK_SIZE).combine_chunks().cast(pyarrow.binary())
        for column in columns
    ]
    whole = pyarrow.compute.binary_join_element_wise(*texts, b"\0")
    return whole.to_numpy(zero_copy_only=False).tolist()


def _plain_numbers(cells: Sequence[str]) -> np.ndarray | None:
    if any(map(_NOT_PLAIN.search, cells)):
        return None
    try:
        return np.array([float(cell or "nan") for cell in cells], np.float64)
    except ValueError:  # 1-2
        return None


def _arrow_numbers(cells: "pyarrow.StringArray") -> np.ndarray | None:
    """As `_plain_numbers`, by looking at the bytes of all cells at once."""
    import pyarrow
    import pyarrow.compute

    _, offsets, content = cells.buffers()
    ends = np.frombuffer(offsets, np.int32)[cells.offset : cells.offset + len(cells) + 1]
    content = b"" if content is None else memoryview(content)[ends[0] : ends[-1]].tobytes()
    if content.translate(None, b"0123456789eE.+-"):
        return None
    # Two more bytes, so that three can be read of every cell: the sign, 0, another digit.
    byte = np.frombuffer(content + b"..", np.uint8)
    start, end = ends[:-1] - ends[0], ends[1:] - ends[0]
    start = start + ((byte[start] == ord("+")) | (byte[start] == ord("-")))
    zeros = (byte[start] == ord("0")) & (byte[start + 1] - ord("0") < 10) & (start + 1 < end)
    if zeros.any():
        return None
    empty = ends[1:] == ends[:-1]
    try:
        present = pyarrow.compute.if_else(pyarrow.array(~empty), cells, None)
        return present.cast(pyarrow.float64()).to_numpy(zero_copy_only=False)
    except pyarrow.ArrowInvalid:  # +1, or not a number
        return _plain_numbers(cells.to_pylist())
