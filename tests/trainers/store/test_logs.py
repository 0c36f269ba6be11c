"""Logs with damaged lines and records: the others are read, and the damage is counted."""

import json

import pytest
import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event

from trainers.store import logs

LINE = {"step": 4, "epoch": 1, "split": "train", "running/loss": 0.5}


def as_text(**changes) -> bytes:
    return json.dumps(LINE | changes).encode() + b"\n"


@pytest.mark.parametrize(
    "broken",
    [
        b"\n",
        b"\xff" + as_text(),
        as_text()[:30] + b"\n",
        b"[1]\n",
        b"[" * 50_000 + b"\n",
        as_text(step="4"),
        as_text(step=-4),
        as_text(step=10**300),
        as_text(split="elsewhere"),
        as_text(**{"running/loss": "0.5"}),
        as_text(**{"running/loss": None}),
        as_text(**{"running/loss": [0.5]}),
    ],
    ids=range(12),
)
def test_damaged_line_is_left_out_and_counted(broken, tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(as_text(step=3) + broken + as_text(step=5))
    assert logs.lines(path) == ([LINE | {"step": 3}, LINE | {"step": 5}], 1)


def test_torn_last_line_is_no_damage(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(as_text() + as_text()[:-1])
    assert logs.lines(path) == ([LINE], 0)
    path.write_bytes(as_text() + as_text()[:20])
    assert logs.lines(path) == ([LINE], 0)
    assert logs.lines(tmp_path / "none.jsonl") == ([], 0)


def test_folder_in_place_of_the_lines_is_damage_and_their_absence_is_not(tmp_path):
    assert logs.lines(tmp_path) == ([], 1)
    assert logs.lines(tmp_path / "absent") == ([], 0)


def test_line_that_does_not_end_is_not_read_at_once(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(as_text())
    with open(path, "r+b") as file:
        file.truncate(2**20)  # zeros
    entries, damaged = logs.lines(path)
    assert entries == [LINE]
    assert damaged == 15  # pieces of 64 KiB, without the last


@pytest.fixture
def event_file(tmp_path):
    """Five events, and where each record begins."""
    path, starts = tmp_path / "events.out.tfevents.1", []
    records = [Event(step=step, file_version="x" * 300).SerializeToString() for step in range(5)]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    starts = [sum(len(record) + 16 for record in records[:i]) for i in range(6)]
    return path, starts


def steps(log: logs.Log) -> list[int]:
    return [logs.step_of(record) for record in log.entries]


def test_events_of_a_whole_file_are_all_there(event_file):
    path, _ = event_file
    log = logs.events(path)
    assert (steps(log), log.damaged) == ([0, 1, 2, 3, 4], 0)


@pytest.mark.parametrize("within", [0, 5, 9, 12, 200, 317], ids=lambda n: f"byte {n}")
def test_record_with_a_flipped_byte_is_left_out_and_counted(within, event_file):
    path, starts = event_file
    content = bytearray(path.read_bytes())
    content[starts[2] + within] ^= 0x41
    path.write_bytes(content)
    log = logs.events(path)
    assert (steps(log), log.damaged) == ([0, 1, 3, 4], 1)


def test_torn_end_of_events_is_no_damage(event_file):
    path, starts = event_file
    whole = path.read_bytes()
    for end in (starts[5] - 1, starts[4] + 13, starts[4] + 3):
        path.write_bytes(whole[:end])
        log = logs.events(path)
        assert (steps(log), log.damaged) == ([0, 1, 2, 3], 0)


def test_file_of_something_else_has_no_events(tmp_path):
    path = tmp_path / "events.out.tfevents.1"
    with open(path, "wb") as file:
        file.truncate(2**24)  # zeros
    assert logs.events(path) == ([], 1)
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(b"not an event")
    assert logs.events(path) == ([], 1)
