"""Numbers that blow up: found at their step, nothing bad kept, and gone back from when asked."""

import json

import keras
import numpy as np
import pytest

from pipelines.core.plan import plan
from tests.conftest import made_pipeline, replaced, tiny_settings
from trainers import errors
from trainers.devices import keras_patches as distribute
from trainers.store import checkpoint
from trainers.training import compile as assembly
from trainers.training import fit, run
from trainers.training.callbacks.saver import Saver

BATCH = 6  # ten steps an epoch of the made rows


def poisoned(row: int, value: float):
    """A prepared pipeline with one number that is not finite, or too large to be squared."""
    pipeline = made_pipeline("classification")
    train = pipeline.rows["train"]
    x = train.table["x"].copy()
    x[row, 1] = value
    rows = {**pipeline.rows, "train": train._replace(table={**train.table, "x": x})}
    return replaced(pipeline, rows=rows)


def step_of(row: int) -> int:
    """The first step, counted from 1, that sees the row."""
    order = plan(60, batch_size=BATCH, seed=0, epoch=0)
    return 1 + int(np.argwhere(order == row)[0][0])


def fit_in(folder, pipeline, model="mlp_classifier", replicas=1, **changes):
    """Trains on a prepared pipeline; the compiled model."""
    folder.mkdir(exist_ok=True)
    changes = {"precision": "float32", "optimizer": "sgd", "batch_size": BATCH, **changes}
    settings = tiny_settings(model, folder, **changes)
    strategy = distribute.choose(replicas)
    compiled = assembly.compiled(settings, pipeline, strategy, "float32")
    return fit.fit(compiled, settings, pipeline, strategy, folder, "run")


@pytest.mark.parametrize(
    ("value", "replicas", "per_execution"),
    [
        (np.nan, 1, 1),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in ((np.nan, 1, 10), (1e30, 1, 4))),
        (np.inf, 2, 10),
    ],
)
def test_the_step_and_the_variable_are_named(value, per_execution, replicas, tmp_path):
    """Also where the loss hides it: the network begins with a fused Dense and ReLU."""
    bad = 17
    with pytest.raises(errors.NonFiniteError, match="dense1/kernel") as caught:
        fit_in(tmp_path, poisoned(bad, value), replicas=replicas, steps_per_execution=per_execution)
    assert caught.value.step == step_of(bad)
    assert errors.exit_code(caught.value) == 5
    assert f"not finite at step {step_of(bad)}; the last good checkpoint is none" in str(
        caught.value
    )


def test_no_step_is_taken_after_a_bad_one(tmp_path):
    """Within one execution of ten steps: the weights before the bad one are still in its input."""
    settings = tiny_settings(
        "mlp_classifier", tmp_path, steps_per_execution=10, precision="float32", batch_size=BATCH
    )
    pipeline, strategy = poisoned(17, np.nan), distribute.choose(1)
    model = assembly.compiled(settings, pipeline, strategy, "float32")
    with pytest.raises(errors.NonFiniteError):
        fit.fit(model, settings, pipeline, strategy, tmp_path, "run")
    assert int(model.optimizer.iterations.numpy()) == step_of(17) < 10


def test_the_norm_is_that_of_all_gradients_before_clipping(tmp_path):
    settings = tiny_settings("linear", tmp_path, batch_size=60, clip_norm=1e-3, epochs=1, l2=0.0)
    pipeline, strategy = made_pipeline("classification"), distribute.choose(1)
    model = assembly.compiled(settings, pipeline, strategy, "float32")
    kernel, bias = (w.numpy() for w in model.trainable_weights)
    x, target = (pipeline.rows["train"].table[k] for k in ("x", "label"))
    logits = x @ kernel + bias
    wrong = np.exp(logits) / np.exp(logits).sum(1, keepdims=True) - np.eye(3)[target]
    norm = np.sqrt(((x.T @ wrong / 60) ** 2).sum() + (wrong.mean(0) ** 2).sum())
    fit.fit(model, settings, pipeline, strategy, tmp_path, "run")
    assert distribute.gradients_of(model) == (pytest.approx(norm, rel=1e-5), None, None)
    line = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert line["running/gradient_norm"] == pytest.approx(norm, rel=1e-5)


def test_weights_that_are_not_finite_are_never_saved(tmp_path, monkeypatch):
    """Whatever made them so: here it is not a gradient."""
    original = Saver.on_epoch_end

    def spoiling(self, epoch, logs=None):
        if epoch == 1:
            self.model.trainable_variables[1].assign([np.nan] * 16)
        original(self, epoch, logs)

    monkeypatch.setattr(Saver, "on_epoch_end", spoiling)
    with pytest.raises(errors.NonFiniteError, match=r"dense1/bias is not finite at step 20.*10;"):
        fit_in(tmp_path, made_pipeline("classification"))
    assert checkpoint.steps(tmp_path / "checkpoints") == [10]


def test_a_validation_that_is_not_finite_ends_the_run_too(tmp_path):
    pipeline = made_pipeline("classification")
    validation = pipeline.rows["validation"]
    table = {**validation.table, "x": np.full_like(validation.table["x"], np.nan)}
    rows = {**pipeline.rows, "validation": validation._replace(table=table)}
    with pytest.raises(errors.NonFiniteError, match=r"val_loss \(nan\) is not finite at step 10"):
        fit_in(tmp_path, replaced(pipeline, rows=rows), model="linear")
    assert not checkpoint.steps(tmp_path / "checkpoints")


def test_float16_skips_steps_of_too_large_a_scale_and_goes_on(tmp_path):
    """A loss scale is raised until it overflows: that is how it works, not a fault of the run."""
    settings = tiny_settings("mlp_classifier", tmp_path, precision="float16", batch_size=BATCH)
    pipeline, strategy = made_pipeline("classification"), distribute.choose(1)
    model = assembly.compiled(settings, pipeline, strategy, "mixed_float16")
    model.optimizer.dynamic_scale.assign(1e30)
    fit.fit(model, settings, pipeline, strategy, tmp_path, "run")
    assert model.optimizer.dynamic_scale.numpy() < 1e30


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_nan_stops_the_run_and_exports_nothing(tmp_path):
    changes = {"learning_rate": 1e30, "optimizer": "sgd", "precision": "float32", "batch_size": 8}
    with pytest.raises(errors.NonFiniteError, match="last good checkpoint") as caught:
        run.run(tiny_settings("cifar_cnn", tmp_path, **changes))
    assert errors.exit_code(caught.value) == 5
    assert not (tmp_path / "export").exists()
    for step in checkpoint.steps(tmp_path / "checkpoints"):
        arrays = checkpoint.load(tmp_path / "checkpoints", step).arrays
        assert all(np.isfinite(a).all() for k, a in arrays.items() if k.startswith("model/"))


def blowing_up(monkeypatch, *steps: int):
    """Lets each of these steps be found not finite, the first time it is taken."""
    original, left = Saver._check_loss, list(steps)

    def check(self, name, logs):
        if self._step in left:
            left.remove(self._step)
            raise self._not_finite("the gradient of dense1/kernel", self._step)
        original(self, name, logs)

    monkeypatch.setattr(Saver, "_check_loss", check)


def rates(folder) -> dict[int, float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    lines = [line for line in lines if "running/learning_rate" in line]
    assert len({line["step"] for line in lines}) == len(lines)
    return {line["step"]: line["running/learning_rate"] for line in lines}


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_going_back_halves_the_rate_and_marks_the_run(tmp_path, monkeypatch, capsys):
    """Twice from the same checkpoint, once from a later one; four steps an epoch."""
    settings = tiny_settings(
        "mlp_binary",
        tmp_path,
        recover_tries=3,
        steps_per_execution=1,
        schedule="constant",
        epochs=3,
    )
    blowing_up(monkeypatch, 6, 7, 10)
    report = run.run(settings)
    assert [(r["step"], r["to"]) for r in report["rollbacks"]] == [(6, 4), (7, 4), (10, 8)]
    assert "dense1/kernel" in report["rollbacks"][0]["because"]
    assert "back to step 4, at half the learning rate (2 of 3 tries)" in capsys.readouterr().out
    found = rates(tmp_path)
    rate = settings.recipe.learning_rate
    expected = {step: rate * {0: 1, 1: 1 / 4, 2: 1 / 8}[(step - 1) // 4] for step in range(1, 13)}
    assert found == pytest.approx(expected)
    assert checkpoint.load(tmp_path / "checkpoints", 12).meta["progress"]["rate_factor"] == 1 / 8
    assert "gone back" in (tmp_path / "report.html").read_text()


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_tries_are_limited_and_a_run_can_be_given_more(tmp_path, monkeypatch):
    changes = {"steps_per_execution": 1, "schedule": "constant"}
    with monkeypatch.context() as patch:
        blowing_up(patch, 2, 3)
        with pytest.raises(errors.NonFiniteError, match="the last good checkpoint is step 0"):
            run.run(tiny_settings("mlp_binary", tmp_path, recover_tries=1, **changes))
    blowing_up(monkeypatch, 2)
    report = run.run(tiny_settings("mlp_binary", tmp_path, recover_tries=2, **changes))
    assert len(report["rollbacks"]) == 1  # the earlier process left no trace but the start


def test_a_bad_number_in_the_data_is_met_again_and_ends_the_run(tmp_path):
    with pytest.raises(errors.NonFiniteError) as caught:
        fit_in(tmp_path, poisoned(17, np.nan), recover_tries=2)
    assert caught.value.step == step_of(17)
    assert checkpoint.steps(tmp_path / "checkpoints") == [0]


def test_a_rate_that_is_too_large_is_halved_until_it_is_not(tmp_path):
    """A linear regression diverges above a rate of 2 over the largest curvature."""
    pipeline = made_pipeline("regression", num_rows=600)
    pipeline = replaced(pipeline, state={})  # in the target's own units: curvature of x^T x
    x = pipeline.rows["train"].table["x"]
    largest = 2 * np.linalg.eigvalsh(x.T @ x / len(x)).max()
    changes = {"model": "linear", "momentum": 0.0, "epochs": 5, "schedule": "constant"}
    progress = fit_in(tmp_path, pipeline, learning_rate=6.0 / largest, recover_tries=5, **changes)
    assert 1 <= len(progress["rollbacks"]) <= 4
    assert keras.ops.isfinite(progress["best"])
