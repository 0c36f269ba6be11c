"""Numbers that blow up: found at their step, nothing bad kept, and rolled back when asked."""

import json

import numpy as np
import pytest

from pipelines.core.plan import training_plan
from tests.conftest import made_pipeline, tiny_settings
from tests.faults.deaths import At, poison
from trainers import errors
from trainers.devices import strategy as strategies
from trainers.store import checkpoint
from trainers.store.run_folder import Run
from trainers.training import compile, fit, run

BATCH = 6  # ten steps an epoch of the made rows


def poisoned(row: int, value: float):
    """A prepared pipeline with one number that is not finite, or too large to be squared."""
    pipeline = made_pipeline("classification")
    train = pipeline.rows["train"]
    x = train.table["x"].copy()
    x[row, 1] = value
    rows = {**pipeline.rows, "train": train._replace(table={**train.table, "x": x})}
    return pipeline.replace(rows=rows)


def step_of(row: int) -> int:
    """The first step, counted from 1, that sees the row."""
    order = training_plan(60, batch_size=BATCH, seed=0).rows(0, 0, 60 // BATCH)
    return 1 + int(np.argwhere(order == row)[0][0])


def settings_in(folder, model="mlp_classifier", **changes):
    folder.mkdir(exist_ok=True)
    changes = {"precision": "float32", "optimizer": "sgd", "batch_size": BATCH, **changes}
    return tiny_settings(model, folder, **changes)


def fit_in(settings, prepared, callbacks=(), replicas=1, policy="float32", prepare=None):
    """The model that was trained on prepared data, and the progress of its run.

    Args:
        prepare: called with the compiled model.
    """
    strategy = strategies.choose(replicas)
    model = compile.compiled(settings, prepared, strategy, policy)
    if prepare:
        prepare(model)
    run = Run(settings.run_dir, "run", settings, prepared, {})
    return model, fit.fit(model, run, strategy, callbacks)


@pytest.mark.parametrize(
    ("value", "replicas", "per_execution"),
    [
        (np.nan, 1, 1),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in ((np.nan, 1, 10), (1e30, 1, 4))),
        (np.inf, 2, 10),
    ],
)
def test_step_and_variable_are_named(value, per_execution, replicas, tmp_path):
    """Also where the loss hides it: the network begins with a fused Dense and ReLU."""
    bad = 17
    settings = settings_in(tmp_path, steps_per_execution=per_execution)
    with pytest.raises(errors.NonFiniteError, match="dense1/kernel") as caught:
        fit_in(settings, poisoned(bad, value), replicas=replicas)
    assert caught.value.step == step_of(bad)
    assert errors.exit_code(caught.value) == 5
    assert f"not finite at step {step_of(bad)}; the last good checkpoint is none" in str(
        caught.value
    )


def test_no_step_is_taken_after_a_bad_one(tmp_path):
    """Within one execution of ten steps: neither it nor any later one is applied."""
    models = []
    with pytest.raises(errors.NonFiniteError):
        fit_in(
            settings_in(tmp_path, steps_per_execution=10),
            poisoned(17, np.nan),
            prepare=models.append,
        )
    assert int(models[0].optimizer.iterations.numpy()) == step_of(17) - 1 < 9


def test_gradient_norm_is_that_of_all_gradients_before_clipping(tmp_path):
    first = {}

    def keep(model):
        first.update({variable.path: variable.numpy() for variable in model.trainable_weights})

    changes = {"batch_size": 60, "clip_norm": 1e-3, "epochs": 1, "l2": 0.0}
    prepared = made_pipeline("classification")
    model, _ = fit_in(settings_in(tmp_path, "linear", **changes), prepared, prepare=keep)
    x, target = (prepared.rows["train"].table[k] for k in ("x", "label"))
    logits = x @ first["logits/kernel"] + first["logits/bias"]
    wrong = np.exp(logits) / np.exp(logits).sum(1, keepdims=True) - np.eye(3)[target]
    norm = np.sqrt(((x.T @ wrong / 60) ** 2).sum() + (wrong.mean(0) ** 2).sum())
    assert model.last_gradients() == (pytest.approx(norm, rel=1e-5), None, None)
    line = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert line["running/gradient_norm"] == pytest.approx(norm, rel=1e-5)


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    """Whatever made them so: here it is not a gradient."""
    spoil = At("on_epoch_end", lambda c: c.model.trainable_variables[1].assign([np.nan] * 16), 20)
    with pytest.raises(errors.NonFiniteError, match=r"dense1/bias is not finite at step 20.*10;"):
        fit_in(settings_in(tmp_path), made_pipeline("classification"), [spoil])
    assert checkpoint.steps(tmp_path / "checkpoints") == [10]


def test_validation_that_is_not_finite_ends_the_run_too(tmp_path):
    prepared = made_pipeline("classification")
    validation = prepared.rows["validation"]
    table = {**validation.table, "x": np.full_like(validation.table["x"], np.nan)}
    rows = {**prepared.rows, "validation": validation._replace(table=table)}
    with pytest.raises(errors.NonFiniteError, match=r"val_loss \(nan\) is not finite at step 10"):
        fit_in(settings_in(tmp_path, "linear"), prepared.replace(rows=rows))
    assert not checkpoint.steps(tmp_path / "checkpoints")


def test_float16_skips_steps_of_too_large_a_scale_and_goes_on(tmp_path):
    """A loss scale is raised until it overflows: that is how it works, not a fault of the run."""
    model, _ = fit_in(
        settings_in(tmp_path, precision="float16", optimizer="adamw"),
        made_pipeline("classification"),
        policy="mixed_float16",
        prepare=lambda model: model.optimizer.dynamic_scale.assign(1e30),
    )
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


def rates(folder) -> dict[int, float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    lines = [line for line in lines if "running/learning_rate" in line]
    assert len({line["step"] for line in lines}) == len(lines)
    return {line["step"]: line["running/learning_rate"] for line in lines}


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_going_back_halves_the_rate_and_marks_the_run(tmp_path, caplog):
    """Twice from the same checkpoint, once from a later one; four steps an epoch."""
    settings = tiny_settings(
        "mlp_binary",
        tmp_path,
        recover_tries=3,
        steps_per_execution=1,
        schedule="constant",
        epochs=3,
    )
    report = run.run(settings, callbacks=[poison(6, 7, 10)])
    assert [(r["step"], r["to"]) for r in report["rollbacks"]] == [(6, 4), (7, 4), (10, 8)]
    assert "dense1/kernel" in report["rollbacks"][0]["because"]
    assert "back to step 4, at half the learning rate (2 of 3 tries)" in caplog.text
    found = rates(tmp_path)
    rate = settings.recipe.learning_rate
    expected = {step: rate * {0: 1, 1: 1 / 4, 2: 1 / 8}[(step - 1) // 4] for step in range(1, 13)}
    assert found == pytest.approx(expected)
    assert checkpoint.load(tmp_path / "checkpoints", 12).meta["progress"]["rate_factor"] == 1 / 8
    assert (tmp_path / "report.html").read_text().count("the run went back to step") == 3


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_tries_are_limited_and_a_later_start_may_have_more(tmp_path):
    changes = {"steps_per_execution": 1, "schedule": "constant"}
    with pytest.raises(errors.NonFiniteError, match="the last good checkpoint is step 0"):
        run.run(
            tiny_settings("mlp_binary", tmp_path, recover_tries=1, **changes),
            callbacks=[poison(2, 3)],
        )
    report = run.run(
        tiny_settings("mlp_binary", tmp_path, recover_tries=2, **changes), callbacks=[poison(2)]
    )
    assert len(report["rollbacks"]) == 1  # the earlier process left no trace but the start


def test_bad_number_in_the_data_is_met_again_and_ends_the_run(tmp_path):
    with pytest.raises(errors.NonFiniteError) as caught:
        fit_in(settings_in(tmp_path, recover_tries=2), poisoned(17, np.nan))
    assert caught.value.step == step_of(17)
    assert checkpoint.steps(tmp_path / "checkpoints") == [0]


def test_rate_that_is_too_large_is_halved_until_it_is_not(tmp_path):
    """A linear regression diverges above a rate of 2 over the largest curvature."""
    prepared = made_pipeline("regression", num_rows=600)
    units = {"mean": np.float32(0.0), "std": np.float32(1.0)}
    prepared = prepared.replace(state={"target": units})  # curvature of x^T x alone
    x = prepared.rows["train"].table["x"]
    rate = 6.0 / (2 * np.linalg.eigvalsh(x.T @ x / len(x)).max())
    changes = {"momentum": 0.0, "epochs": 5, "schedule": "constant", "learning_rate": rate}
    settings = settings_in(tmp_path, "linear", recover_tries=5, **changes)
    _, progress = fit_in(settings, prepared)
    assert 1 <= len(progress["rollbacks"]) <= 4
    assert np.isfinite(progress["best"])


def test_weights_that_are_not_finite_from_the_start_have_nothing_to_go_back_to(tmp_path):
    """As those of a file that --init_from names."""

    def spoil(model):
        variable = model.trainable_variables[0]
        variable.assign(np.full(variable.shape, np.nan))

    settings, prepared = settings_in(tmp_path, recover_tries=2), made_pipeline("classification")
    with pytest.raises(errors.NonFiniteError, match="the last good checkpoint is none yet"):
        fit_in(settings, prepared, prepare=spoil)
    assert not checkpoint.steps(tmp_path / "checkpoints")
