"""Checkpoints: whole or absent, and refused where they do not fit."""

import json
import os

import keras
import ml_dtypes
import numpy as np
import pytest

from trainers.errors import ArtefactError
from trainers.store import arrays as array_file
from trainers.store import checkpoint, files
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


def test_save_and_load_keep_every_bit(tmp_path):
    save(tmp_path, 12)
    again = checkpoint.load(tmp_path, 12)
    for key, array in make(12).arrays.items():
        assert again.arrays[key].dtype == array.dtype
        assert again.arrays[key].tobytes() == array.tobytes()
    assert again.meta["progress"] == {"best": 0.5}


def test_save_writes_the_same_file_for_the_same_state(tmp_path):
    save(tmp_path / "a", 3)
    save(tmp_path / "b", 3)
    one, two = (tmp_path / name / "step-00000003" / "state.npz" for name in "ab")
    assert one.read_bytes() == two.read_bytes()


def test_save_keeps_the_last_two_and_the_best(tmp_path):
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
        lambda path: flip(path / "state.npz"),
        lambda path: (path / "state.npz").write_bytes((path / "state.npz").read_bytes()[:100]),
        lambda path: (path / "state.npz").unlink(),
        lambda path: (path / "meta.json").unlink(),
        lambda path: (path / "meta.json").write_text(""),
        lambda path: (path / "meta.json").write_text("{}"),
        lambda path: (path / "meta.json").write_text("[1]"),
        lambda path: (path / "meta.json").write_text(
            (path / "meta.json").read_text().replace("0.5", "0.7")
        ),
        lambda path: array_file.write(
            path / "state.npz", {k: checkpoint._plain(a) for k, a in make(9).arrays.items()}
        ),
    ],
    ids=[
        *("flipped", "cut", "no state", "no meta", "empty meta", "other meta", "list meta"),
        *("flipped meta", "the state of another"),
    ],
)
def test_load_newest_skips_a_damaged_one_with_a_warning(tmp_path, damage, caplog):
    save(tmp_path, 1, 2)
    damage(tmp_path / "step-00000002")
    assert checkpoint.load_newest(tmp_path).step == 1
    assert "step-00000002 is damaged" in caplog.text
    damage(tmp_path / "step-00000001")
    with pytest.raises(ArtefactError, match="all 2 checkpoints"):
        checkpoint.load_newest(tmp_path)


def test_load_newest_of_none_is_none(tmp_path):
    assert checkpoint.load_newest(tmp_path / "nothing") is None


@pytest.mark.parametrize("function", ["fsync", "rename"])
def test_save_on_a_failing_disk_leaves_the_earlier_ones(tmp_path, monkeypatch, function):
    save(tmp_path, 1)

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path, 2)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["step-00000001"]
    assert checkpoint.load_newest(tmp_path).step == 1


def test_save_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
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
    aside = ".writing-"
    done = [aside if name.startswith(aside) else name for name in done]
    # State, description, their folder; then its name, and the folder of all checkpoints.
    assert done == [aside, aside, aside, "renamed", tmp_path.name]


def test_load_reads_no_pickle(tmp_path):
    save(tmp_path, 1)
    with open(tmp_path / "step-00000001" / "state.npz", "wb") as file:
        np.savez(file, evil=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    sha256 = files.sha256(tmp_path / "step-00000001" / "state.npz")
    describe(tmp_path, 1, {"sha256": sha256, "dtypes": {"evil": "float32"}})
    with pytest.raises(ArtefactError, match="Python objects"):
        checkpoint.load(tmp_path, 1)


def describe(folder, step: int, changes: dict) -> None:
    """Changes the description of a checkpoint, and its hash with it."""
    path = folder / f"step-{step:08d}" / "meta.json"
    meta = json.loads(path.read_text()) | changes
    meta = {key: value for key, value in meta.items() if key != "meta_sha256" and value is not None}
    path.write_text(json.dumps({**meta, "meta_sha256": checkpoint._digest(meta)}))


def test_load_reads_the_earlier_format_and_refuses_a_later_one(tmp_path):
    save(tmp_path, 1)
    assert checkpoint.load(tmp_path, 1).meta["format"] == checkpoint.FORMAT
    describe(tmp_path, 1, {"format": None})  # as the first version wrote it
    assert checkpoint.load(tmp_path, 1).step == 1
    describe(tmp_path, 1, {"format": checkpoint.FORMAT + 1})
    with pytest.raises(ArtefactError, match="this version reads up to"):
        checkpoint.load(tmp_path, 1)


def small_model(units: int) -> keras.Model:
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(units, name="dense")(inputs))
    model.compile(keras.optimizers.Adam(name="adam"), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def test_restore_takes_exactly_the_same_names_and_shapes():
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


def test_variables_of_layers_that_share_a_path_are_refused():
    inputs = keras.Input((3,))
    first = keras.layers.Dense(3, name="dense")
    second = keras.layers.Dense(3, name="other")
    model = keras.Model(inputs, second(first(inputs)))
    for a, b in zip(first.variables, second.variables, strict=True):
        b._path = a.path
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="name the layers"):
        checkpoint.variables_of(model)
