"""Which column has the texts."""

import pytest

from pipelines import DataError
from pipelines.files import table_cells, text_column

ROWS = [
    f"{i},the {i} cat sat on mat {i % 7},a small dog ran {i % 9} to us {i},{'ab'[i % 2]}"
    for i in range(40)
]


def cells_of(tmp_path, header: str, rows: list[str]):
    path = tmp_path / "t.csv"
    path.write_text("\n".join([header, *rows]))
    return table_cells.read(table_cells.paths(str(path)), "")


def test_the_only_column_of_free_text_is_taken(tmp_path):
    rows = [row.rsplit(",", 2)[0] + "," + row.rsplit(",", 1)[1] for row in ROWS]
    cells = cells_of(tmp_path, "id,title,topic", rows)
    assert text_column.targets(cells, "topic", "t.csv") == ["topic"]
    assert text_column.text(cells, {}, "", ["topic"], "t.csv") == "title"
    assert text_column.text(cells, {}, "id", ["topic"], "t.csv") == "id"


def test_two_are_refused_with_their_words_and_lists_with_their_line(tmp_path):
    cells = cells_of(tmp_path, "id,title,body,topic", ROWS)
    with pytest.raises(DataError, match=r"2 of its columns are free .*title \(5.0\), body \(6.0\)"):
        text_column.text(cells, {}, "", ["topic"], "t.csv")
    with pytest.raises(DataError, match=r"t\.csv:3: 'body' holds a list or an object"):
        text_column.text(cells, {"body": "t.csv:3"}, "body", ["topic"], "t.csv")
    with pytest.raises(DataError, match="text=topic: expected one column that is not the target"):
        text_column.text(cells, {}, "topic", ["topic"], "t.csv")
    with pytest.raises(DataError, match="expected a column of labels, --target=<one of id, title"):
        text_column.targets(cells, "", "t.csv")
