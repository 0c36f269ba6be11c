"""From columns to rows: what is used, which rows are for what, and what is logged."""

import pytest

from pipelines import DataError
from pipelines.files import plain_table
from tests.pipelines.tables import load_csv, write


def rows_of(split, prepared) -> set:
    return set(prepared.rows[split].table["x"].tolist())


def numbers(first: int, last: int) -> list[list]:
    return [["x", "c", "y"], *([i / 8, f"k{i % 5}", i % 2] for i in range(first, last))]


def test_read_moves_no_row_for_more_and_many_for_another_seed(tmp_path):
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "a.csv", numbers(0, 600))
    small = load_csv(tmp_path / "data")
    write(tmp_path / "data" / "b.csv", numbers(600, 1000), delimiter=";")
    write(tmp_path / "data" / "notes.md", [["not a table"]])
    large = load_csv(tmp_path / "data")
    for split in small.rows:
        assert rows_of(split, small) == {x for x in rows_of(split, large) if x < 600 / 8}
    fractions = {split: rows.num_rows / 1000 for split, rows in large.rows.items()}
    for split, fraction in {"train": 0.7, "validation": 0.1, "test": 0.2}.items():
        assert abs(fractions[split] - fraction) < 4 * (fraction * (1 - fraction) / 1000) ** 0.5
    assert rows_of("test", load_csv(tmp_path / "data", split_seed=1)) != rows_of("test", large)
    third = load_csv(tmp_path / "data", validation=0.3, test=0.4)
    assert abs(third.rows["train"].num_rows - 300) < 60


def test_read_keeps_copies_together_and_counts_them(tmp_path, logged):
    rows = numbers(0, 300)
    path = write(tmp_path / "a.csv", [*rows, *rows[1:101]])
    prepared = load_csv(path)
    values = [rows_of(split, prepared) for split in prepared.rows]
    assert sum(map(len, values)) == len(set.union(*values)) == 300
    assert "100 rows are copies of an earlier one" in logged()


def test_read_keeps_given_splits_apart_and_reports_leaks(tmp_path, logged):
    train = write(tmp_path / "train.csv", numbers(0, 500))
    test = write(tmp_path / "test.csv", numbers(490, 600))
    prepared = load_csv(f"train={train},test={test}")
    assert rows_of("test", prepared) == {i / 8 for i in range(490, 600)}
    assert rows_of("train", prepared) | rows_of("validation", prepared) == {
        i / 8 for i in range(500)
    }
    assert abs(prepared.rows["validation"].num_rows - 50) < 30
    assert "10 rows of test are in train too: its figures flatter the model" in logged()
    turned = load_csv(f"test={test},train={train}")
    for split in prepared.rows:
        assert rows_of(split, turned) == rows_of(split, prepared)
    prepared = load_csv(f"train={train},validation={test}")
    assert abs(prepared.rows["test"].num_rows - 100) < 40
    whole = load_csv(f"train={train},validation={test},test={test}")
    assert whole.rows["train"].num_rows == 500
    assert prepared.rows["validation"].num_rows == whole.rows["test"].num_rows == 110


def test_named_says_the_nearest_of_an_unknown_column(tmp_path):
    path = write(tmp_path / "t.csv", [["x", "y"], *([i / 3, i % 2] for i in range(40))])
    for options, reason in (
        ({"target": "Y"}, "target=Y: no column 'Y'; nearest: x, y"),
        ({"target": ","}, "target=, names no column; choose from x, y"),
        ({"target": "y", "ignore": "xx"}, "ignore=xx: no column 'xx'; nearest: x"),
        ({"target": "y", "categories": "z"}, "categories=z"),
        ({"target": "y", "ignore": "x"}, "no column is left to learn y from: "),
    ):
        with pytest.raises(DataError, match=reason):
            load_csv(path, **options)


def test_read_logs_what_was_inferred(tmp_path, logged):
    rows = [["id", "size", "zip", "town", "day", "empty", "same", "text", "note", "y"]]
    for i in range(200):
        size = ["", "NA", "?"][i] if i < 3 else str(i / 4)
        day = f"2024-01-{i % 28 + 1:02}"
        town = ["Bonn", "Ulm", "none"][i % 3]
        note = "7" if i % 4 else "odd"
        rows.append([i, size, f"0{i % 5}", town, day, "", "x", f"t{i}", note, i % 2])
    rows.append(rows[-1])
    rows.append([*rows[-1][:-1], ""])
    path = write(tmp_path / "t.csv", rows)
    prepared = load_csv(path)
    assert {name: field.dtype for name, field in prepared.raw.items()} == {
        "size": "float32",
        "zip": "string",
        "town": "string",
        "day": "string",
        "note": "string",
    }
    lines = logged()
    assert lines[0] == f"{path}: 202 rows, 10 columns"
    table = {line.split()[0]: line.split()[1:] for line in lines[2:9]}
    assert table["size"] == ["number", "3", "197", "0.75", "..", "49.75"]
    assert table["zip"] == ["text", "0", "5", "04", "(42", "times)"]
    assert table["town"][:3] == ["text", "66", "2"]
    assert table["day"] == ["date", "0", "28", "2024-01-01", "..", "2024-01-28"]
    left_out = next(line for line in lines if line.startswith("left out"))
    assert left_out == (
        "left out: id (it counts the rows; keep=id uses it), empty (all cells are missing), "
        "same (all are x), text (nearly every row has another text)"
    )
    assert any("note" in line and "taken as text for 50 cells" in line for line in lines)
    assert any(f"first {path}:2: column 'note': 'odd'" in line for line in lines)
    missing = next(line for line in lines if line.startswith("missing cells"))
    assert set(missing.split(": ")[1].split(", ")) == {"204 empty", "1 'NA'", "1 '?'", "66 'none'"}
    assert "1 rows are copies of an earlier one" in lines
    assert "1 rows without y are left out" in lines
    assert "target y: binary: 0 49.8%, 1 50.2%" in lines
    load_csv(path)
    assert sum("202 rows" in line for line in logged()) == 1  # once for each time it is read


def test_read_leaves_out_identifiers_but_no_measures(tmp_path, logged):
    rows = [["", "customer_id", "key", "humid", "x", "name", "y"]]
    rows += [[i, 900 - i, i % 9, i * 7, i, f"n{i}", i % 2] for i in range(60)]
    rows += rows[1:3]
    assert list(load_csv(write(tmp_path / "t.csv", rows)).raw) == ["key", "humid", "x"]
    assert (
        "left out: the first (it counts the rows), customer_id (nearly every row has another "
        "number), name (nearly every row has another text)"
    ) in logged()
    ignored = load_csv(tmp_path / "t.csv", ignore="humid, x", categories="key")
    assert {k: f.dtype for k, f in ignored.raw.items()} == {"key": "string"}


def test_read_shortens_the_summary_of_a_wide_table(tmp_path, logged):
    rows = [[*(f"c{i}" for i in range(200)), "y"]]
    rows += [[*((i * j) % 7 for j in range(1, 201)), i % 2] for i in range(40)]
    load_csv(write(tmp_path / "t.csv", rows))
    lines = logged()
    assert len(lines) < 40
    assert "and 142 number columns more" in lines


def test_a_column_without_values_cannot_be_kept(tmp_path, logged):
    rows = [[i % 7 / 3, "", i % 2] for i in range(300)]
    path = write(tmp_path / "t.csv", [["a", "empty", "y"], *rows])
    assert list(load_csv(path, keep="empty").raw) == ["a"]
    assert any("empty (all cells are missing)" in line for line in logged())


@pytest.mark.parametrize("large", [False, True])
def test_codes_that_are_one_number_in_float64_are_text(large, tmp_path, monkeypatch):
    """Shops of 17 digits, of which float64 keeps 16."""
    if large:
        monkeypatch.setattr(plain_table, "_SMALLEST", 0)
    shops = [76561198000000001 + i % 3 for i in range(300)]
    rows = [[shop, 10**17 * (i % 9), i % 2] for i, shop in enumerate(shops)]
    prepared = load_csv(write(tmp_path / "t.csv", [["shop", "amount", "y"], *rows]))
    assert {name: field.dtype for name, field in prepared.raw.items()} == {
        "shop": "string",
        "amount": "float32",
    }
    found = {cell for part in prepared.rows.values() for cell in part.table["shop"].tolist()}
    assert found == {str(shop).encode() for shop in shops}
