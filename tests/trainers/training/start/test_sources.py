"""The order of the sources of initial weights, and what a checkpoint comes before."""

import types

import numpy as np
import pytest

from tests.conftest import fake_pipeline, tiny_settings
from trainers.config import checks
from trainers.devices import strategy
from trainers.errors import ArtefactError, UsageError
from trainers.store import checkpoint
from trainers.store.checkpoint import Checkpoint
from trainers.store.run_folder import Run
from trainers.tasks import registry
from trainers.training import compile
from trainers.training.start import sources


def built(name: str, data: str, folder, **changes) -> tuple:
    settings = tiny_settings(name, folder, **changes)
    model = compile.compiled(settings, fake_pipeline(data), strategy.choose(1), "float32")
    return model, Run(folder, "7", settings, fake_pipeline(data), {})


@pytest.mark.parametrize(
    ("model", "listed", "expected"),
    [
        ("mlp_binary", (), []),
        ("speed_cnn", (), ["statistics"]),
        ("speed_cnn", ("a.keras",), ["a.keras", "statistics"]),
        ("speed_cnn", ("none",), []),
        ("speed_cnn", ("a.keras", "none"), ["a.keras"]),
        ("speed_cnn", ("statistics", "a.keras"), ["statistics", "a.keras"]),
    ],
)
def test_sources_are_those_listed_then_the_models_own(
    model, listed, expected, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.keras").touch()
    assert sources.sources(tiny_settings(model, tmp_path, init_from=listed)) == expected


def test_statistics_of_a_model_that_takes_none_are_refused(tmp_path):
    with pytest.raises(UsageError, match="mlp_binary takes none of its data"):
        sources.sources(tiny_settings("mlp_binary", tmp_path, init_from=("statistics",)))


def test_initialise_leaves_what_an_earlier_source_has_set(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "trainers")
    (tmp_path / "a.keras").touch()
    source = str(tmp_path / "a.keras")
    model, run = built(
        "speed_cnn", "cifar10", tmp_path / "run", init_from=(source,), init_new=("whiten/bias",)
    )
    given = {v.path: np.full(v.shape, 0.5, np.float32) for v in model.weights}
    del given["whiten/bias"]
    monkeypatch.setattr(sources, "_read", lambda source, run: given)
    sources.initialise(model, run)
    values = {v.path: v.numpy() for v in model.weights}
    for path, value in given.items():
        np.testing.assert_array_equal(values[path], value)
    assert np.abs(values["whiten/bias"]).max() > 0  # from the statistics of the rows
    assert "new: whiten/bias" in caplog.text
    assert "initial weights from statistics: sets whiten/bias" in caplog.text


def test_patches_of_another_size_of_image_take_resampled_positions(tmp_path, monkeypatch, caplog):
    """The source saw images twice as large."""
    caplog.set_level("INFO", "trainers")
    (tmp_path / "a.keras").touch()
    source = str(tmp_path / "a.keras")
    model, run = built("vit_mini4", "cifar10", tmp_path / "run", init_from=(source,))
    given = {v.path: np.full(v.shape, 0.5, np.float32) for v in model.weights}
    [path] = [path for path in given if "position" in path]
    assert given[path].shape == (4, 8)  # patches of 16 pixels
    given[path] = np.tile(np.repeat([1.0, 3.0], 2)[:, None, None], (1, 4, 8)).reshape(16, 8)
    given["logits/kernel"] = np.zeros((8, 1000), np.float32)
    monkeypatch.setattr(sources, "_read", lambda source, run: given)
    sources.initialise(model, run)
    values = {v.path: v.numpy() for v in model.weights}
    assert f"{path} resampled from 4x4 to 2x2 patches" in caplog.text
    assert "new: logits/kernel" in caplog.text
    # Columns are alike, the two rows as far from the mean on either side.
    np.testing.assert_allclose(values[path][[0, 2]], values[path][[1, 3]], atol=1e-6)
    np.testing.assert_allclose(values[path][0] + values[path][2], 4.0, atol=1e-5)
    assert (values[path][0] < 1.3).all()


def test_weights_that_a_task_makes_itself_begin_anew(tmp_path, monkeypatch, caplog):
    """No source of features has the projections of contrastive learning."""
    caplog.set_level("INFO", "trainers")
    (tmp_path / "a.keras").touch()
    options, data = {"width": 6}, fake_pipeline("cifar10")
    pipeline, schema = registry.over("contrastive", data.pipeline, data.schema, options)
    prepared = data.replace(pipeline=pipeline, schema=schema)
    changes = {"task": "contrastive", "task_options": options}
    source = str(tmp_path / "a.keras")
    settings = tiny_settings("cifar_cnn", tmp_path / "run", init_from=(source,), **changes)
    model = compile.compiled(settings, prepared, strategy.choose(1), "float32")
    made = [v.path for v in model.weights if v.path.startswith("projection")]
    assert len(made) == 4
    given = {v.path: np.full(v.shape, 0.5, np.float32) for v in model.weights}
    given = {path: value for path, value in given.items() if path not in made}
    given["logits/kernel"] = np.zeros((8, 10), np.float32)
    monkeypatch.setattr(sources, "_read", lambda source, run: given)
    sources.initialise(model, Run(tmp_path / "run", "7", settings, prepared, {}))
    assert f"new: {', '.join(made)}" in caplog.text
    for variable in model.weights:
        assert (variable.numpy() == 0.5).all() == (variable.path not in made)


def test_start_prefers_the_newest_checkpoint(tmp_path, monkeypatch):
    model, run = built("mlp_binary", "breast_cancer", tmp_path)
    first = sources.start(model, run)
    assert (first.step, first.arrays) == (0, {})
    assert first.meta["run"] == "7"
    variables = checkpoint.variables_of(model)
    state = {key: np.full(v.shape, 3, v.numpy().dtype) for key, v in variables.items()}
    checkpoint.begin(tmp_path / "checkpoints")
    earlier = {key: value for key, value in first.meta.items() if key != "order"}
    checkpoint.save(tmp_path / "checkpoints", Checkpoint(5, state, earlier), best_step=None)
    monkeypatch.setattr(sources, "initialise", lambda *a: pytest.fail("began anew"))
    begin = sources.start(model, run)
    assert begin.step == 5
    assert begin.meta["order"] == 1  # which the first version did not write
    assert begin.arrays
    assert all(key.startswith("metrics/") for key in begin.arrays)
    assert all((v.numpy() == 3).all() for v in model.weights)


@pytest.mark.parametrize(
    ("meta", "message"),
    [({"run": "8", "order": 1}, "of another run"), ({"run": "7", "order": 2}, "orders so many")],
)
def test_start_refuses_another_run_and_another_order(meta, message, tmp_path):
    model, run = built("mlp_binary", "breast_cancer", tmp_path)
    checkpoint.begin(tmp_path / "checkpoints")
    checkpoint.save(tmp_path / "checkpoints", Checkpoint(5, {}, meta), best_step=None)
    with pytest.raises(ArtefactError, match=message):
        sources.start(model, run)


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ((), ["packaged", "probe"]),
        (("probe",), ["packaged", "probe"]),
        (("a.keras", "probe"), ["a.keras", "probe"]),
        (("probe", "none"), ["probe"]),
    ],
)
def test_a_probe_comes_after_the_weights_whose_features_it_reads(listed, expected):
    settings = types.SimpleNamespace(model="efficientnet_lite0", init_from=listed)
    assert checks.start_sources(settings) == expected
