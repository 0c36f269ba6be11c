"""A stranger's way is one file: listed, refused and called at every hook."""

import importlib
import json

import numpy as np
import pytest

import trainers.ways
from tests.conftest import tiny_settings
from trainers.errors import UsageError
from trainers.store import arrays
from trainers.training import run
from trainers.ways import registry

EVERY_HOOK = '''
"""Does a little of everything."""

import keras
import numpy as np

from pipelines.core.plan import training_plan
from trainers.ways.way import Way

OPTIONS = {"limit": 0.25, "name": "x"}
LIMITS = {"limit": (0.0, None)}
CALLS = []


def way(*, limit: float, name: str) -> Way:
    """Limits weights, which are rounded in the end; half of the steps an epoch."""

    def gradients(model, inner, batch):
        CALLS.append("gradients")
        gradients, outputs = inner(batch)
        return [2.0 * gradient for gradient in gradients], outputs

    def plan(prepared, *, batch_size, seed):
        CALLS.append("plan")
        whole = training_plan(prepared.rows["train"].num_rows, batch_size=batch_size, seed=seed)
        return whole._replace(steps=whole.steps // 2)

    def transform(model):
        CALLS.append("transform")
        layer = keras.layers.Dense(model.output.shape[-1], name="strange", dtype="float32")
        return keras.Model(model.input, layer(model.output), name=model.name)

    def after_update(variables):
        CALLS.append("after_update")
        for variable in variables:
            variable.assign(keras.ops.clip(variable, -limit, limit))

    def finish(weights):
        CALLS.append("finish")
        return {path: np.round(array, 2) for path, array in weights.items()}

    def check(model):
        CALLS.append("check")
        model.get_layer("strange")

    return Way(
        gradients=gradients,
        plan=plan,
        transform=transform,
        after_update=after_update,
        finish=finish,
        check=check,
        facts={"limit": limit},
    )
'''
WHOLE_STEP = '''
"""Takes no step at all: it measures."""

from trainers.ways.way import Way

OPTIONS = {}


def way() -> Way:
    """The metrics of the batch under the weights as they are."""
    return Way(step=lambda model, batch: model.measure(batch, model(batch[0], training=False)))
'''


@pytest.fixture
def _strangers(tmp_path, monkeypatch):
    """Three files in a second folder of the package."""
    folder = tmp_path / "strangers"
    folder.mkdir()
    (folder / "strange.py").write_text(EVERY_HOOK)
    (folder / "still.py").write_text(WHOLE_STEP)
    (folder / "still2.py").write_text(WHOLE_STEP)
    monkeypatch.setattr(trainers.ways, "__path__", [*trainers.ways.__path__, str(folder)])
    registry.listing.cache_clear()
    yield
    registry.listing.cache_clear()


@pytest.mark.usefixtures("_strangers")
def test_stranger_is_listed_with_its_options():
    assert {"accumulate", "still", "strange"} <= set(registry.names())
    listing = registry.describe("strange")
    assert listing.summary == "Does a little of everything."
    assert listing.options == {"limit": 0.25, "name": "x"}
    chosen = registry.options_of(("strange", "accumulate"), {"strange.limit": 0.5})
    assert chosen == {"strange": {"limit": 0.5, "name": "x"}, "accumulate": {"steps": 4}}
    assert list(chosen) == ["strange", "accumulate"]


@pytest.mark.usefixtures("_strangers", "_fake_data", "_unchecked_export")
def test_every_hook_of_a_stranger_is_called_in_a_run(tmp_path):
    options = {"way": ("strange", "accumulate"), "way_options": {"strange.limit": 0.125}}
    settings = tiny_settings("mlp_binary", tmp_path / "run", **options)
    report = run.run(settings)
    calls = set(importlib.import_module("trainers.ways.strange").CALLS)
    hooks = {"gradients", "plan", "transform", "after_update", "finish", "check"}
    assert calls == hooks
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["ways"] == {"strange": {"limit": 0.125}, "accumulate": {}}
    weights = arrays.read(tmp_path / "run" / "weights.npz")
    assert "strange/kernel" in weights
    assert max(np.abs(array).max() for array in weights.values()) <= 0.13
    assert all((array == np.round(array, 2)).all() for array in weights.values())
    assert report["steps"]["last"] == 2 * (70 // 16 // 2)  # two epochs of the way's own plan


@pytest.mark.usefixtures("_strangers", "_fake_data", "_unchecked_export")
def test_whole_step_of_a_stranger_takes_the_place_of_ours(tmp_path):
    run.run(tiny_settings("mlp_binary", tmp_path / "run", way=("still",), epochs=1))
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line) for line in lines]
    assert any("epoch/loss" in line for line in losses)
    still = arrays.read(tmp_path / "run" / "weights.npz")
    assert not still["dense1/bias"].any()  # as it was initialised


@pytest.mark.usefixtures("_strangers")
def test_two_steps_or_a_step_over_gradients_are_refused():
    with pytest.raises(UsageError, match="still and still2 each bring a step"):
        registry.get(("still", "still2"), {})
    with pytest.raises(UsageError, match=r"still takes the whole step .* accumulate"):
        registry.get(("accumulate", "still"), {})


def test_unknown_way_lists_the_nearest():
    with pytest.raises(ValueError, match="unknown way 'acumulate'; nearest: accumulate"):
        registry.describe("acumulate")
