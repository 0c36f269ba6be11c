"""Signals and the time budget: saved at the next boundary, wherever the run is, and continued."""

import json
import os
import signal

import numpy as np
import pytest

from tests.conftest import run_python, tiny_settings
from trainers import errors
from trainers.evaluation import evaluate
from trainers.serving import export
from trainers.store import checkpoint
from trainers.training import run
from trainers.training.callbacks.monitor import Monitor
from trainers.training.callbacks.saver import Saver

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
        from pipelines.storage import tfds as source
        from tests.conftest import fake_rows

        patch.setattr(source, "load", lambda p, data_dir=None: (p, fake_rows(p)))
        patch.setattr(export, "_compare", lambda *_: None)
        run.run(settings_in(folder))
    return state_and_lines(folder)


def signal_in(patch, owner, method: str, number: int, when=lambda *_: True):
    """Sends this process the signal when the method is entered, the first time `when` says so."""
    original, sent = getattr(owner, method), []

    def signalled(*args, **kwargs):
        if not sent and when(*args):
            sent.append(number)
            signal.raise_signal(number)
        return original(*args, **kwargs)

    patch.setattr(owner, method, signalled)


# Where the signal comes, and the step and kind of the checkpoint that it leaves.
PLACES = {
    "within an epoch": (Saver, "on_train_batch_end", lambda s, *_: s._step == 1, (2, True)),
    "at an epoch's last step": (
        Saver,
        "on_train_batch_end",
        lambda s, *_: s._step == 3,
        (4, False),
    ),
    "in a validation": (Saver, "on_test_batch_end", lambda *_: True, (4, False)),
    "after a validation": (Saver, "on_epoch_end", lambda *_: True, (4, True)),
    "after the last step": (Monitor, "close", lambda *_: True, (8, True)),
    "in the export": (export, "_compare", lambda *_: True, (8, True)),
    "after the export": (evaluate, "evaluate", lambda *_: True, (8, True)),
}


@pytest.mark.parametrize(
    ("place", "number", "code"),
    [
        ("within an epoch", signal.SIGTERM, 143),
        ("in the export", signal.SIGINT, 130),
        *(
            pytest.param(place, signal.SIGTERM, 143, marks=pytest.mark.slow)
            for place in PLACES
            if place != "within an epoch"
        ),
    ],
)
def test_a_signal_saves_and_stops_at_the_next_boundary(
    place, number, code, tmp_path, monkeypatch, quiet
):
    handlers = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    owner, method, when, left = PLACES[place]
    with monkeypatch.context() as patch:
        signal_in(patch, owner, method, number, when)
        with pytest.raises(errors.InterruptedRunError, match="same command") as caught:
            run.run(settings_in(tmp_path))
    assert errors.exit_code(caught.value) == code
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == handlers
    newest = checkpoint.load_newest(tmp_path / "checkpoints")
    assert (newest.step, newest.meta["progress"]["validated"]) == left
    assert not list(tmp_path.rglob(".writing-*"))
    assert not (tmp_path / "report.json").exists()
    assert run.run(settings_in(tmp_path))["test"]
    assert state_and_lines(tmp_path) == quiet
    assert [p.name for p in (tmp_path / "export" / "mlp_binary").iterdir()] == ["1"]


def test_a_second_signal_ends_the_process_at_once(tmp_path, built_in_data):
    program = (
        "import signal, sys\n"
        "from trainers import run\n"
        "from trainers.training.callbacks import saver\n"
        "def twice(self, batch, logs=None):\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "saver.Saver.on_train_batch_end = twice\n"
        "run_command_module.main(sys.argv)\n"
    )
    words = ["--model=mlp_binary", f"--data_dir={built_in_data}", f"--workdir={tmp_path}"]
    done = run_python("-c", program, *words, check=False)
    assert done.returncode == -signal.SIGINT, done.stderr
    assert os.listdir(tmp_path / "checkpoints") == []


@pytest.mark.parametrize("where", ["steps", "validation"])
def test_the_time_budget_saves_and_stops(where, tmp_path, monkeypatch, quiet):
    with monkeypatch.context() as patch:
        if where == "validation":
            patch.setattr(Saver, "on_train_batch_end", skipped(Saver.on_train_batch_end))
        with pytest.raises(errors.InterruptedRunError, match="max_minutes") as caught:
            run.run(settings_in(tmp_path, max_minutes=1e-6))
    assert errors.exit_code(caught.value) == 124
    assert checkpoint.steps(tmp_path / "checkpoints") == [1 if where == "steps" else STEPS]
    run.run(settings_in(tmp_path))
    assert state_and_lines(tmp_path) == quiet


def skipped(original):
    """Steps that are counted without a look at the clock."""

    def unstopped(self, batch, logs=None):
        self._reason_to_stop = lambda: None
        original(self, batch, logs)
        del self._reason_to_stop

    return unstopped


def test_validation_sees_the_averages_and_leaves_the_weights(tmp_path, monkeypatch):
    """What is saved in the middle of a validation are the trained weights, not their averages."""
    with monkeypatch.context() as patch:
        signal_in(patch, Saver, "on_test_batch_end", signal.SIGTERM)
        with pytest.raises(errors.InterruptedRunError):
            run.run(settings_in(tmp_path, learning_rate=0.1))
    arrays = checkpoint.load_newest(tmp_path / "checkpoints").arrays
    average = next(a for k, a in arrays.items() if "average" in k and a.shape == (30, 16))
    assert np.abs(arrays["model/dense1/kernel"] - average).max() > 1e-3
