"""Signals and the time budget: saved at the next boundary, wherever the run is, and continued."""

import json
import os
import signal
import time

import numpy as np
import pytest
from tensorboard.backend.event_processing import event_accumulator

from tests.conftest import run_python, tiny_settings, unchecked_exports, use_fake_data
from tests.faults.deaths import At, Died, signal_at
from trainers import errors
from trainers.evaluation import evaluate
from trainers.serving import compare
from trainers.store import checkpoint
from trainers.training import run

pytestmark = pytest.mark.usefixtures("_fake_data", "_unchecked_export")

STEPS = 4  # of an epoch of the tiny mlp_binary
CHANGES = {"steps_per_execution": 1, "ema": 0.9, "report_baseline": False}


def settings_in(folder, **changes):
    return tiny_settings("mlp_binary", folder, **CHANGES, **changes)


def state_and_lines(folder) -> tuple[dict, list]:
    """The bits of the last checkpoint, and what metrics.jsonl says but for the throughput."""
    arrays = checkpoint.load_newest(folder / "checkpoints").arrays
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("running/examples_per_second", None)
    return {key: array.tobytes() for key, array in arrays.items()}, lines


@pytest.fixture(scope="module")
def quiet(tmp_path_factory) -> tuple[dict, list]:
    """What a run leaves that nothing interrupted."""
    folder = tmp_path_factory.mktemp("quiet") / "run"
    with pytest.MonkeyPatch.context() as patch:
        use_fake_data(patch)
        unchecked_exports(patch)
        run.run(settings_in(folder))
    return state_and_lines(folder)


def signal_in(patch, owner, function: str, number: int) -> None:
    """Sends this process the signal when the function is first called."""
    original, left = getattr(owner, function), [number]

    def signalled(*args, **kwargs):
        while left:
            signal.raise_signal(left.pop())
        return original(*args, **kwargs)

    patch.setattr(owner, function, signalled)


# Where the signal comes, and the step and kind of the checkpoint that it leaves: a method of
# callbacks and the steps taken by then, or a function that follows `fit`.
MOMENTS = {
    "within an epoch": (("on_train_batch_end", 2), (2, True)),
    "at an epoch's last step": (("on_train_batch_end", STEPS), (STEPS, False)),
    "in a validation": (("on_test_batch_end",), (STEPS, False)),
    "after a validation": (("on_epoch_end",), (STEPS, True)),
    "after the last step": (("on_train_end",), (2 * STEPS, True)),
}
FUNCTIONS = {
    "in the export": (compare, "run_in_new_process"),
    "after the export": (evaluate, "evaluate"),
}


@pytest.mark.parametrize(
    ("when", "number", "code"),
    [
        ("within an epoch", signal.SIGTERM, 143),
        ("in the export", signal.SIGINT, 130),
        *(
            pytest.param(when, signal.SIGTERM, 143, marks=pytest.mark.slow)
            for when in (*MOMENTS, *FUNCTIONS)
            if when != "within an epoch"
        ),
    ],
)
def test_signal_saves_and_stops_at_the_next_boundary(
    when, number, code, tmp_path, monkeypatch, quiet
):
    handlers = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    callbacks, left = [], (2 * STEPS, True)
    with monkeypatch.context() as patch:
        if when in MOMENTS:
            (method, *steps), left = MOMENTS[when]
            callbacks = [signal_at(method, number, *steps)]
        else:
            signal_in(patch, *FUNCTIONS[when], number)
        with pytest.raises(errors.InterruptedRunError, match="same command") as caught:
            run.run(settings_in(tmp_path), callbacks=callbacks)
    assert errors.exit_code(caught.value) == code
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == handlers
    newest = checkpoint.load_newest(tmp_path / "checkpoints")
    assert (newest.step, newest.meta["progress"]["validated"]) == left
    assert not list(tmp_path.rglob(".writing-*"))
    assert not (tmp_path / "report.json").exists()
    assert run.run(settings_in(tmp_path))["test"]
    assert state_and_lines(tmp_path) == quiet
    assert [p.name for p in (tmp_path / "export" / "mlp_binary").iterdir()] == ["1"]


def test_validation_that_was_stopped_and_then_killed_is_logged_once(tmp_path, monkeypatch, quiet):
    """The step is saved again, the process dies between two renames: its lines are written."""
    stop = signal_at("on_test_batch_end", signal.SIGTERM)
    with pytest.raises(errors.InterruptedRunError):
        run.run(settings_in(tmp_path), callbacks=[stop])
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.os, "rename", dying_after(checkpoint.os.rename))
        with pytest.raises(Died):
            run.run(settings_in(tmp_path))
    newest = checkpoint.load_newest(tmp_path / "checkpoints")
    assert (newest.step, newest.meta["progress"]["validated"]) == (STEPS, False)
    run.run(settings_in(tmp_path))
    assert state_and_lines(tmp_path) == quiet
    assert points_of(tmp_path / "tensorboard" / "validation")["epoch/loss"] == [STEPS, 2 * STEPS]
    train = points_of(tmp_path / "tensorboard" / "train")
    assert train["running/loss"] == list(range(1, 2 * STEPS + 1))
    assert train["epoch/loss"] == [STEPS, 2 * STEPS]


def dying_after(function):
    """The function, of which nobody lives to see the result."""

    def last(*words):
        function(*words)
        raise Died

    return last


def points_of(folder) -> dict[str, list[int]]:
    """The steps of every value in TensorBoard's files, as its own reader finds them."""
    events = event_accumulator.EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return {tag: [e.step for e in events.Tensors(tag)] for tag in events.Tags()["tensors"]}


def test_second_signal_ends_the_process_at_once(tmp_path, built_in_data):
    program = (
        "import signal, sys\n"
        "from tests.faults.deaths import signal_at\n"
        "from trainers.run import train\n"
        "twice = [signal_at('on_train_batch_end', signal.SIGINT) for _ in range(2)]\n"
        "data_dir, workdir = sys.argv[1:]\n"
        "train('mlp_binary', data_dir=data_dir, workdir=workdir, callbacks=twice)\n"
    )
    done = run_python("-c", program, built_in_data, str(tmp_path), check=False)
    assert done.returncode == -signal.SIGINT, done.stderr
    assert os.listdir(tmp_path / "checkpoints") == []


@pytest.mark.parametrize(
    ("method", "step"), [("on_train_batch_end", 3), ("on_test_batch_end", STEPS)]
)
def test_time_budget_saves_and_stops(method, step, tmp_path, monkeypatch, quiet):
    """An hour goes by in a step, or in a validation."""
    late, monotonic = [0], time.monotonic
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: monotonic() + sum(late))
        an_hour = At(method, lambda _: late.append(3600), step)
        with pytest.raises(errors.InterruptedRunError, match="max_minutes") as caught:
            run.run(settings_in(tmp_path, max_minutes=50), callbacks=[an_hour])
    assert errors.exit_code(caught.value) == 124
    assert checkpoint.steps(tmp_path / "checkpoints") == [step]
    run.run(settings_in(tmp_path))
    assert state_and_lines(tmp_path) == quiet


def test_validation_sees_the_averages_and_leaves_the_weights(tmp_path):
    """What is saved in the middle of a validation are the trained weights, not their averages."""
    stop = signal_at("on_test_batch_end", signal.SIGTERM)
    with pytest.raises(errors.InterruptedRunError):
        run.run(settings_in(tmp_path, learning_rate=0.1), callbacks=[stop])
    arrays = checkpoint.load_newest(tmp_path / "checkpoints").arrays
    average = next(a for k, a in arrays.items() if "average" in k and a.shape == (30, 16))
    assert np.abs(arrays["model/dense1/kernel"] - average).max() > 1e-3
