"""JSON objects, one a line, as the cells of a table."""

import pytest

from pipelines import DataError
from pipelines.files import json_lines


def write(path, content: str, encoding="utf-8") -> str:
    path.write_text(content, encoding=encoding)
    return str(path)


def test_read_has_a_column_for_each_key_and_a_row_for_each_object(tmp_path):
    one = write(
        tmp_path / "a.jsonl",
        '{"text": " two\\nlines\\t", "n": 3, "x": 1.5}\r\n\r\n{"n": null, "ok": true, "x": NaN}\n',
        "utf-8-sig",
    )
    two = write(tmp_path / "b.jsonl", '{"ok": false, "text": "\\u597d \\ud83d", "more": [1]}')
    cells, nested = json_lines.read([("train", one), ("test", two)], "")
    columns = {
        name: [column[row] for row in range(len(column))]
        for name, column in zip(cells.names, cells.columns, strict=True)
    }
    assert columns == {
        "text": ["two\nlines", "", "好 \ufffd"],
        "n": ["3", "", ""],
        "x": ["1.5", "", ""],
        "ok": ["", "true", "false"],
        "more": ["", "", ""],
    }
    assert nested == {"more": f"{two}:1"}
    assert [cells.where(row) for row in range(3)] == [f"{one}:1", f"{one}:3", f"{two}:1"]
    assert (cells.split_of, cells.separate) == (["train", "train", "test"], ["test"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            '{"a": 1}\n{"a": 1 "b"}\n',
            ":2: not JSON: Expecting ',' delimiter at column 9; each line is an object by itself",
        ),
        (
            '{\n"a": 1}\n',
            ":1: not JSON: Expecting property name enclosed in double quotes at column 2; each "
            "line is an object by itself",
        ),
        ('{"a": 1}\n\n[1, 2]\n', ":3: expected an object, received [1, 2]"),
        ("\n \n", " has no objects in it"),
        ("{}\n{}\n", ": its objects have no keys"),
        ('{"a": "b\0"}\n', ":1: a NUL character; a damaged file"),
    ],
)
def test_read_refuses_lines_that_are_no_objects(content, reason, tmp_path):
    path = write(tmp_path / "a.jsonl", content)
    with pytest.raises(DataError) as caught:
        json_lines.read([("train", path)], "")
    assert str(caught.value).startswith(path + reason)


@pytest.mark.parametrize("value", ["[" * 100_000, "1" * 5000])
def test_read_refuses_nesting_and_numbers_without_end(value, tmp_path):
    path = write(tmp_path / "a.jsonl", f'{{"a": {value}}}\n')
    with pytest.raises(DataError, match=r"a\.jsonl:1: not JSON that can be read"):
        json_lines.read([("train", path)], "")


def test_is_json_tells_objects_from_tables_and_refuses_arrays(tmp_path):
    assert json_lines.is_json(write(tmp_path / "a.txt", '\n  {"a": 1}'), "")
    assert not json_lines.is_json(write(tmp_path / "a.csv", "[id],[text]\n"), "")
    assert not json_lines.is_json(write(tmp_path / "b.csv", ""), "")
    path = write(tmp_path / "a.json", '[{"a": 1}]')
    with pytest.raises(DataError) as caught:
        json_lines.is_json(path, "")
    assert str(caught.value) == (
        f"{path} is a JSON array, expected an object on each line: write them with "
        f"jq -c '.[]' {path} > {tmp_path}/a.jsonl"
    )
