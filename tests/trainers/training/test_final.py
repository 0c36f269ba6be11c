"""Which weights a run keeps at its end."""

import shutil

import keras
import numpy as np
import pytest

from tests.conftest import fake_pipeline, tiny_settings
from trainers.devices import strategy
from trainers.errors import ArtefactError
from trainers.store import arrays, checkpoint, files
from trainers.store.checkpoint import Checkpoint
from trainers.store.run_folder import Run
from trainers.training import compile, final
from trainers.training.callbacks.averages import averages


def saved_run(folder, *, ema: float = 0.0, keep: str = "") -> tuple:
    """A model, its run, and checkpoints of steps 4 and 8 whose weights are all 4 and all 8."""
    settings = tiny_settings("mlp_binary", folder, ema=ema, keep=keep)
    prepared = fake_pipeline("breast_cancer")
    model = compile.compiled(settings, prepared, strategy.choose(1), "float32")
    checkpoint.begin(folder / "checkpoints")
    variables = checkpoint.variables_of(model)
    for step in (4, 8):
        state = {key: np.full(v.shape, step, v.numpy().dtype) for key, v in variables.items()}
        for _, average in averages(model).values():
            state[f"optimizer/{average.path}"] = np.full(average.shape, step + 0.5, np.float32)
        checkpoint.save(folder / "checkpoints", Checkpoint(step, state, {"run": "1"}), best_step=4)
    return model, Run(folder, "1", settings, prepared, {})


@pytest.mark.parametrize(("keep", "kept", "other"), [("last", 8, "best"), ("best", 4, "last")])
def test_save_weights_keeps_those_of_both_steps(keep, kept, other, tmp_path):
    model, run = saved_run(tmp_path, keep=keep)
    steps, weights, fingerprints = final.save_weights(model, run, {"best_step": 4})
    assert steps == {"last": 8, "best": 4}
    assert weights.keys() == {variable.path for variable in model.weights}
    assert all((value == kept).all() for value in weights.values())
    stored = arrays.read(tmp_path / "weights.npz")
    assert all((stored[path] == value).all() for path, value in weights.items())
    beside = arrays.read(tmp_path / f"weights-{other}.npz")
    assert fingerprints == {keep: files.fingerprint(stored), other: files.fingerprint(beside)}
    assert all((value == 12 - kept).all() for value in beside.values())


@pytest.mark.parametrize("best", [8, None])
def test_save_weights_needs_one_file_where_the_last_step_is_the_best(best, tmp_path):
    model, run = saved_run(tmp_path)
    (tmp_path / "weights-best.npz").touch()  # of fewer epochs
    steps, weights, fingerprints = final.save_weights(model, run, {"best_step": best})
    assert steps == {"last": 8, "best": 8}
    assert set(fingerprints.values()) == {files.fingerprint(weights)}
    assert not (tmp_path / "weights-best.npz").exists()


def test_save_weights_keeps_averages_where_the_run_averages(tmp_path):
    model, run = saved_run(tmp_path, ema=0.9)
    _, weights, _ = final.save_weights(model, run, {"best_step": 4})
    trained = {variable.path for variable in model.trainable_variables}
    assert trained
    for path, value in weights.items():
        assert (value == (8.5 if path in trained else 8)).all(), path


def test_save_weights_takes_no_checkpoint_of_another_run(tmp_path):
    model, run = saved_run(tmp_path)
    folder = tmp_path / "checkpoints"
    best, last = (checkpoint.load(folder, step) for step in (4, 8))
    shutil.rmtree(folder)
    checkpoint.begin(folder)
    checkpoint.save(folder, best._replace(meta={"run": "2"}), best_step=4)  # no start reads it
    checkpoint.save(folder, last._replace(meta={"run": "1"}), best_step=4)
    with pytest.raises(ArtefactError, match=r"step 4 in .* is of another run"):
        final.save_weights(model, run, {"best_step": 4})


def test_save_weights_of_a_folder_that_was_removed(tmp_path):
    run = Run(tmp_path / "gone", "1", tiny_settings("mlp_binary", tmp_path), None, {})
    with pytest.raises(FileNotFoundError, match="was removed while"):
        final.save_weights(keras.Model(), run, {"best_step": 4})
