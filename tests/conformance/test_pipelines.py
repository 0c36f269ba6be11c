"""What holds for every data set."""

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from pipelines.core.keys import Keys
from pipelines.core.specs import example_of
from pipelines.core.stream import num_steps, preprocessed_table, stream
from tests.conftest import NUM_ROWS, fake_pipeline, fake_rows, replaced


@pytest.fixture(params=pipelines.names())
def pipeline(request):
    return fake_pipeline(request.param)


def batches(pipeline, split="train", *, steps=None, **options):
    options = {"batch_size": 8, "training": split == "train", "seed": 3, **options}
    data = stream(pipeline, split, **options)
    data = data if steps is None else data.take(steps)
    return [tf.nest.map_structure(lambda t: t.numpy(), b) for b in data]


def assert_equal(a, b):
    tf.nest.assert_same_structure(a, b)
    for left, right in zip(tf.nest.flatten(a), tf.nest.flatten(b), strict=True):
        np.testing.assert_array_equal(left, right)


def identified(pipeline):
    """The pipeline with row numbers as targets, so that batches say which rows they hold."""
    rows = {
        split: r._replace(table={**r.table, r.target: np.arange(r.num_rows)})
        for split, r in pipeline.rows.items()
    }
    return replaced(pipeline, rows=rows, augment=None)


def test_has_a_summary_and_its_file_s_name(pipeline):
    assert pipelines.describe(pipeline.name).summary
    assert pipeline.name in pipelines.names()
    assert set(pipeline.rows) >= {"train", "validation", "test"}


def test_spec_is_what_the_stream_yields(pipeline):
    (x, y, weight), *_ = batches(pipeline, steps=1)
    for name, field in pipeline.spec.inputs.items():
        assert tf.TensorShape(x[name].shape[1:]).is_compatible_with(field.shape)
        assert (None in field.shape) == (name in pipeline.padded)
        assert x[name].dtype == field.dtype
    assert set(x) == set(pipeline.spec.inputs)
    assert y.shape[0] == 8
    assert weight.dtype == np.float32


def test_preprocess_is_the_same_eager_mapped_and_row_by_row(pipeline):
    table = {name: pipeline.rows["test"].table[name][:6] for name in pipeline.raw}
    eager = pipeline.preprocess({k: tf.constant(v) for k, v in table.items()})
    mapped = next(iter(tf.data.Dataset.from_tensors(table).map(pipeline.preprocess)))
    single = [
        pipeline.preprocess({k: tf.constant(v[i : i + 1]) for k, v in table.items()})
        for i in range(6)
    ]
    for name in eager:
        np.testing.assert_array_equal(eager[name], mapped[name])
        np.testing.assert_array_equal(eager[name], tf.concat([row[name] for row in single], 0))


def test_preprocess_gives_small_finite_numbers(pipeline):
    x = batches(pipeline, steps=1)[0][0]
    for name, value in x.items():
        if np.issubdtype(value.dtype, np.floating):
            assert np.isfinite(value).all(), name
            assert np.abs(value).max() < 20, f"{name}: networks take numbers around one"


def test_evaluation_is_complete_in_order_and_pads_with_weight_0(pipeline):
    pipeline = identified(pipeline)
    found = batches(pipeline, "validation")
    assert_equal(found, batches(pipeline, "validation"))
    y = np.concatenate([b[1] for b in found])
    weight = np.concatenate([b[2] for b in found])
    num_rows = pipeline.rows["validation"].num_rows
    assert len(found) == num_steps(pipeline, "validation", batch_size=8, training=False)
    np.testing.assert_array_equal(y[weight > 0], np.arange(num_rows))
    assert weight.sum() == num_rows
    assert len(weight) == 8 * len(found)


def test_training_repeats_nothing_in_an_epoch_and_differs_by_epoch(pipeline):
    pipeline = identified(pipeline)
    steps = num_steps(pipeline, "train", batch_size=8, training=True)
    y = np.stack([b[1] for b in batches(pipeline, steps=2 * steps)]).reshape(2, -1)
    for epoch in y:
        assert len(set(epoch)) == len(epoch) == 8 * steps
    assert (y[0] != y[1]).any()
    other = np.concatenate([b[1] for b in batches(pipeline, steps=steps, seed=4)])
    assert (y[0] != other).any()


@pytest.mark.parametrize("start", [1, 7, 8, 19])
def test_starting_at_a_step_is_skipping_the_steps_before(pipeline, start):
    assert_equal(
        batches(pipeline, steps=start + 3)[start:], batches(pipeline, steps=3, start_step=start)
    )


def test_shards_are_the_columns_of_every_batch(pipeline):
    whole = batches(pipeline, steps=3)
    halves = [batches(pipeline, steps=3, shard=(i, 2)) for i in range(2)]
    joined = [
        tf.nest.map_structure(lambda a, b: np.concatenate([a, b]), left, right)
        for left, right in zip(*halves, strict=True)
    ]
    assert_equal(whole, joined)


def test_augmentation_depends_on_the_example_not_on_the_batch(pipeline):
    if pipeline.augment is None:
        pytest.skip("this data set has no augmentation")
    rows = pipeline.rows["train"].table
    raw = {name: tf.constant(rows[name][:9]) for name in pipeline.raw}
    target = tf.constant(rows[pipeline.target][:9])

    def augmented(index, epoch=1):
        index = tf.constant(index, tf.int64)
        keys = Keys(tf.constant(5, tf.int64), tf.constant(epoch, tf.int64), index)
        taken = {name: tf.gather(column, index) for name, column in raw.items()}
        return pipeline.augment(taken, tf.gather(target, index), keys)

    whole, target_after = augmented(range(9))
    np.testing.assert_array_equal(target_after, target)
    for name in whole:
        assert whole[name].dtype == raw[name].dtype
        assert whole[name].shape == raw[name].shape
    parts = [augmented([8, 1]), augmented([4])]
    for name in whole:
        np.testing.assert_array_equal(parts[0][0][name][0], whole[name][8])
        np.testing.assert_array_equal(parts[0][0][name][1], whole[name][1])
        np.testing.assert_array_equal(parts[1][0][name][0], whole[name][4])
    again, _ = augmented(range(9), epoch=2)
    assert any((again[name].numpy() != whole[name].numpy()).any() for name in whole)


def test_only_training_is_augmented(pipeline):
    if pipeline.augment is None:
        pytest.skip("this data set has no augmentation")
    plain = replaced(pipeline, augment=None)
    assert_equal(batches(pipeline, "validation"), batches(plain, "validation"))
    train, without = batches(pipeline, steps=1), batches(plain, steps=1)
    assert any(
        (a != b).any()
        for a, b in zip(tf.nest.flatten(train[0][0]), tf.nest.flatten(without[0][0]), strict=True)
    )


def test_example_keeps_what_preprocess_returns(pipeline):
    inputs = {
        name: tf.zeros((2, *field.shape), field.dtype) for name, field in pipeline.served.items()
    }
    keys = Keys(*(tf.constant(value, tf.int64) for value in (0, 0, [0, 1])))
    x, _, _ = example_of(pipeline)(inputs, tf.constant([0, 1], tf.int64), keys)
    assert set(inputs) <= set(x)


@pytest.mark.parametrize(
    ("name", "once"), [("cifar10", False), ("imdb", True), ("csv", True), ("breast_cancer", True)]
)
def test_texts_and_tables_are_preprocessed_once_and_pixels_in_every_batch(name, once):
    pipeline = fake_pipeline(name)
    table = preprocessed_table(pipeline, pipeline.rows["train"])
    assert (table is not None) == once
    if once:
        assert set(table) == {*pipeline.served, pipeline.target}


def test_fitted_state_comes_from_training_rows_and_can_be_put_back():
    pipeline = pipelines.get("breast_cancer")
    rows = fake_rows(pipeline)
    first = pipelines.prepared(pipeline, rows)
    assert sum(r.num_rows for r in first.rows.values()) == NUM_ROWS["all"]
    train = first.rows["train"].table["mean_radius"]
    assert first.state["mean"][0] == pytest.approx(train.mean(), rel=1e-6)
    raw = {name: tf.constant(first.rows["test"].table[name]) for name in first.raw}
    by_hand = (first.rows["test"].table["mean_radius"] - train.mean()) / train.std()
    np.testing.assert_allclose(
        first.preprocess(raw)["features"][:, 0], by_hand, rtol=1e-5, atol=1e-6
    )
    again = pipelines.bound(pipeline, first.state)
    np.testing.assert_array_equal(
        first.preprocess(raw)["features"], again.preprocess(raw)["features"]
    )


def test_splits_are_disjoint_stratified_and_seeded():
    pipeline = pipelines.get("breast_cancer", split_seed=1)
    rows = fake_rows(pipeline)
    splits = pipelines.prepared(pipeline, rows).rows
    values = [set(r.table["mean_radius"].tolist()) for r in splits.values()]
    assert sum(map(len, values)) == len(set.union(*values)) == NUM_ROWS["all"]
    shares = [r.table["label"].mean() for r in splits.values()]
    assert max(shares) - min(shares) < 0.05
    same = pipelines.prepared(pipeline, rows).rows["test"].table["mean_radius"]
    np.testing.assert_array_equal(same, splits["test"].table["mean_radius"])


def test_an_unknown_name_says_the_nearest():
    with pytest.raises(ValueError, match="cifar10"):
        pipelines.get("cifar-10")
