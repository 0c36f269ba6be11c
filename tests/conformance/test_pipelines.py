"""What holds for every data set."""

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from pipelines.core.keys import Keys
from pipelines.core.prepared import served
from pipelines.core.stream import num_steps, stream
from tests.conftest import fake_pipeline

# With options that data sets of images share.
VARIANTS = {"shapes mixed": {"jitter": 0.3, "erase": 0.5, "mix": "cutmix"}}


@pytest.fixture(params=[*pipelines.names(), *VARIANTS])
def prepared(request):
    return fake_pipeline(request.param.split()[0], **VARIANTS.get(request.param, {}))


def batches(prepared, split="train", *, steps=None, **options):
    options = {"batch_size": 8, "training": split == "train", "seed": 3, **options}
    data = stream(prepared, split, **options)
    data = data if steps is None else data.take(steps)
    return [tf.nest.map_structure(lambda t: t.numpy(), b) for b in data]


def assert_equal(a, b):
    tf.nest.assert_same_structure(a, b)
    for left, right in zip(tf.nest.flatten(a), tf.nest.flatten(b), strict=True):
        np.testing.assert_array_equal(left, right)


def identified(prepared):
    """The data with row numbers as targets, so that batches say which rows they hold."""
    rows = {
        split: r._replace(table={**r.table, r.target: np.arange(r.num_rows)})
        for split, r in prepared.rows.items()
    }
    return prepared.replace(rows=rows, augment=None, mix=None)


def assert_as_specified(prepared, x):
    """The inputs of a batch have the names, shapes and types that the model is told of."""
    assert set(x) == set(prepared.spec.inputs)
    for name, field in prepared.spec.inputs.items():
        assert tf.TensorShape(x[name].shape[1:]).is_compatible_with(field.shape)
        assert (None in field.shape) == (name in prepared.padded)
        assert x[name].dtype == field.dtype


def test_pipeline_has_a_summary_and_the_name_of_its_file(prepared):
    assert pipelines.describe(prepared.name).summary
    assert prepared.name in pipelines.names()
    assert set(prepared.rows) >= {"train", "validation", "test"}


def test_spec_is_what_the_stream_yields(prepared):
    (x, y, weight), *_ = batches(prepared, steps=1)
    assert_as_specified(prepared, x)
    assert y.shape[0] == 8
    assert weight.dtype == np.float32


def test_preprocess_is_the_same_eager_mapped_and_row_by_row(prepared):
    table = {name: prepared.rows["test"].table[name][:6] for name in prepared.raw}
    eager = prepared.preprocess({k: tf.constant(v) for k, v in table.items()})
    mapped = next(iter(tf.data.Dataset.from_tensors(table).map(prepared.preprocess)))
    single = [
        prepared.preprocess({k: tf.constant(v[i : i + 1]) for k, v in table.items()})
        for i in range(6)
    ]
    for name in eager:
        np.testing.assert_array_equal(eager[name], mapped[name])
        np.testing.assert_array_equal(eager[name], tf.concat([row[name] for row in single], 0))


def test_preprocess_gives_small_finite_numbers(prepared):
    x = batches(prepared, steps=1)[0][0]
    for name, value in x.items():
        if np.issubdtype(value.dtype, np.floating):
            assert np.isfinite(value).all(), name
            assert np.abs(value).max() < 20, f"{name}: networks take numbers around one"


def test_evaluation_is_complete_in_order_and_padded_with_weight_0(prepared):
    prepared = identified(prepared)
    found = batches(prepared, "validation")
    assert_equal(found, batches(prepared, "validation"))
    y = np.concatenate([b[1] for b in found])
    weight = np.concatenate([b[2] for b in found])
    num_rows = prepared.rows["validation"].num_rows
    assert len(found) == num_steps(prepared, "validation", batch_size=8, training=False)
    np.testing.assert_array_equal(y[weight > 0], np.arange(num_rows))
    assert weight.sum() == num_rows
    assert len(weight) == 8 * len(found)


def test_training_repeats_nothing_in_an_epoch_and_differs_by_epoch(prepared):
    prepared = identified(prepared)
    steps = num_steps(prepared, "train", batch_size=8, training=True)
    y = np.stack([b[1] for b in batches(prepared, steps=2 * steps)]).reshape(2, -1)
    for epoch in y:
        assert len(set(epoch)) == len(epoch) == 8 * steps
    assert (y[0] != y[1]).any()
    other = np.concatenate([b[1] for b in batches(prepared, steps=steps, seed=4)])
    assert (y[0] != other).any()


@pytest.mark.parametrize("start", [1, 7, 8, 19])
def test_stream_from_a_step_skips_the_steps_before(prepared, start):
    assert_equal(
        batches(prepared, steps=start + 3)[start:], batches(prepared, steps=3, start_step=start)
    )


def test_stream_of_a_shard_has_its_columns_of_every_batch(prepared):
    whole = batches(prepared, steps=3)
    halves = [batches(prepared, steps=3, shard=(i, 2)) for i in range(2)]
    joined = [
        tf.nest.map_structure(lambda a, b: np.concatenate([a, b]), left, right)
        for left, right in zip(*halves, strict=True)
    ]
    assert_equal(whole, joined)


def test_augmentation_depends_on_the_example_not_on_the_batch(prepared):
    if prepared.pipeline.augment is None:
        pytest.skip("this data set has no augmentation")
    rows = prepared.rows["train"].table
    raw = {name: tf.constant(rows[name][:9]) for name in prepared.raw}
    target = tf.constant(rows[prepared.schema.target_name][:9])

    def augmented(index, epoch=1):
        index = tf.constant(index, tf.int64)
        keys = Keys(tf.constant(5, tf.int64), tf.constant(epoch, tf.int64), index)
        taken = {name: tf.gather(column, index) for name, column in raw.items()}
        return prepared.pipeline.augment(taken, tf.gather(target, index), keys)

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


def test_only_training_is_augmented(prepared):
    if prepared.pipeline.augment is None:
        pytest.skip("this data set has no augmentation")
    plain = prepared.replace(augment=None)
    assert_equal(batches(prepared, "validation"), batches(plain, "validation"))
    train, without = batches(prepared, steps=1), batches(plain, steps=1)
    assert any(
        (a != b).any()
        for a, b in zip(tf.nest.flatten(train[0][0]), tf.nest.flatten(without[0][0]), strict=True)
    )


def test_example_keeps_what_preprocess_returns(prepared):
    inputs = {
        name: tf.zeros((2, *field.shape), field.dtype)
        for name, field in prepared.serving_inputs.items()
    }
    keys = Keys(*(tf.constant(value, tf.int64) for value in (0, 0, [0, 1])))
    target = tf.zeros((2, *prepared.schema.target.shape), prepared.schema.target.dtype)
    x, _, _ = prepared.example(inputs, target, keys)
    assert set(inputs) <= set(x)


def test_served_makes_the_same_inputs_without_rows(prepared):
    """From the declaration and the fitted state alone, as a finished run does."""
    again = served(prepared.pipeline, prepared.schema, form=prepared.form, state=prepared.state)
    table = prepared.rows["test"].table
    raw = {name: tf.constant(table[name][:5]) for name in prepared.raw}
    assert_equal(dict(prepared.preprocess(raw)), dict(again.preprocess(raw)))
    assert again.spec == prepared.spec
    assert not again.rows


def test_other_forms_yield_what_their_spec_says(prepared):
    for form in list(prepared.pipeline.forms)[1:]:
        other = fake_pipeline(prepared.name, form)
        x, _, _ = batches(other, steps=1)[0]
        assert_as_specified(other, x)
        for name, field in other.spec.inputs.items():
            if isinstance(field.ids, tuple):
                assert (x[name] < np.array(field.ids)).all()
                assert x[name].min() >= 0
