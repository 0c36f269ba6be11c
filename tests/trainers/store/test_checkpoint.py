"""Checkpoints: whole or absent, and refused where they do not fit."""

import json
import os

import keras
import ml_dtypes
import numpy as np
import pytest

from trainers.errors import ArtefactError
from trainers.store import arrays as array_file
from trainers.store import checkpoint
from trainers.store.checkpoint import Checkpoint


def make(step: int) -> Checkpoint:
    random = np.random.default_rng(step)
    arrays = {
        "model/dense/kernel": random.normal(size=(3, 2)).astype(np.float32),
        "model/half/kernel": random.normal(size=(4,)).astype(ml_dtypes.bfloat16),
        "optimizer/iteration": np.array(step),
    }
    return Checkpoint(step, arrays, {"progress": {"best": 0.5}})


def save(folder, *steps, best_step=None):
    checkpoint.begin(folder)
    for step in steps:
        checkpoint.save(folder, make(step), best_step=best_step)


def test_what_was_saved_comes_back_to_the_bit(tmp_path):
    save(tmp_path, 12)
    again = checkpoint.load(tmp_path, 12)
    for key, array in make(12).arrays.items():
        assert again.arrays[key].dtype == array.dtype
        assert again.arrays[key].tobytes() == array.tobytes()
    assert again.meta["progress"] == {"best": 0.5}


def test_the_same_state_makes_the_same_file(tmp_path):
    save(tmp_path / "a", 3)
    save(tmp_path / "b", 3)
    files = [tmp_path / place / "step-00000003" / "state.npz" for place in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_last_two_and_the_best_are_kept(tmp_path):
    save(tmp_path, 10, 20, 30, 40, 50, best_step=20)
    assert checkpoint.steps(tmp_path) == [20, 40, 50]
    assert sorted(os.listdir(tmp_path)) == ["step-00000020", "step-00000040", "step-00000050"]


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda place: flip(place / "state.npz"),
        lambda place: (place / "state.npz").write_bytes((place / "state.npz").read_bytes()[:100]),
        lambda place: (place / "state.npz").unlink(),
        lambda place: (place / "meta.json").unlink(),
        lambda place: (place / "meta.json").write_text(""),
        lambda place: (place / "meta.json").write_text("{}"),
        lambda place: (place / "meta.json").write_text("[1]"),
        lambda place: (place / "meta.json").write_text(
            (place / "meta.json").read_text().replace("0.5", "0.7")
        ),
        lambda place: array_file.write(
            place / "state.npz", {k: checkpoint._plain(a) for k, a in make(9).arrays.items()}
        ),
    ],
    ids=[
        *("flipped", "cut", "no state", "no meta", "empty meta", "other meta", "list meta"),
        *("flipped meta", "the state of another"),
    ],
)
def test_a_damaged_newest_one_is_passed_over_and_said(tmp_path, damage, capsys):
    save(tmp_path, 1, 2)
    damage(tmp_path / "step-00000002")
    assert checkpoint.load_newest(tmp_path).step == 1
    assert "step-00000002 is damaged" in capsys.readouterr().err
    damage(tmp_path / "step-00000001")
    with pytest.raises(ArtefactError, match="all 2 checkpoints"):
        checkpoint.load_newest(tmp_path)


def test_none_at_all_is_no_error(tmp_path):
    assert checkpoint.load_newest(tmp_path / "nothing") is None


@pytest.mark.parametrize("function", ["fsync", "rename"])
def test_a_failing_disk_leaves_the_earlier_ones(tmp_path, monkeypatch, function):
    save(tmp_path, 1)

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path, 2)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["step-00000001"]
    assert checkpoint.load_newest(tmp_path).step == 1


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """So that a power cut leaves all of it or nothing of that name."""
    checkpoint.begin(tmp_path)
    fsync, rename, done = os.fsync, os.rename, []

    def synced(handle):
        done.append(os.path.basename(os.readlink(f"/proc/self/fd/{handle}")))
        fsync(handle)

    def renamed(old, new):
        done.append("renamed")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    checkpoint.save(tmp_path, make(1), best_step=None)
    folder = f".writing-{os.getpid()}"
    assert done == ["state.npz", "meta.json", folder, "renamed", tmp_path.name]


def test_no_pickle_is_read(tmp_path):
    save(tmp_path, 1)
    place = tmp_path / "step-00000001"
    with open(place / "state.npz", "wb") as file:
        np.savez(file, evil=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    meta = json.loads((place / "meta.json").read_text())
    meta |= {"sha256": checkpoint.sha256(place / "state.npz"), "dtypes": {"evil": "float32"}}
    del meta["meta_sha256"]
    meta["meta_sha256"] = checkpoint._digest(meta)
    (place / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(ArtefactError, match="Python objects"):
        checkpoint.load(tmp_path, 1)


def small_model(units: int) -> keras.Model:
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(units, name="dense")(inputs))
    model.compile(keras.optimizers.Adam(name="adam"), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def test_restore_wants_exactly_the_same_names_and_shapes():
    variables = checkpoint.variables_of(small_model(2))
    arrays = {key: np.full(v.shape, 7, v.numpy().dtype) for key, v in variables.items()}
    checkpoint.restore(variables, arrays)
    assert all((variable.numpy() == 7).all() for variable in variables.values())
    for change in (
        {"model/dense/kernel": np.zeros((3, 4), np.float32)},
        {"model/dense/kernel": np.zeros((3, 2), np.float64)},
        {"model/extra/kernel": np.zeros(1, np.float32)},
    ):
        with pytest.raises(ArtefactError, match=next(iter(change))):
            checkpoint.restore(variables, arrays | change)
    some = dict(arrays)
    del some["optimizer/iteration" if "optimizer/iteration" in some else sorted(some)[-1]]
    with pytest.raises(ArtefactError, match="missing"):
        checkpoint.restore(variables, some)
    assert (variables["model/dense/kernel"].numpy() == 7).all()  # nothing was half restored


def test_layers_that_share_a_path_are_refused():
    inputs = keras.Input((3,))
    first = keras.layers.Dense(3, name="dense")
    second = keras.layers.Dense(3, name="other")
    model = keras.Model(inputs, second(first(inputs)))
    for a, b in zip(first.variables, second.variables, strict=True):
        b._path = a.path
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="name the layers"):
        checkpoint.variables_of(model)
