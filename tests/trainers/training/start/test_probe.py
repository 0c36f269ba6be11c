"""The last layer fitted on features: its optimum, its penalty, and when it is left out."""

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import zoo
from pipelines.storage import caches
from tests.conftest import fake_pipeline, made_pipeline, tiny_settings
from trainers.devices import strategy
from trainers.errors import UsageError
from trainers.store.run_folder import Run
from trainers.training import compile
from trainers.training.start import probe, sources

RANDOM = np.random.default_rng(0)


def clouds(classes: int, each: int, width: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Positive features, as after a ReLU, about a centre for each class."""
    centres = RANDOM.random((classes, width))
    labels = np.repeat(np.arange(classes), each)
    noise = spread * RANDOM.normal(size=(len(labels), width))
    return np.maximum(centres[labels] + noise, 0).astype(np.float32) * 3, labels


@pytest.mark.parametrize(("each", "width"), [(30, 20), (8, 60)])  # more rows than features; fewer
def test_fitted_is_the_optimum_on_rows_of_length_one(each, width):
    features, labels = clouds(4, each, width, 0.3)
    head = probe.fitted(features, labels, 4)
    length = np.linalg.norm(features, axis=1, keepdims=True)
    rows, kernel = features / length, head.kernel * length.mean()
    scale = np.sqrt(((rows - rows.mean(0)) ** 2).sum(1).mean())
    logits = rows @ kernel + head.bias
    chances = np.exp(logits - logits.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    # The gradient of C x log-loss + |scale x kernel|^2 / 2 is zero, in both of its parts.
    error = chances - np.eye(4)[labels]
    pull = head.strength * (rows - rows.mean(0)).T @ error
    np.testing.assert_allclose(pull, -(scale**2) * kernel, atol=0.02 * np.abs(pull).max())
    np.testing.assert_allclose(error.sum(0), 0, atol=0.05)
    # And close to the optimum that a tight tolerance finds, for all that such features may differ.
    solver = LogisticRegression(C=head.strength, tol=1e-8, max_iter=10_000)
    expected = solver.fit((rows - rows.mean(0)) / scale, labels).predict_proba(
        (rows - rows.mean(0)) / scale
    )
    np.testing.assert_allclose(chances, expected, atol=0.02)
    assert head.kernel.dtype == head.bias.dtype == np.float32


def test_the_penalty_is_strong_where_features_say_nothing():
    features, labels = clouds(3, 40, 30, 0.05)
    weak = probe.fitted(features, labels, 3).strength
    strong = probe.fitted(features, RANDOM.permutation(labels), 3).strength
    assert strong < weak


def test_fitted_of_two_classes_and_of_a_class_without_rows():
    features, labels = clouds(2, 20, 10, 0.1)
    head = probe.fitted(features, 2 * labels, 3)  # classes 0 and 2 of three
    logits = features @ head.kernel + head.bias
    np.testing.assert_array_equal(logits.argmax(1), 2 * labels)
    assert (logits[:, 1] < logits.max(1)).all()
    assert not head.kernel[:, 1].any()


def built(folder, monkeypatch, **changes) -> tuple[keras.Model, Run]:
    monkeypatch.setattr(caches, "folder", lambda beside: folder)
    settings = tiny_settings("mobilenet_v2", folder / "run", batch_size=16, **changes)
    prepared = fake_pipeline("cifar10")
    model = compile.compiled(settings, prepared, strategy.choose(1), "mixed_bfloat16")
    return model, Run(folder, "7", settings, prepared, {})


def test_the_last_layer_is_fitted_on_features_that_are_kept(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "pipelines")
    caplog.set_level("INFO", "trainers")
    model, run = built(tmp_path, monkeypatch, init_from=("none", "probe"))
    before = {v.path: v.numpy() for v in model.weights}
    sources.initialise(model, run)
    after = {v.path: v.numpy() for v in model.weights}
    changed = {path for path, value in after.items() if not np.array_equal(value, before[path])}
    assert changed == {"logits/kernel", "logits/bias"}
    rows = run.prepared.rows["train"].table
    raw = {"image": rows["image"]}
    network = keras.Model(model.input, model.get_layer("pool").output)
    features = network(run.prepared.preprocess(raw), training=False).numpy().astype(np.float32)
    kept, labels = probe.features_of(model, run.settings, run.prepared, np.arange(70))
    # The run trains in bfloat16; features are computed in float32.
    np.testing.assert_allclose(kept, features, rtol=0.1, atol=0.02 * features.max())
    np.testing.assert_array_equal(labels, rows["label"])
    assert "logits fitted on the features of 70 rows, C=" in caplog.text
    assert "frozen as they were drawn at random: stem_conv/kernel, " in caplog.text

    monkeypatch.setattr(probe, "_computed", lambda *a: pytest.fail("computed again"))
    again, _ = built(tmp_path, monkeypatch, init_from=("none", "probe"))
    sources.initialise(again, run)
    for path, value in after.items():
        np.testing.assert_array_equal({v.path: v.numpy() for v in again.weights}[path], value)
    assert "features as computed before" in caplog.text


def test_it_is_left_out_where_the_last_layer_has_weights_or_the_task_is_another(
    tmp_path, monkeypatch
):
    model, run = built(tmp_path, monkeypatch)
    monkeypatch.setattr(probe, "features_of", lambda *a: pytest.fail("computed"))
    unset = {v.path: v for v in model.weights if v.path != "logits/bias"}
    assert probe.matched(model, unset, run).values == {}
    other = run._replace(prepared=made_pipeline("regression"))
    [line] = probe.matched(model, unset, other).lines
    assert "task regression has no output for each class" in line
    one = np.ones((3, 8), np.float32), np.zeros(3, np.int64)
    monkeypatch.setattr(probe, "features_of", lambda *a: one)
    new = {v.path: v for v in model.weights}
    assert "all training rows are of one class" in probe.matched(model, new, run).lines[0]


def test_a_model_without_a_linear_layer_on_its_features_is_refused(tmp_path, monkeypatch):
    model, run = built(tmp_path, monkeypatch)
    unset = {v.path: v for v in model.weights}
    entry = zoo.get("mobilenet_v2")._replace(features="rescale")
    monkeypatch.setattr(probe.zoo, "get", lambda name: entry)
    with pytest.raises(UsageError, match="mobilenet_v2 has no linear layer with a bias"):
        probe.matched(model, unset, run)
