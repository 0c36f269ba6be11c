"""What a run decides at the end of an epoch, the same whether it was interrupted or not."""

import json

import keras
import pytest

from tests.conftest import tiny_settings
from trainers.errors import NonFiniteError
from trainers.store import checkpoint
from trainers.training import run
from trainers.training.callbacks.saver import Saver

pytestmark = pytest.mark.usefixtures("_fake_data", "_unchecked_export")

STEPS = 4  # of an epoch of the tiny mlp_binary
# Nothing is learnt: the first epoch stays the best one.
STILL = {"learning_rate": 1e-9, "schedule": "constant", "weight_decay": 0.0, "ema": 0.0}


class Stop(Exception):
    """Stands for a process that dies."""


def dying(*arguments):
    raise Stop


def lines_of(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def run_with_deaths(settings, monkeypatch, epochs: tuple[int, ...]) -> dict:
    """The run, killed right after each of these epochs was saved, and started again."""
    original, left = Saver.on_epoch_end, list(epochs)

    def dying(self, epoch, logs=None):
        original(self, epoch, logs)
        if epoch + 1 in left:
            left.remove(epoch + 1)
            raise Stop

    monkeypatch.setattr(Saver, "on_epoch_end", dying)
    for _ in epochs:
        with pytest.raises(Stop):
            run.run(settings)
    report = run.run(settings)
    assert not left
    return report


@pytest.mark.parametrize("deaths", [pytest.param((), marks=pytest.mark.slow), (1, 2, 3)], ids=str)
def test_early_stopping_counts_on_after_a_death(deaths, tmp_path, monkeypatch):
    """Patience 3: without improvement after epoch 1 the run stops at the end of epoch 4."""
    settings = tiny_settings("mlp_binary", tmp_path, early_stopping=3, epochs=50, **STILL)
    report = run_with_deaths(settings, monkeypatch, deaths)
    validated = [line for line in lines_of(tmp_path) if line["split"] == "validation"]
    assert [line["epoch"] for line in validated] == [1, 2, 3, 4]
    assert checkpoint.steps(tmp_path / "checkpoints") == [STEPS, 3 * STEPS, 4 * STEPS]
    best = checkpoint.load(tmp_path / "checkpoints", 4 * STEPS).meta["progress"]
    assert (best["best_step"], best["wait"], best["stopped"]) == (STEPS, 3, True)
    # The best weights are exported, and a run that has stopped does not begin again.
    assert report["validation"]["loss"] == pytest.approx(validated[0]["epoch/loss"], rel=1e-4)
    (tmp_path / "report.json").unlink()
    assert run.run(settings)["validation"] == report["validation"]


@pytest.mark.parametrize(
    "deaths", [*(pytest.param(d, marks=pytest.mark.slow) for d in ((), (3,))), (4, 5)], ids=str
)
def test_the_rate_is_halved_on_a_plateau(deaths, tmp_path, monkeypatch):
    """Patience 2: halved after epochs 3, 5 and 7."""
    settings = tiny_settings("mlp_binary", tmp_path, plateau=2, epochs=8, **STILL)
    run_with_deaths(settings, monkeypatch, deaths)
    rates = {
        line["epoch"]: line["running/learning_rate"] / 1e-9
        for line in lines_of(tmp_path)
        if "running/learning_rate" in line
    }
    expected = [1, 1, 1, 1 / 2, 1 / 2, 1 / 4, 1 / 4, 1 / 8]
    assert list(rates.values()) == pytest.approx(expected, rel=1e-5)


def test_a_plateau_lowers_any_schedule(tmp_path):
    settings = tiny_settings(
        "mlp_binary", tmp_path, plateau=1, epochs=4, **{**STILL, "schedule": "linear"}
    )
    run.run(settings)
    rates = [line.get("running/learning_rate") for line in lines_of(tmp_path)]
    rates = [rate / 1e-9 for rate in rates if rate][STEPS - 1 :: STEPS]
    # At the ends of the first three epochs of four: the third is the first that is halved.
    assert rates == pytest.approx([3 / 4, 2 / 4, 1 / 4 / 2], rel=1e-4)


def test_the_best_of_an_earlier_process_is_not_replaced_by_a_worse_one(tmp_path, monkeypatch):
    """The first epoch is the best, the process dies after the second."""
    settings = tiny_settings("mlp_binary", tmp_path, keep="best", epochs=3, **STILL)
    report = run_with_deaths(settings, monkeypatch, (2,))
    progress = checkpoint.load_newest(tmp_path / "checkpoints").meta["progress"]
    assert progress["best_step"] == STEPS
    assert progress["best"] == pytest.approx(report["validation"]["loss"], rel=1e-4)


def test_more_epochs_equal_a_longer_run(tmp_path):
    """With a schedule that does not depend on the number of epochs."""
    changes = {"schedule": "constant", "checkpoint_minutes": 0.0}
    run.run(tiny_settings("mlp_binary", tmp_path / "long", epochs=3, **changes))
    run.run(tiny_settings("mlp_binary", tmp_path / "more", epochs=1, **changes))
    more = tiny_settings("mlp_binary", tmp_path / "more", epochs=3, **changes)
    report = run.run(
        tiny_settings(
            "mlp_binary", tmp_path / "more", epochs=3, resume_with_changes=True, **changes
        )
    )
    assert report["epochs"] == 3
    one, two = (
        checkpoint.load(tmp_path / place / "checkpoints", 3 * STEPS).arrays
        for place in ("long", "more")
    )
    assert {k: a.tobytes() for k, a in one.items()} == {k: a.tobytes() for k, a in two.items()}
    assert run.run(more) == report  # it is complete now, without the flag


def test_a_run_that_stopped_early_goes_on_with_more_patience(tmp_path):
    changes = {**STILL, "checkpoint_minutes": 0.0}
    short = tiny_settings("mlp_binary", tmp_path, epochs=3, early_stopping=1, **changes)
    assert run.run(short)["steps"]["last"] == 2 * STEPS
    more = tiny_settings(
        "mlp_binary", tmp_path, epochs=5, early_stopping=0, resume_with_changes=True, **changes
    )
    assert run.run(more)["steps"]["last"] == 5 * STEPS


def test_a_run_that_stopped_early_goes_on_to_the_same_number_of_epochs(tmp_path, monkeypatch):
    """Also where the process that goes on is killed, before its first epoch or after its last."""
    changes = {**STILL, "checkpoint_minutes": 0.0, "epochs": 5}
    short = tiny_settings("mlp_binary", tmp_path, early_stopping=1, **changes)
    assert run.run(short)["steps"]["last"] == 2 * STEPS
    assert run.run(short)["steps"]["last"] == 2 * STEPS
    changes |= {"early_stopping": 0, "keep": "last"}
    more = tiny_settings("mlp_binary", tmp_path, resume_with_changes=True, **changes)
    with monkeypatch.context() as patched:
        patched.setattr(run.fit, "fit", dying)
        with pytest.raises(Stop):
            run.run(more)
    more = tiny_settings("mlp_binary", tmp_path, **changes)
    with monkeypatch.context() as patched:
        patched.setattr(run, "_test", dying)
        with pytest.raises(Stop):
            run.run(more)
    report = run.run(more)
    assert report["steps"]["last"] == 5 * STEPS
    assert run.run(more) == report


class Enough(keras.callbacks.Callback):
    """A user's callback that ends the run."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True


def test_a_run_that_a_callback_has_ended_stays_complete(tmp_path):
    settings = tiny_settings("mlp_binary", tmp_path, epochs=5)
    report = run.run(settings, callbacks=[Enough()])
    assert report["steps"]["last"] == STEPS
    assert run.run(settings) == report


def test_a_run_that_stopped_early_goes_on_by_another_metric(tmp_path):
    """Its patience is counted anew: nobody has waited for that metric yet."""
    changes = {**STILL, "checkpoint_minutes": 0.0, "epochs": 5, "early_stopping": 1}
    assert run.run(tiny_settings("mlp_binary", tmp_path, **changes))["steps"]["last"] == 2 * STEPS
    changes |= {"monitor": "accuracy", "resume_with_changes": True}
    steps = run.run(tiny_settings("mlp_binary", tmp_path, **changes))["steps"]
    assert steps == {"last": 4 * STEPS, "best": 3 * STEPS}


def test_the_time_budget_is_that_of_the_process_not_of_a_try(tmp_path, monkeypatch):
    """A step that is not finite sends the run back to its checkpoint, and the clock runs on."""
    began, whole, checked = [], Saver.__init__, Saver.on_epoch_end
    faults = [NonFiniteError("loss is not finite; so", 1)]

    def noted(self, *arguments, **options):
        began.append(options["began"])
        whole(self, *arguments, **options)

    def failing_once(self, epoch, logs=None):
        if faults:
            raise faults.pop()
        checked(self, epoch, logs)

    monkeypatch.setattr(Saver, "__init__", noted)
    monkeypatch.setattr(Saver, "on_epoch_end", failing_once)
    run.run(tiny_settings("mlp_binary", tmp_path, epochs=1, recover_tries=1))
    assert len(began) == 2
    assert began[0] == began[1]
