"""Lines at fixed steps, written by time."""

import json

import numpy as np
import pytest

from tests.conftest import tiny_settings
from tests.faults.deaths import At
from trainers.training import run
from trainers.training.callbacks import monitor
from trainers.training.callbacks.averages import averages


@pytest.mark.parametrize(
    ("epoch_steps", "per_call", "expected"),
    [
        (8, 1, [1, 2, 3, 4, 5, 6, 7, 8]),
        (10, 4, [4, 8, 10]),
        (100, 1, list(range(2, 101, 2))),
        (120, 1, [*range(3, 121, 3)]),
        (1000, 16, [*range(32, 1000, 32), 1000]),
        (10_007, 100, [*range(300, 10_007, 300), 10_007]),
    ],
)
def test_lines_stand_at_fixed_steps_at_most_fifty_an_epoch(epoch_steps, per_call, expected):
    ends = [*range(per_call, epoch_steps, per_call), epoch_steps]
    logged = [end for end in ends if monitor.is_logged(end, epoch_steps, per_call)]
    assert logged == expected
    assert len(logged) <= 51


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_line_holds_the_running_mean_and_the_last_loss(tmp_path):
    run.run(tiny_settings("mlp_binary", tmp_path, steps_per_execution=1, epochs=1))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    lines = [line for line in lines if "running/loss" in line]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    losses = [line["running/execution_loss"] for line in lines]
    for number, line in enumerate(lines, 1):
        assert line["running/loss"] == pytest.approx(sum(losses[:number]) / number, rel=1e-4)


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_files_are_flushed_by_time(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(monitor.Monitor, "flush", lambda self: flushed.append(self._step))
    monkeypatch.setattr(monitor, "_FLUSHED", 1e9)
    monkeypatch.setattr(monitor.time, "monotonic", lambda: 5.0)
    run.run(tiny_settings("mlp_binary", tmp_path, steps_per_execution=1))
    assert set(flushed) == {4, 8}  # the ends of the epochs alone


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_files_are_flushed_before_a_checkpoint(tmp_path, monkeypatch):
    """A killed run continues after its checkpoint: lines up to there are on the disk."""
    found = []

    def look(_):
        lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
        found.append([json.loads(line)["step"] for line in lines])

    monkeypatch.setattr(monitor, "_FLUSHED", 1e9)
    changes = {"steps_per_execution": 1, "checkpoint_minutes": 0.0}
    settings = tiny_settings("mlp_binary", tmp_path, **changes)
    run.run(settings, callbacks=[At("on_train_batch_begin", look, 3)])
    assert found == [[1, 2, 3]]


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_pictures_have_the_answers_of_the_weights_that_are_validated(tmp_path, monkeypatch):
    seen = []

    def look(self):
        pairs = averages(self.model).values()
        assert pairs
        same = all(np.array_equal(weight.numpy(), average.numpy()) for weight, average in pairs)
        seen.append((self._step, same))

    monkeypatch.setattr(monitor.Monitor, "_write_images", look)
    run.run(tiny_settings("mlp_binary", tmp_path, ema=0.9, epochs=2))
    assert seen == [(4, True), (8, True)]
