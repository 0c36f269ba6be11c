"""Checkpoints: whole or absent, and refused where they do not fit."""

import itertools
import json
import os

import keras
import ml_dtypes
import numpy as np
import pytest

from tests.faults.deaths import Died, file_operations
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
    prefix = ".writing-"
    done = [prefix if name.startswith(prefix) else name for name in done]
    # State, description, their folder; then its name, and the folder of all checkpoints.
    assert done == [prefix, prefix, prefix, "renamed", tmp_path.name]


def again(step: int, number: int) -> Checkpoint:
    """The state of a step, saved for the time of that number (from 0 on)."""
    return make(step)._replace(meta={"number": number})


def number_of(folder) -> tuple:
    """Step and number of the newest one that is whole, as every reader finds it."""
    newest = checkpoint.load_newest(folder)
    assert newest.arrays["optimizer/iteration"] == newest.step
    return newest.step, newest.meta["number"]


def dying_after(point: int):
    """Dies after the operation on files of that number; a write is left half done."""
    left = [point]

    def after(name, halve):
        left[0] -= 1
        if not left[0]:
            halve()
            raise Died

    return file_operations(after)


SEQUENCES = [(1, 1), (1, 2, 2), (1, 2, 3), (1, 2, 2, 2), (1, 2, 3, 3), (1, 2, 1)]


@pytest.mark.parametrize("numbers", SEQUENCES, ids=str)
def test_save_that_is_cut_off_anywhere_leaves_the_newest_whole(numbers, tmp_path):
    *earlier, last = [again(step, i) for i, step in enumerate(numbers)]
    before, after = (earlier[-1].step, len(earlier) - 1), (last.step, len(earlier))
    found = []
    for point in itertools.count(1):
        folder = tmp_path / str(point)
        checkpoint.begin(folder)
        for state in earlier:
            checkpoint.save(folder, state, best_step=None)
        try:
            with dying_after(point):
                checkpoint.save(folder, last, best_step=None)
        except Died:
            found.append(number_of(folder))
        else:
            break
        # The next process may die while it clears up.
        for clearing in itertools.count(1):
            try:
                with dying_after(clearing):
                    checkpoint.begin(folder)
                break
            except Died:
                assert number_of(folder) == found[-1]
        assert number_of(folder) == found[-1]
        assert all(name.startswith("step-") for name in os.listdir(folder))
        checkpoint.save(folder, again(9, 9), best_step=None)
        assert number_of(folder) == (9, 9)
        assert len(os.listdir(folder)) == 2
    assert number_of(folder) == after
    assert len(found) > 10
    assert found == sorted(found, key=[before, after].index)
    assert set(found) == {before, after}


def test_save_of_a_step_again_replaces_it_and_leaves_the_one_before(tmp_path):
    save(tmp_path, 1)
    for number in range(3):
        checkpoint.save(tmp_path, again(2, number), best_step=None)
        assert number_of(tmp_path) == (2, number)
        assert sorted(os.listdir(tmp_path)) == ["step-00000001", "step-00000002"]


@pytest.mark.parametrize("fails", [1, 2, 3])
def test_save_of_a_step_again_on_a_failing_disk_leaves_the_earlier_one(
    fails, tmp_path, monkeypatch
):
    """Also where the old one cannot be renamed back: it is found under the name that it has."""
    checkpoint.begin(tmp_path)
    checkpoint.save(tmp_path, again(2, 0), best_step=None)
    rename, calls = os.rename, []

    def fail(*names):
        calls.append(names)
        if len(calls) in (2, fails):
            raise OSError(5, "Input/output error")
        rename(*names)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="Input/output"):
        checkpoint.save(tmp_path, again(2, 1), best_step=None)
    monkeypatch.undo()
    assert number_of(tmp_path) == (2, 0)
    assert checkpoint.steps(tmp_path) == [2]
    checkpoint.begin(tmp_path)
    assert os.listdir(tmp_path) == ["step-00000002"]


def test_damaged_ones_count_no_more_once_a_run_went_on_from_one_before(tmp_path):
    """Until the next save they are kept, under names that do not count."""
    save(tmp_path, 10, 20, 30, 40, best_step=10)
    for step in (30, 40):
        flip(tmp_path / f"step-000000{step}" / "state.npz")
    newest = checkpoint.load_newest(tmp_path)
    assert newest.step == 10
    checkpoint.mark_damaged(tmp_path, after=newest.step)
    assert checkpoint.steps(tmp_path) == [10]
    assert len(os.listdir(tmp_path)) == 3  # until there is a new one
    for step, kept in ((35, [10, 35]), (36, [35, 36])):
        checkpoint.save(tmp_path, make(step), best_step=None)
        assert checkpoint.load_newest(tmp_path).step == step
        assert sorted(os.listdir(tmp_path)) == [f"step-000000{number}" for number in kept]


def test_save_keeps_the_new_one_whatever_later_ones_there_are(tmp_path):
    save(tmp_path, 10, 30, 40)
    flip(tmp_path / "step-00000030" / "state.npz")
    checkpoint.save(tmp_path, make(20), best_step=None)
    assert checkpoint.steps(tmp_path) == [20]
    save(tmp_path, 30)
    assert checkpoint.steps(tmp_path) == [20, 30]


def test_mark_damaged_that_is_cut_off_hides_no_damage(tmp_path):
    save(tmp_path, 1, 2)
    flip(tmp_path / "step-00000002" / "state.npz")
    (tmp_path / ".damaged-step-00000002").mkdir()  # of an earlier time
    with pytest.raises(Died), dying_after(1):
        checkpoint.mark_damaged(tmp_path, after=1)
    assert checkpoint.load_newest(tmp_path).step == 1
    checkpoint.mark_damaged(tmp_path, after=1)
    flip(tmp_path / "step-00000001" / "state.npz")
    with pytest.raises(ArtefactError, match="all 1 checkpoints"):
        checkpoint.load_newest(tmp_path)


def test_steps_of_nine_digits_are_found(tmp_path):
    save(tmp_path, 99_999_999, 100_000_000)
    assert checkpoint.steps(tmp_path) == [99_999_999, 100_000_000]
    assert checkpoint.load_newest(tmp_path).step == 100_000_000


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


def test_save_keeps_the_best_of_the_one_before_too(tmp_path):
    """Where the newest is damaged the run falls back to that one, whose best is 100."""
    checkpoint.begin(tmp_path)
    for step, best in ((100, 100), (200, 100), (300, 300)):
        made = make(step)._replace(meta={"progress": {"best_step": best}})
        checkpoint.save(tmp_path, made, best_step=best)
    assert checkpoint.steps(tmp_path) == [100, 200, 300]
    checkpoint.save(tmp_path, make(400), best_step=300)
    assert checkpoint.steps(tmp_path) == [300, 400]
