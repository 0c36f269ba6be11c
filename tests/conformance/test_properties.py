"""What holds for every seed, size, start and damage: the stream and the checkpoints."""

import json

import hypothesis.extra.numpy as hnp
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.plan import training_plan
from pipelines.core.stream import num_steps, stream
from tests.conftest import made_pipeline
from trainers.devices import loop
from trainers.errors import ArtefactError
from trainers.store import checkpoint
from trainers.store.checkpoint import Checkpoint

slowly = settings(deadline=None, derandomize=True, max_examples=12)
quickly = settings(deadline=None, derandomize=True)


def numbered(num_rows: int, *, stored: bool):
    """Data whose rows are their own numbers; `stored` rows are read, not held in memory."""
    prepared = made_pipeline("regression", num_rows=2)
    x = np.stack([np.arange(num_rows), np.zeros(num_rows)], axis=1).astype(np.float32)
    table = {"x": x, "label": np.arange(num_rows, dtype=np.float32)}
    rows = prepared.rows["train"]._replace(num_rows=num_rows, table=table)
    if stored:
        read = lambda index: {name: column[index] for name, column in table.items()}
        rows = rows._replace(table=None, read=read)
    return prepared.replace(rows={**prepared.rows, "train": rows, "test": rows})


def rows_of(dataset: tf.data.Dataset, steps: int) -> np.ndarray:
    """(steps, batch) row numbers, -1 where the weight is 0."""
    batches = [
        np.where(weight > 0, x["x"][:, 0], -1)
        for x, _, weight in dataset.take(steps).as_numpy_iterator()
    ]
    return np.stack(batches).astype(np.int64)


@slowly
@given(
    num_rows=st.integers(4, 60),
    batch_size=st.integers(1, 4),
    seed=st.integers(0, 2**31 - 1),
    start=st.integers(0, 150),
    stored=st.booleans(),
)
def test_stream_from_a_step_skips_the_steps_before(num_rows, batch_size, seed, start, stored):
    """And what is skipped to is the plan, epoch after epoch."""
    prepared = numbered(num_rows, stored=stored)
    epoch_steps = num_steps(prepared, "train", batch_size=batch_size, training=True)
    options = {"batch_size": batch_size, "training": True, "seed": seed}
    found = rows_of(stream(prepared, "train", start_step=start, **options), 2 * epoch_steps)
    epochs = range(start // epoch_steps, start // epoch_steps + 4)
    plan = training_plan(num_rows, batch_size=batch_size, seed=seed)
    planned = [plan.rows(epoch, 0, epoch_steps) for epoch in epochs]
    first = start % epoch_steps
    np.testing.assert_array_equal(found, np.concatenate(planned)[first : first + len(found)])


@slowly
@given(
    num_rows=st.integers(1, 60),
    batch_size=st.integers(1, 16),
    start=st.integers(0, 3),
    stored=st.booleans(),
)
def test_evaluation_is_complete_and_in_order(num_rows, batch_size, start, stored):
    prepared = numbered(num_rows, stored=stored)
    steps = num_steps(prepared, "test", batch_size=batch_size, training=False)
    start = min(start, steps - 1)
    found = rows_of(
        stream(prepared, "test", batch_size=batch_size, training=False, seed=0, start_step=start),
        steps + 1,
    ).reshape(-1)
    np.testing.assert_array_equal(found[found >= 0], np.arange(start * batch_size, num_rows))
    assert len(found) == (steps - start) * batch_size


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("parallel", [1, 7])
@pytest.mark.parametrize("prefetched", [1, 64])
def test_stream_is_the_same_however_it_is_run(stored, parallel, prefetched, monkeypatch):
    prepared = numbered(50, stored=stored)
    options = {"batch_size": 4, "training": True, "seed": 3, "start_step": 5}
    expected = rows_of(stream(prepared, "train", **options), 30)
    prefetch, mapped = tf.data.Dataset.prefetch, tf.data.Dataset.map
    monkeypatch.setattr(tf.data.Dataset, "prefetch", lambda self, _: prefetch(self, prefetched))
    monkeypatch.setattr(
        tf.data.Dataset,
        "map",
        lambda self, function, **_: mapped(self, function, num_parallel_calls=parallel),
    )
    np.testing.assert_array_equal(rows_of(stream(prepared, "train", **options), 30), expected)


@quickly
@given(per_pass=st.integers(1, 500), per_call=st.integers(1, 64), skip=st.integers(0, 500))
def test_calls_of_an_epoch_take_every_step_that_is_left_once(per_pass, per_call, skip):
    skip = min(skip, per_pass)
    begins = range(0, per_pass, per_call)
    taken = [loop.steps_to_take(begin, per_call, per_pass, skip) for begin in begins]
    assert sum(taken) == per_pass - skip
    assert all(0 <= count <= per_call for count in taken)
    # Steps are taken from `skip` on without a gap: no call before it takes any.
    assert all(
        count == 0 for begin, count in zip(begins, taken, strict=True) if begin + per_call <= skip
    )


ARRAYS = st.one_of(
    *(
        hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
        for dtype in ("float32", "float64", "float16", "int32", "int64", "uint32", "bool")
    ),
    st.lists(st.floats(-10, 10), max_size=5).map(lambda v: np.array(v, ml_dtypes.bfloat16)),
)
# Without what would be a path out of an unpacked file, which is refused before it is written.
PATHS = st.text(st.characters(codec="utf-8", exclude_characters="\0\\"), max_size=8).filter(
    lambda path: ".." not in path.split("/")
)
STATES = st.dictionaries(PATHS.map(lambda path: f"model/{path}"), ARRAYS, max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@quickly
@given(arrays=STATES, progress=JSON, step=st.integers(0, 10**8 - 1))
def test_state_comes_back_to_the_bit(arrays, progress, step, tmp_path_factory):
    folder = tmp_path_factory.mktemp("state")
    checkpoint.begin(folder)
    checkpoint.save(folder, Checkpoint(step, arrays, {"progress": progress}), best_step=None)
    again = checkpoint.load(folder, step)
    assert again.arrays.keys() == arrays.keys()
    for key, array in arrays.items():
        found = again.arrays[key]
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert found.tobytes() == array.tobytes()
    assert again.meta["progress"] == json.loads(json.dumps(progress))


@pytest.mark.parametrize("path", ["a\\b", "../b", "a/../b", "/a"])
def test_state_that_could_not_be_read_is_not_written(path, tmp_path):
    state = Checkpoint(1, {path: np.zeros(2)}, {})
    with pytest.raises(ValueError, match="cannot name an array"):
        checkpoint.save(tmp_path, state, best_step=None)
    assert checkpoint.steps(tmp_path) == []


@quickly
@given(data=st.data(), name=st.sampled_from(["state.npz", "meta.json"]), flip=st.booleans())
def test_damage_of_the_newest_is_never_taken_for_a_state(data, name, flip, tmp_path_factory):
    """Cut anywhere, or any one bit flipped: the one before is used, never a wrong one."""
    folder = tmp_path_factory.mktemp("damage")
    checkpoint.begin(folder)
    for step in (1, 2):
        arrays = {"model/a": np.arange(6.0) * step, "model/b": np.array(step)}
        state = Checkpoint(step, arrays, {"progress": {"best": 0.5 * step, "wait": step}})
        checkpoint.save(folder, state, best_step=None)
    whole = checkpoint.load(folder, 2)
    path = folder / "step-00000002" / name
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if flip:
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[at:]
    path.write_bytes(content)
    try:
        found = checkpoint.load(folder, 2)
    except ArtefactError:
        assert checkpoint.load_newest(folder).step == 1
    else:  # blanks of the JSON, say: whatever was damaged does not matter
        assert found.meta == whole.meta
        assert all(found.arrays[k].tobytes() == whole.arrays[k].tobytes() for k in whole.arrays)
