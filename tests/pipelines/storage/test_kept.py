"""What was read once is read again where nothing has changed, and only there."""

import concurrent.futures
import logging
import pathlib
import time

import numpy as np
import pytest

import pipelines
from pipelines import Rows, Schema
from pipelines.storage import caches, kept
from zoo.spec import Field

_log = logging.getLogger("pipelines.example")
TEXTS = np.array([b"a", b"", "größe".encode(), b"a"], object)
FIELDS = {"x": Field((), "float32"), "t": Field((), "string"), "y": Field((), "int64", ids=2)}
SCHEMA = Schema({"x": FIELDS["x"]}, "binary", FIELDS["y"], ("no", "yes"), 1, "y")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> pathlib.Path:
    """Where results are kept; files of any size are worth it."""
    (tmp_path / "kept").mkdir()
    monkeypatch.setattr(caches, "folder", lambda preferred: tmp_path / "kept")
    monkeypatch.setattr(kept, "_SMALLEST", 1)
    return tmp_path / "kept"


@pytest.fixture
def file(tmp_path) -> pathlib.Path:
    (tmp_path / "t.csv").write_text("a,b\n")
    return tmp_path / "t.csv"


class Reader:
    """Rows that were read, and how often."""

    def __init__(self, table: dict, seconds: float = 0.0):
        self.calls, self.table, self.seconds = 0, table, seconds

    def __call__(self):
        self.calls += 1
        time.sleep(self.seconds)
        _log.info("%d rows", 4)
        _log.warning("look out")
        return {"train": Rows(4, FIELDS, "y", table=self.table)}, SCHEMA


def table() -> dict:
    return {"x": np.array([0.5, np.nan, 2, 3], np.float32), "t": TEXTS, "y": np.arange(4) % 2}


def test_kept_returns_and_logs_the_same_without_reading_again(folder, file, logged):
    read, options = Reader(table()), {"target": "y", "seed": 0}
    first, schema = kept.kept(read, [str(file)], options)
    again, schema_again = kept.kept(read, [str(file)], options)
    assert read.calls == 1
    assert schema_again == schema == SCHEMA
    rows, expected = again["train"], first["train"]
    assert rows._replace(table=None) == expected._replace(table=None)
    for name, column in expected.table.items():
        assert rows.table[name].dtype == column.dtype
        np.testing.assert_array_equal(rows.table[name], column)
    lines = logged()
    assert lines[:4] == ["4 rows", "look out", "4 rows", "look out"]
    assert lines[4].startswith("as read before from the same files: ")


def test_kept_reads_again_for_other_content_options_or_code(folder, file, monkeypatch, logged):
    read = Reader(table())
    kept.kept(read, [str(file)], {"seed": 0})
    kept.kept(read, [str(file)], {"seed": 1})
    file.write_text("a,b\n1,2\n")
    kept.kept(read, [str(file)], {"seed": 0})
    monkeypatch.setattr(kept, "_FORMAT", 2)
    kept.kept(read, [str(file)], {"seed": 0})
    assert read.calls == 4
    kept.kept(read, [str(file)], {"seed": 0})
    assert read.calls == 4


def test_kept_reads_again_what_is_damaged(folder, file, logged):
    read = Reader(table())
    kept.kept(read, [str(file)], {})
    [path] = folder.glob("table-*.npz")
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"", content[:200] + b"xxxx" + content[204:]):
        path.write_bytes(damaged)
        rows, _ = kept.kept(read, [str(file)], {})
        np.testing.assert_array_equal(rows["train"].table["t"], TEXTS)
    assert path.stat().st_size == len(content)


def test_kept_gives_small_files_and_what_cannot_be_stored_no_place(
    folder, file, monkeypatch, logged
):
    read = Reader({"x": np.array([object()], object)})
    kept.kept(read, [str(file)], {})
    monkeypatch.setattr(kept, "_SMALLEST", 100)
    kept.kept(Reader(table()), [str(file)], {})
    assert not list(folder.glob("*.npz"))


def test_kept_keeps_the_newest(folder, file, logged):
    for seed in range(kept._MAX_RESULTS + 3):
        kept.kept(Reader(table()), [str(file)], {"seed": seed})
    assert len(list(folder.glob("table-*.npz"))) == kept._MAX_RESULTS


def test_kept_lets_one_of_many_read_and_the_others_wait(folder, file, logged):
    read = Reader(table(), seconds=0.3)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: kept.kept(read, [str(file)], {}), range(4)))
    assert read.calls == 1
    for rows, _ in results:
        np.testing.assert_array_equal(rows["train"].table["t"], TEXTS)


def test_csv_reads_a_table_once(folder, file, logged):
    file.write_text("a,b,y\n" + "".join(f"{i}.5,{'uv'[i % 2]},{i % 3}\n" for i in range(200)))

    def read(**options):
        return pipelines.get("csv", data_files=str(file), target="y", **options).read()

    first, schema = read()
    again, schema_again = read()
    assert schema == schema_again
    for split, rows in first.items():
        for name, column in rows.table.items():
            np.testing.assert_array_equal(again[split].table[name], column)
    assert sum(line.startswith("as read before") for line in logged()) == 1
    read(split_seed=1)
    assert not any(line.startswith("as read before") for line in logged())


def test_file_that_changed_while_it_was_read_is_read_again(folder, file, logged):
    old = file.read_bytes()

    def read():
        file.write_text("a,b\nchanged,1\n")  # by another process, before it is read
        return file.read_text()

    assert "changed" in kept.kept(read, [str(file)], {})
    file.write_bytes(old)
    assert kept.kept(file.read_text, [str(file)], {}) == old.decode()
