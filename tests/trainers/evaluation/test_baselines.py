"""Baselines: solved, or in run folders of their own, and a constant; a failed one loses no run."""

import numpy as np
import pytest

from tests.conftest import fake_pipeline, made_pipeline
from trainers.config.settings import resolve
from trainers.errors import InterruptedRunError
from trainers.evaluation import baselines, solved, statistics
from trainers.store import checkpoint
from trainers.tasks import registry
from trainers.training.callbacks.saver import Saver
from trainers.training.compile import build
from trainers.training.run import fitted
from zoo.spec import Field


def settings(**changes):
    return resolve("mlp_binary", {"report_baseline": True, **changes})


def constant_weights(small, prepared, folder):
    """Stands for a fit: all weights are 0 under the smaller rate, and 0.5 under the larger."""
    value = 0.0 if small.recipe.learning_rate < 0.005 else 0.5
    model = build(small, prepared, "float32")
    return {v.path: np.full(v.shape, value, np.float32) for v in model.weights}


@pytest.fixture(name="_never_solved")
def _trains_every_baseline(monkeypatch):
    """As of images, which have too many numbers to be solved."""
    monkeypatch.setattr(solved, "_FEATURES", 0)


@pytest.mark.parametrize(
    ("task", "metric", "least"),
    [
        ("classification", "accuracy", 0.9),
        pytest.param("binary", "auc", 0.99, marks=pytest.mark.slow),
        pytest.param("regression", "r2", 0.99, marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("_never_solved")
def test_the_linear_model_learns_what_is_linear(task, metric, least, tmp_path, monkeypatch):
    monkeypatch.setattr(baselines, "_EPOCHS", 15)  # of 50 steps
    prepared = made_pipeline(task, num_rows=400)  # whose targets are linear in x
    found = baselines.baselines(settings(), prepared, tmp_path, fitted)
    assert found.missing == ""
    linear, constant = found.answers
    target = prepared.rows["test"].table["label"]
    measured = statistics.metrics(registry.get(task).statistics(linear.outputs["test"], target))
    assert measured[metric] > least
    assert constant.key == "constant"
    for name in ("linear-0.01", "linear-0.001"):
        folder = tmp_path / "baselines" / name
        assert (folder / "run.json").exists()
        assert not (folder / "export").exists()
        assert not (folder / "report.json").exists()
        assert not (folder / "baselines").exists()
    # Asked once more, nothing is trained again and the answers are the same.
    again = baselines.baselines(settings(), prepared, tmp_path, fitted).answers[0]
    np.testing.assert_array_equal(again.outputs["test"]["logits"], linear.outputs["test"]["logits"])


@pytest.mark.parametrize(
    ("task", "metric", "least"),
    [
        ("classification", "accuracy", 0.97),
        ("binary", "auc", 0.999),
        ("multi_label", "accuracy", 0.97),
        ("regression", "r2", 0.999),
    ],
)
def test_the_linear_model_of_a_table_is_solved(task, metric, least, tmp_path):
    prepared = made_pipeline(task, num_rows=400)
    found = baselines.baselines(settings(), prepared, tmp_path, None)  # nothing is trained
    linear, _ = found.answers
    target = prepared.rows["test"].table["label"]
    measured = statistics.metrics(registry.get(task).statistics(linear.outputs["test"], target))
    assert measured[metric] > least
    assert not (tmp_path / "baselines").exists()


@pytest.mark.usefixtures("_never_solved")
def test_the_recipe_with_the_lower_validation_loss_is_kept(tmp_path):
    prepared = made_pipeline("regression")
    found = baselines.baselines(settings(), prepared, tmp_path, constant_weights).answers[0]
    state, table = prepared.state["target"], prepared.rows["validation"].table
    by_hand = {
        weight: state["mean"] + state["std"] * weight * (table["x"].sum(axis=1) + 1)
        for weight in (0.0, 0.5)
    }
    best = min(by_hand.values(), key=lambda value: np.mean((value - table["label"]) ** 2))
    np.testing.assert_allclose(found.outputs["validation"]["logits"][:, 0], best, rtol=1e-6)
    assert not np.allclose(by_hand[0.0], by_hand[0.5])


@pytest.mark.parametrize(
    ("num_rows", "batch_size", "epochs"),
    [(60, 8, 60), (400, 8, 60), (13_500, 128, 28), (45_000, 128, 8)],
)
def test_the_small_recipe_takes_some_thousand_steps(num_rows, batch_size, epochs, tmp_path):
    prepared = made_pipeline("binary")
    rows = prepared.rows["train"]._replace(num_rows=num_rows)
    prepared = prepared.replace(rows={**prepared.rows, "train": rows})
    [baseline] = registry.get("binary").baselines
    small = baselines.small_settings(baseline, "linear-0.01", settings(seed=7), prepared, tmp_path)
    assert (small.recipe.batch_size, small.recipe.epochs) == (batch_size, epochs)
    assert small.recipe.learning_rate == 0.01
    assert small.recipe.seed == 7
    assert small.keep == "best"
    assert small.run_dir == tmp_path / "baselines" / "linear-0.01"


def test_a_baseline_gets_no_augmentation_and_not_too_many_rows(monkeypatch):
    monkeypatch.setattr(baselines, "_STEPS", 4)
    monkeypatch.setattr(baselines, "_LARGEST_BATCH", 5)
    prepared = made_pipeline("binary").replace(
        augment=lambda raw, target, keys: (raw, target), mix=lambda *arguments: arguments[:2]
    )
    [baseline] = registry.get("binary").baselines
    own = baselines._prepared_for(baseline, prepared)
    assert own.pipeline.augment is own.pipeline.mix is None
    kept = own.rows["train"]
    expected = np.linspace(0, 59, 20).astype(np.int64)
    np.testing.assert_array_equal(kept.table["x"], prepared.rows["train"].table["x"][expected])
    assert kept.num_rows == 20
    assert own.rows["test"] is prepared.rows["test"]


def test_texts_get_the_model_of_ngrams_by_its_own_recipe(tmp_path):
    prepared = fake_pipeline("imdb")
    [baseline] = registry.get("binary").baselines
    suited = baselines.suited(baseline, prepared)
    assert (suited.key, suited.model) == ("text_ngram", "text_ngram")
    assert baselines.suited(baseline, made_pipeline("binary")) is baseline
    asked = resolve("transformer_encoder", {"seed": 7, "pipeline_options": {"ngrams": "both"}})
    small = baselines.small_settings(suited, "text_ngram", asked, prepared, tmp_path)
    assert small.recipe == resolve("text_ngram", {"seed": 7, "batch_size": 16}).recipe  # 70 rows
    assert small.pipeline_options == {"ngrams": "both"}
    found = baselines.baselines(asked, prepared, tmp_path, fitted)
    assert [one.key for one in found.answers] == ["text_ngram", "constant"]
    assert found.missing == ""


def test_many_texts_get_larger_batches_of_ngrams():
    prepared = fake_pipeline("imdb")
    [baseline] = registry.get("binary").baselines
    for num_rows, batch_size in ((2000, 64), (128_000, 256), (128_001, 512), (384_000, 1024)):
        rows = prepared.rows["train"]._replace(num_rows=num_rows)
        many = prepared.replace(rows={**prepared.rows, "train": rows})
        recipe = baselines.suited(baseline, many).recipes["text_ngram"]
        assert recipe["batch_size"] == batch_size


def test_what_has_no_linear_model_is_left_out_with_the_reason(tmp_path, caplog):
    prepared = made_pipeline("binary", field=Field((2,), "int64"))
    found = baselines.baselines(settings(), prepared, tmp_path, fitted)
    assert [one.key for one in found.answers] == ["constant"]
    assert "linear takes" in found.missing
    assert "no linear model beside the model" in caplog.text


@pytest.mark.parametrize(
    ("model", "changes", "reason"),
    [
        ("linear", {}, "the model is the linear model itself"),
        ("mlp_binary", {"report_baseline": False}, "--report_baseline=false"),
    ],
)
def test_no_baseline_is_trained_where_none_is_wanted(model, changes, reason, tmp_path):
    asked = resolve(model, changes)
    found = baselines.baselines(asked, made_pipeline("binary"), tmp_path, None)
    assert (found.missing, [one.key for one in found.answers]) == (reason, ["constant"])


@pytest.mark.usefixtures("_never_solved")
def test_an_interruption_ends_the_run(tmp_path):
    def interrupted(*arguments):
        raise InterruptedRunError("saved at step 3", 143)

    with pytest.raises(InterruptedRunError):
        baselines.baselines(settings(), made_pipeline("binary"), tmp_path, interrupted)


class Death(BaseException):
    """Stands for the end of the process."""


@pytest.mark.usefixtures("_never_solved")
def test_a_baseline_that_died_is_continued_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(baselines, "_EPOCHS", 3)
    prepared, save = made_pipeline("binary"), Saver.on_epoch_end

    def dying(self, epoch, logs=None):
        save(self, epoch, logs)
        if epoch == 1:
            raise Death

    monkeypatch.setattr(Saver, "on_epoch_end", dying)
    with pytest.raises(Death):
        baselines.baselines(settings(), prepared, tmp_path / "died", fitted)
    monkeypatch.setattr(Saver, "on_epoch_end", save)
    begun = checkpoint.steps(tmp_path / "died" / "baselines" / "linear-0.01" / "checkpoints")
    assert begun[-1] == 2 * (60 // 8)
    resumed = baselines.baselines(settings(), prepared, tmp_path / "died", fitted).answers[0]
    whole = baselines.baselines(settings(), prepared, tmp_path / "whole", fitted).answers[0]
    for split in ("validation", "test"):
        np.testing.assert_array_equal(
            resumed.outputs[split]["logits"], whole.outputs[split]["logits"]
        )


def test_targets_of_rows_on_disk_are_a_spaced_sample():
    column = np.arange(12_000, dtype=np.float32)
    rows = (
        made_pipeline("regression")
        .rows["train"]
        ._replace(num_rows=12_000, table=None, read=lambda index: {"label": column[index]})
    )
    found = baselines.targets(rows)
    np.testing.assert_array_equal(found, np.linspace(0, 11_999, 5000).astype(np.int64))


def test_described_is_what_the_report_says():
    one = baselines.Answers("constant", "training mean", "predicts the mean", {})
    found = baselines.Baselines([one], "none")
    assert found.described() == {
        "constant": {"name": "training mean", "meaning": "predicts the mean"}
    }
