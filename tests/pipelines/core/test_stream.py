"""Batches against a second implementation: the whole table, padded, preprocessed and gathered."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines.core.keys import Keys, integers
from pipelines.core.plan import Plan, evaluation_plan, training_plan
from pipelines.core.stream import assemble, default_plan, num_steps, stream
from tests.conftest import fake_pipeline, made_pipeline
from tests.pipelines import sequences

OPTIONS = {"batch_size": 8, "training": True, "seed": 3}


def arrays(data) -> list:
    return [tf.nest.map_structure(lambda t: t.numpy(), batch) for batch in data]


def expected_batches(num_rows: int, batch_size: int, seed: int, epochs: int) -> list:
    """By sorting lengths as they are in the dense table, and cutting to what each input needs."""
    dense = sequences.dense(num_rows)
    lengths = {name: np.count_nonzero(column, axis=1) for name, column in dense.items()}
    longest = np.maximum(lengths["short"], lengths["long"])
    plan = training_plan(num_rows, batch_size=batch_size, seed=seed, lengths=longest)
    found = []
    for epoch in range(epochs):
        for index in plan.rows(epoch, 0, plan.steps):
            x = {}
            for name, column in dense.items():
                width = min(-(-lengths[name][index].max() // 16) * 16, column.shape[1])
                x[name] = column[index][:, :width]
            found.append((x, index, np.ones(batch_size, np.float32)))
    return found


@pytest.mark.parametrize("stored", [False, True], ids=["memory", "disk"])
@pytest.mark.parametrize("num_rows", [41, 900])
def test_stream_of_padded_rows_equals_the_dense_table(stored, num_rows, tmp_path):
    prepared = sequences.prepared_of(num_rows, stored=stored, cache=str(tmp_path), identity="a")
    expected = expected_batches(num_rows, 8, 3, epochs=2)
    found = arrays(stream(prepared, "train", **OPTIONS).take(len(expected)))
    tf.nest.map_structure(np.testing.assert_array_equal, found, expected)
    widths = {(x["short"].shape[1], x["long"].shape[1]) for x, _, _ in found}
    assert {w[0] for w in widths} == {6}
    if num_rows == 900:  # enough batches that short rows are together
        assert {16, 20} <= {w[1] for w in widths}


def test_stream_takes_the_plan_that_it_is_given():
    rows = lambda epoch, first, end: np.array([[step, 30 - step] for step in range(first, end)])
    plan = Plan(num_rows=41, batch_size=2, steps=5, rows=rows, endless=True)
    data = stream(sequences.prepared_of(), "train", **(OPTIONS | {"batch_size": 2}), plan=plan)
    y = np.stack([y for _, y, _ in arrays(data.take(6))])
    np.testing.assert_array_equal(y, [[0, 30], [1, 29], [2, 28], [3, 27], [4, 26], [0, 30]])


def test_assemble_makes_one_batch_from_any_row_numbers():
    """As inside a training step, where the order alone is the data set."""
    prepared = sequences.prepared_of()
    batch = tf.function(assemble(prepared, "test", training=False, seed=0), autograph=False)
    index = tf.constant([5, -1, 12], tf.int64)
    x, y, weight = batch(tf.constant(0, tf.int64), index, tf.constant([4, 20], tf.int64))
    dense = sequences.dense(41)
    np.testing.assert_array_equal(weight, [1, 0, 1])
    np.testing.assert_array_equal(y, [5, 0, 12])
    np.testing.assert_array_equal(x["short"], dense["short"][[5, 0, 12], :4])
    np.testing.assert_array_equal(x["long"], dense["long"][[5, 0, 12]])


def test_assemble_puts_weight_0_on_every_position_of_a_row_that_fills_up():
    def example(inputs, target, keys):
        del target
        return inputs, inputs["long"], tf.cast(inputs["long"] > 0, tf.float32)

    prepared = sequences.prepared_of().replace(example=example)
    [*_, (_, y, weight)] = arrays(stream(prepared, "test", batch_size=8, training=False, seed=0))
    np.testing.assert_array_equal(weight[1:], 0 * weight[1:])
    np.testing.assert_array_equal(weight[0] > 0, y[0] > 0)


def test_stream_of_augmented_texts_is_tokenised_in_every_batch():
    """Its lengths are not known beforehand: rows are in the permutation's order, at full width."""

    def augment(raw, target, keys):
        del keys
        return {"text": tf.strings.join([raw["text"], " 999"])}, target

    prepared = sequences.prepared_of().replace(augment=augment)
    plan = training_plan(41, batch_size=8, seed=3)
    for (x, y, _), index in zip(
        arrays(stream(prepared, "train", **OPTIONS).take(5)), plan.rows(0, 0, 5), strict=True
    ):
        np.testing.assert_array_equal(y, index)
        assert x["long"].shape == (8, 20)
        dense = sequences.dense(41)["long"][index]
        for row, before in zip(x["long"], dense, strict=True):
            number = np.count_nonzero(before)
            np.testing.assert_array_equal(row[:number], before[:number])
            if number < 20:
                assert row[number] == 999
    plain = sequences.prepared_of()
    evaluation = {"batch_size": 8, "training": False, "seed": 0}
    tf.nest.map_structure(
        np.testing.assert_array_equal,
        arrays(stream(prepared, "test", **evaluation)),
        arrays(stream(plain, "test", **evaluation)),
    )


@pytest.mark.parametrize("threads", [1, 3])
def test_stream_is_the_same_with_any_number_of_threads(threads):
    prepared = fake_pipeline("shapes")
    expected = arrays(stream(prepared, "train", **OPTIONS).take(9))
    found = arrays(stream(prepared, "train", **OPTIONS, threads=threads).take(9))
    tf.nest.map_structure(np.testing.assert_array_equal, found, expected)


def test_stream_refuses_what_does_not_fill_or_divide():
    prepared = sequences.prepared_of()
    with pytest.raises(ValueError, match="41 training examples do not fill one batch of 42"):
        stream(prepared, "train", **(OPTIONS | {"batch_size": 42}))
    with pytest.raises(ValueError, match="batch_size 8 does not divide over 3 shards"):
        stream(prepared, "train", **OPTIONS, shard=(0, 3))


def test_default_plan_and_num_steps_agree():
    prepared = sequences.prepared_of()
    for training, split, steps in ((True, "train", 5), (False, "test", 6)):
        options = {"batch_size": 8, "training": training}
        plan = default_plan(prepared, split, **options, seed=0)
        assert plan.steps == num_steps(prepared, split, **options) == steps
        assert plan.endless == training
    expected = evaluation_plan(41, batch_size=8).rows(0, 0, 6)
    np.testing.assert_array_equal(plan.rows(0, 0, 6), expected)


def mixing(stored: bool):
    """Rows of their own numbers, augmented by their keys, of which a third of another is added."""
    prepared = made_pipeline("classification", num_rows=40)
    table = {**prepared.rows["train"].table, "x": np.arange(80, dtype=np.float32).reshape(40, 2)}
    rows = prepared.rows["train"]._replace(table=table)
    if stored:
        read = lambda index: {name: column[index] for name, column in table.items()}
        rows = rows._replace(table=None, read=read)

    def augment(raw, target, keys):
        return {"x": raw["x"] + 0.25 * tf.cast(keys.index % 2, tf.float32)[:, None]}, target

    def mix(inputs, target, other, other_target, keys):
        x = tf.stack([inputs["x"][:, 0], other["x"][:, 0]], axis=1)
        return {"x": x}, (2 * target + other_target) / 3

    rows = {"train": rows, "validation": prepared.rows["validation"]}
    return prepared.replace(rows=rows, augment=augment, mix=mix), table["label"]


@pytest.mark.parametrize("stored", [False, True], ids=["memory", "disk"])
def test_stream_mixes_a_row_with_one_drawn_by_its_number(stored):
    """Whatever the batch: the partner follows from the row and the epoch, and is augmented too."""
    prepared, labels = mixing(stored)
    partners = {}
    for batch_size, start, shard in ((8, 0, (0, 1)), (20, 0, (0, 1)), (8, 3, (1, 2))):
        options = {"batch_size": batch_size, "start_step": start, "shard": shard}
        steps = 40 // batch_size
        data = stream(prepared, "train", training=True, seed=3, **options).take(2 * steps)
        for step, (x, y, _) in enumerate(arrays(data), start):
            own, other = (np.floor(x["x"] / 2)).astype(int).T
            np.testing.assert_array_equal(
                x["x"], 2 * np.stack([own, other], 1) + 0.25 * (np.stack([own, other], 1) % 2)
            )
            one_hot = np.eye(3, dtype=np.float32)[labels]
            np.testing.assert_allclose(y, (2 * one_hot[own] + one_hot[other]) / 3, rtol=1e-6)
            for row, partner in zip(own, other, strict=True):
                assert partners.setdefault((step // steps, row), partner) == partner
    found = np.array([[partners[epoch, row] for row in range(40)] for epoch in range(2)])
    assert (found[0] != found[1]).any()
    assert len(np.unique(found)) > 20
    keys = Keys(tf.constant(3, tf.int64), tf.constant(1, tf.int64), tf.range(40, dtype=tf.int64))
    expected = integers(keys.named("mix").named("partner"), 0, 40)
    np.testing.assert_array_equal(found[1], expected)


def test_stream_of_validation_has_shares_where_training_is_mixed():
    prepared, _ = mixing(False)
    [(x, y, weight), *_] = arrays(
        stream(prepared, "validation", batch_size=8, training=False, seed=3)
    )
    rows = prepared.rows["validation"].table
    np.testing.assert_array_equal(x["x"], rows["x"][:8])
    np.testing.assert_array_equal(y, np.eye(3, dtype=np.float32)[rows["label"][:8]])
    assert prepared.batch_signature[1] == tf.TensorSpec((None, 3), tf.float32)
    assert weight.sum() == 8


def test_stream_is_augmented_until_a_share_of_the_epochs():
    """Of four epochs, three: then only `late_augment` is left, and y is still shares."""
    prepared, labels = mixing(False)

    def late(raw, target, keys):
        return {"x": raw["x"] - 1000}, target

    ending = prepared.replace(augment_until=0.75, late_augment=late)
    options = {"batch_size": 20, "training": True, "seed": 3}
    found = arrays(stream(ending, "train", **options, epochs=4).take(8))
    full = arrays(stream(ending, "train", **options).take(8))  # of a run of unknown length
    tf.nest.map_structure(np.testing.assert_array_equal, found[:6], full[:6])
    for (x, y, _), index in zip(
        found[6:], training_plan(40, batch_size=20, seed=3).rows(3, 0, 2), strict=True
    ):
        np.testing.assert_array_equal(x["x"], np.arange(80).reshape(40, 2)[index] - 1000)
        np.testing.assert_array_equal(y, np.eye(3, dtype=np.float32)[labels[index]])
    again = arrays(stream(ending, "train", **options, epochs=4, start_step=5).take(3))
    tf.nest.map_structure(np.testing.assert_array_equal, again, found[5:])
    # A baseline has neither: nothing is left to end.
    plain = ending.replace(augment=None, mix=None)
    (x, y, _), *_ = arrays(stream(plain, "train", **options, epochs=4, start_step=6).take(1))
    index = training_plan(40, batch_size=20, seed=3).rows(3, 0, 1)[0]
    np.testing.assert_array_equal(x["x"], np.arange(80).reshape(40, 2)[index])
    np.testing.assert_array_equal(y, labels[index])
