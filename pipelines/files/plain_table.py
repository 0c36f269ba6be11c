"""The cells of a large table without quotes, read by pyarrow: the same as `table_file.rows` reads.

Whatever is not plain is left to that reader, which names the line of a fault.
"""

import os

import numpy as np

from pipelines.files.table_file import SPACE, TableFile
from pipelines.files.text_files import LONGEST_LINE

_SMALLEST, _LARGEST = 2**22, 2**30  # bytes


def columns(table: TableFile) -> list[list[str]] | None:
    """The stripped cells of every column, equal ones as one object; None: it is not plain.

    Row i then stands in line `table.start` + 1 + i.
    """
    if not _SMALLEST <= os.path.getsize(table.path) <= _LARGEST:
        return None
    if table.encoding not in ("utf-8", "utf-8-sig") or table.open_end or table.quote != '"':
        return None
    import pyarrow  # comes with TensorFlow Datasets
    import pyarrow.compute
    import pyarrow.csv

    with open(table.path, "rb") as file:
        content = file.read()
    ends = np.flatnonzero(np.frombuffer(content, np.uint8) == ord("\n"))
    longest = np.diff(ends, prepend=-1, append=len(content)).max()
    if any(part in content for part in (b'"', b"\0", b"\n\n", b"\n\r\n")):
        return None  # also where rows do not stand in consecutive lines
    if longest > LONGEST_LINE or content.count(b"\r") != content.count(b"\r\n"):
        return None
    num_lines = len(ends) + (not content.endswith(b"\n"))
    try:
        read = pyarrow.csv.read_csv(
            pyarrow.BufferReader(content),
            pyarrow.csv.ReadOptions(
                column_names=table.names, skip_rows=table.start, block_size=LONGEST_LINE
            ),
            pyarrow.csv.ParseOptions(
                delimiter=table.delimiter, quote_char=False, ignore_empty_lines=False
            ),
            pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(table.names, pyarrow.string()),
                strings_can_be_null=False,
            ),
        )
    except pyarrow.ArrowInvalid:  # a line of another width, bytes that are not UTF-8
        return None
    if read.num_rows != num_lines - table.start:
        return None
    del content
    found = []
    for name in table.names:
        stripped = pyarrow.compute.utf8_trim(read[name], characters=SPACE)
        read = read.drop_columns([name])
        found.append(_shared(stripped))
    return found


def _shared(column) -> list[str]:
    """A column as a list: a number that occurs often is one object, a quarter of the memory."""
    encoded = column.combine_chunks().dictionary_encode()
    known = encoded.dictionary.to_pylist()
    return list(map(known.__getitem__, encoded.indices.to_numpy().tolist()))
