"""Tables with one JSON object per line: the cells of their columns, as in other tables."""

import json
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipelines.core.pipeline import DataError
from pipelines.files import text_files
from pipelines.files.column_cells import Gathered
from pipelines.files.shown import shown
from pipelines.files.table_cells import TableCells, separate
from pipelines.files.table_file import SPACE
from pipelines.storage.progress import progress

_ENDINGS = (".json", ".jsonl", ".ndjson")


def is_json(path: str, encoding: str) -> bool:
    """Whether the first non-blank line of a file begins a JSON object.

    Raises:
        DataError: it begins an array, in a file named as JSON.
    """
    start = next((line.strip() for _, line in text_files.filled(path, encoding)), "")
    if start.startswith("[") and path.lower().endswith(_ENDINGS):
        name = shown(path)
        raise DataError(
            f"{name} is a JSON array, expected an object on each line: write them with "
            f"jq -c '.[]' {name} > {name.rpartition('.')[0]}.jsonl"
        )
    return start.startswith("{")


def read(paths: Sequence[tuple[str, str]], encoding: str) -> tuple[TableCells, Mapping[str, str]]:
    """The cells of all files; and column -> "file:line" of its first list or object, read as "".

    Columns are the keys of all objects; a key that an object lacks, null and NaN are empty cells.

    Args:
        paths: (split, path) of each file.

    Raises:
        DataError: a line, named with its file, is not an object; or there are no objects.
    """
    columns: dict[str, Gathered] = {}
    sizes: dict[str, int] = {}
    nested: dict[str, str] = {}
    first_rows, lines, split_of = [], array("q"), []

    def add(name: str, cells: Sequence[str]) -> None:
        columns.setdefault(name, Gathered()).extend(cells)
        sizes[name] = sizes.get(name, 0) + len(cells)

    for split, path in paths:
        first_rows.append(len(lines))
        for line, values in progress(_objects(path, encoding), None, "reading JSON lines"):
            row = len(lines)
            for name, value in values.items():
                if isinstance(value, list | dict):
                    nested.setdefault(name, f"{path}:{line}")
                    value = ""
                add(name, [""] * (row - sizes.get(name, 0)) + [_cell(value)])
            lines.append(line)
            split_of.append(split)
        if len(lines) == first_rows[-1]:
            raise DataError(f"{path} has no objects in it")
    if not columns:
        raise DataError(f"{paths[0][1]}: its objects have no keys")
    for name in columns:
        add(name, [""] * (len(lines) - sizes[name]))

    def where(row: int) -> str:
        return f"{paths[bisect_right(first_rows, row) - 1][1]}:{lines[row]}"

    cells = [column.cells() for column in columns.values()]
    return TableCells(tuple(columns), cells, split_of, where, separate(paths)), nested


def _objects(path: str, encoding: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, object) of every line that is not blank."""
    for number, line in text_files.filled(path, encoding):
        try:
            value = json.loads(line.rstrip("\r\n"), parse_constant=lambda name: None)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path}:{number}: not JSON: {error.msg} at column {error.colno}; each line is an "
                "object by itself"
            ) from error
        except (ValueError, RecursionError) as error:  # too many digits, or nested too deeply
            raise DataError(f"{path}:{number}: not JSON that can be read: {error}") from error
        if not isinstance(value, dict):
            raise DataError(
                f"{path}:{number}: expected an object, received {shown(line.strip(), 40)}"
            )
        yield number, value


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value)
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: "\\ud83d"
        value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value.strip(SPACE)
