"""Rows kept without their padding, in memory and in mapped files, against the dense table."""

import errno
import fcntl
import os
import pathlib
import shutil
import tempfile
import time

import numpy as np
import pytest
import tensorflow as tf

from pipelines import DataError, Rows
from pipelines.core.rows import take
from pipelines.storage import arranged
from tests.pipelines import sequences
from zoo.spec import Field

LENGTHS = {"tokens": 5, "types": 3}
TOKENS = np.array([[3, 0, 4, 0, 0], [0, 0, 0, 0, 0], [1, 2, 3, 4, 5], [7, 0, 0, 0, 0]], np.int32)
TYPES = np.array([[1, 1, 0], [2, 0, 0], [0, 0, 0], [1, 2, 3]], np.int64)
SIZE = np.array([[0.5, 0], [1, 2], [0, 0], [3, 4]], np.float32)
LABEL = np.array([4, 0, 2, 9])
TABLE = {"tokens": TOKENS, "types": TYPES, "size": SIZE, "label": LABEL}
STORED = Rows(4, {"text": Field((), "string"), "label": Field((), "int64")}, "label")


def chunked(table=TABLE, size: int = 3):
    """As `preprocess` makes them: some rows at a time."""
    for first in range(0, len(table["label"]), size):
        yield {name: column[first : first + size] for name, column in table.items()}


def made(where: str, tmp_path, table=TABLE, lengths=LENGTHS) -> Rows:
    rows = STORED._replace(num_rows=len(table["label"]), cache=str(tmp_path))
    if where == "memory":
        return arranged.in_memory(chunked(table), rows, lengths)
    return arranged.on_disk(chunked(table), rows, lengths, "key")


def current_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


both = pytest.mark.parametrize("where", ["memory", "disk"])


@both
def test_arranged_rows_are_those_of_the_dense_table(where, tmp_path):
    rows = made(where, tmp_path)
    assert (rows.num_rows, rows.target, rows.are_inputs) == (4, "label", True)
    assert rows.fields == {
        "tokens": Field((5,), "int32"),
        "types": Field((3,), "int64"),
        "size": Field((2,), "float32"),
        "label": Field((), "int64"),
    }
    np.testing.assert_array_equal(rows.lengths["tokens"], [3, 0, 5, 1])  # a zero within a row stays
    np.testing.assert_array_equal(rows.lengths["types"], [2, 1, 0, 3])
    for index in ([0, 1, 2, 3], [3, 0, 3], [1], []):
        taken = take(rows, np.array(index, np.int64))
        for name, column in TABLE.items():
            assert taken[name].dtype == column.dtype
            np.testing.assert_array_equal(taken[name], column[index])


@both
def test_arranged_rows_may_all_be_empty(where, tmp_path):
    table = {"tokens": np.zeros((4, 5), np.int32), "label": LABEL}
    rows = made(where, tmp_path, table, {"tokens": 5})
    np.testing.assert_array_equal(take(rows, np.arange(4))["tokens"], table["tokens"])
    np.testing.assert_array_equal(rows.lengths["tokens"], np.zeros(4))


def test_in_memory_takes_rows_in_a_graph(tmp_path):
    rows = made("memory", tmp_path)
    taken = tf.function(rows.take, autograph=False)(tf.constant([2, 0], tf.int64))
    np.testing.assert_array_equal(taken["tokens"], TOKENS[[2, 0]])
    assert taken["tokens"].shape == (2, 5)


def test_on_disk_holds_no_padding_and_is_made_once(tmp_path):
    rows = made("disk", tmp_path)
    folder = tmp_path / "arranged-key"
    assert sorted(os.listdir(tmp_path)) == [".arranging-key.lock", "arranged-key"]
    assert folder.stat().st_mode & 0o777 == 0o777 & ~current_umask()  # colleagues may read it
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert sizes["tokens.values"] == 4 * (3 + 0 + 5 + 1)
    assert sizes["types.values"] == 8 * 6
    assert sizes["size.values"] == SIZE.nbytes
    fails = lambda: pytest.fail("made a second time")
    again = arranged.on_disk(
        (fails() for _ in range(1)), STORED._replace(cache=str(tmp_path)), LENGTHS, "key"
    )
    np.testing.assert_array_equal(take(again, np.arange(4))["tokens"], TOKENS)
    assert rows.read is not None
    assert rows.table is None


def test_on_disk_leaves_nothing_of_what_was_interrupted(tmp_path):
    def interrupted():
        yield next(chunked())
        raise KeyboardInterrupt

    rows = STORED._replace(cache=str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        arranged.on_disk(interrupted(), rows, LENGTHS, "key")
    assert os.listdir(tmp_path) == [".arranging-key.lock"]


def test_on_disk_removes_what_killed_processes_left_and_no_other(tmp_path):
    """Of this key, and of others that nobody writes now; not what a live process writes."""
    for name in ("key-1f", "dead-2e", "live-3d"):
        (tmp_path / f".arranging-{name}").mkdir()
        (tmp_path / f".arranging-{name}" / "tokens.values").write_bytes(b"half")
    for name in ("dead", "live"):
        (tmp_path / f".arranging-{name}.lock").touch()
    with open(tmp_path / ".arranging-live.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made("disk", tmp_path)
    names = [name for name in os.listdir(tmp_path) if not name.endswith(".lock")]
    assert sorted(names) == [".arranging-live-3d", "arranged-key"]


def test_on_disk_waits_for_a_process_that_writes_the_same(tmp_path, monkeypatch, caplog):
    """What that one has written is taken; nothing is read a second time."""
    caplog.set_level("INFO", "pipelines")
    (tmp_path / "other").mkdir()
    made("disk", tmp_path / "other")

    def finish(seconds):
        os.rename(tmp_path / "other" / "arranged-key", tmp_path / "arranged-key")
        fcntl.flock(lock, fcntl.LOCK_UN)

    with open(tmp_path / ".arranging-key.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        monkeypatch.setattr(time, "sleep", finish)
        rows = arranged.on_disk(
            iter([pytest.fail]), STORED._replace(cache=str(tmp_path)), LENGTHS, "key"
        )
    np.testing.assert_array_equal(take(rows, np.arange(4))["size"], SIZE)
    assert "waiting for another process that prepares the inputs of 4 rows" in caplog.text


def test_on_disk_takes_what_another_process_finished_meanwhile(tmp_path, monkeypatch):
    """Where files cannot be locked."""

    def refuse(file, operation):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)

    def overtaken():
        yield from chunked()
        made("disk", tmp_path)  # by the other one

    rows = arranged.on_disk(overtaken(), STORED._replace(cache=str(tmp_path)), LENGTHS, "key")
    np.testing.assert_array_equal(take(rows, np.arange(4))["size"], SIZE)
    assert [path.name for path in tmp_path.glob("*arrang*[!k]")] == ["arranged-key"]


DAMAGE = {
    "description": lambda folder: (folder / "arranged.json").unlink(),
    "description cut": lambda folder: os.truncate(folder / "arranged.json", 9),
    "values": lambda folder: (folder / "tokens.values").unlink(),
    "values cut": lambda folder: os.truncate(folder / "tokens.values", 32),
    "values cut within one": lambda folder: os.truncate(folder / "tokens.values", 33),
    "column cut": lambda folder: os.truncate(folder / "size.values", 24),
    "starts": lambda folder: (folder / "types.starts.npy").unlink(),
    "starts cut": lambda folder: os.truncate(folder / "types.starts.npy", 140),
    "starts empty": lambda folder: os.truncate(folder / "types.starts.npy", 0),
    "all": lambda folder: [path.unlink() for path in folder.iterdir()],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_on_disk_refuses_a_damaged_folder_by_name(damage, tmp_path):
    made("disk", tmp_path)
    DAMAGE[damage](tmp_path / "arranged-key")
    with pytest.raises(DataError, match=r"arranged-key is damaged: remove it"):
        made("disk", tmp_path)
    shutil.rmtree(tmp_path / "arranged-key")
    np.testing.assert_array_equal(take(made("disk", tmp_path), np.arange(4))["tokens"], TOKENS)


def test_on_disk_refuses_texts(tmp_path):
    table = {**TABLE, "label": np.array([b"a", b"b", b"c", b"d"], object)}
    with pytest.raises(DataError, match="label: texts cannot be stored on disk"):
        made("disk", tmp_path, table)
    assert os.listdir(tmp_path) == [".arranging-key.lock"]


def test_on_disk_goes_to_the_temporary_folder_where_the_data_s_is_read_only(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "temp").mkdir()
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: "data" not in str(path) and real(path, mode)
    )
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    rows = made("disk", tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []
    [own] = (tmp_path / "temp").iterdir()
    assert own.stat().st_mode & 0o777 == 0o700
    assert (own / "arranged-key").is_dir()
    np.testing.assert_array_equal(take(rows, np.arange(4))["tokens"], TOKENS)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_too_many_open_files_are_no_damage(number, tmp_path, monkeypatch):
    made("disk", tmp_path)

    def exhausted(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(arranged, "_mapped", exhausted)
    with pytest.raises(OSError, match=os.strerror(number)):
        made("disk", tmp_path)


def key_of(state=None, identity="a", options=None, **changes) -> str:
    prepared = sequences.prepared_of(4, state=state)
    prepared = prepared.replace(options=options or {}, **changes)
    return arranged.key(prepared, sequences.rows_of(4, stored=True, identity=identity))


def with_part(name: str, **arrays) -> str:
    return key_of({name: arrays})


def test_key_changes_with_all_that_the_rows_depend_on():
    words = np.array(["[PAD]", "a", "b"])
    keys = [
        key_of(),
        key_of(identity="b"),
        key_of(options={"max_length": 8}),
        key_of(options={"max_length": 9}),
        key_of(name="other"),
        with_part("inputs/numbers", vocabulary=words),
        with_part("inputs/numbers", vocabulary=words[::-1]),
        with_part("inputs/numbers", vocabulary=words.astype("S")),
        with_part("inputs/numbers", vocabulary=words[:2]),
        with_part("inputs/numbers", pieces=words),
        with_part("target", names=words),
        with_part("inputs/numbers", mean=np.float32(1)),
        with_part("inputs/numbers", mean=np.float32(2)),
    ]
    assert len(set(keys)) == len(keys)
    assert key_of() == key_of()
    texts = np.array([b"a", b"bc"], object)
    assert with_part("target", names=texts) == with_part("target", names=texts.copy())
    assert with_part("target", names=texts) != with_part("target", names=texts[::-1])
    assert with_part("inputs/other", x=words) == key_of()  # of another form: not used


def test_key_changes_with_form_and_fields():
    prepared = sequences.prepared_of(4)
    forms = prepared.pipeline.forms
    two = {"again": forms["numbers"], **forms}
    rows = sequences.rows_of(4, stored=True, identity="a")
    keys = {arranged.key(prepared.replace(forms=two, form=form), rows) for form in two}
    renamed = rows._replace(fields={"words": rows.fields["text"], "label": rows.fields["label"]})
    keys.add(arranged.key(prepared, renamed))
    assert len(keys) == 3


def test_rows_on_disk_are_arranged_beside_them_once_for_each_key(tmp_path):
    options = {"stored": True, "cache": str(tmp_path), "identity": "one"}
    for identity in ("one", "one", "two"):
        prepared = sequences.prepared_of(41, **(options | {"identity": identity}))
        rows = prepared.inputs_of("train")
        made_of = take(rows, np.arange(41))
        for name, expected in sequences.dense(41).items():
            np.testing.assert_array_equal(made_of[name], expected)
    assert len(list(pathlib.Path(tmp_path).glob("arranged-*"))) == 2
