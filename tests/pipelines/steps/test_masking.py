"""Masked tokens: which are chosen, what they become, and that nothing else decides it."""

import numpy as np
import tensorflow as tf

from pipelines.core.keys import Keys
from pipelines.steps.masking import draw_positions, masked
from zoo.spec import Field

IDS = 50
FIELDS = {"tokens": Field((40,), "int32", ids=IDS, length=40)}


def keys_of(rows: int, epoch: int = 0, seed: int = 0) -> Keys:
    seed, epoch = (tf.constant(value, tf.int64) for value in (seed, epoch))
    return Keys(seed, epoch, tf.range(rows, dtype=tf.int64))


def tokens_of(rows: int, length: int = 40) -> np.ndarray:
    tokens = np.random.default_rng(0).integers(5, IDS, (rows, length)).astype(np.int32)
    tokens[:, 0] = 2  # [CLS]
    return tokens


def test_targets_are_the_tokens_that_were_there():
    tokens = tokens_of(6)
    x, y, weight = masked(0.25)(FIELDS, {})({"tokens": tf.constant(tokens)}, None, keys_of(6))
    positions = x["masked_positions"].numpy()
    np.testing.assert_array_equal(np.take_along_axis(tokens, positions, 1), y)
    elsewhere = np.ones_like(tokens, bool)
    np.put_along_axis(elsewhere, positions, False, 1)
    np.testing.assert_array_equal(x["tokens"].numpy()[elsewhere], tokens[elsewhere])
    assert y.shape == weight.shape == (6, 10)
    assert all(len(set(row)) == 10 for row in positions)


def test_a_fraction_of_each_row_is_chosen_and_never_special_tokens():
    tokens = np.array(
        [[2, 7, 8, 9, 10, 11, 12, 13, 14], [2, 7, 1, 3, 0, 0, 0, 0, 0], [2] + [0] * 8]
    )
    positions, weight = draw_positions(tf.constant(tokens, tf.int32), keys_of(3), 0.5)
    # 4 of 8, the only usable one, and none: [CLS], [UNK], [SEP] and padding are not.
    np.testing.assert_array_equal(tf.reduce_sum(weight, axis=1), [4, 1, 0])
    assert positions.shape == (3, 5)  # half of 9, rounded up
    assert positions[1, 0] == 1
    assert 0 not in positions.numpy()[0, :4]


def test_of_the_chosen_four_fifths_are_hidden_and_a_tenth_is_another_piece():
    tokens = np.full((2000, 40), 7, np.int32)
    x, y, _ = masked(0.5)(FIELDS, {})({"tokens": tf.constant(tokens)}, None, keys_of(2000))
    now = np.take_along_axis(x["tokens"].numpy(), x["masked_positions"].numpy(), 1)
    assert (y.numpy() == 7).all()
    others = now[(now != 4) & (now != 7)]
    # 40 000 tokens: five standard errors of a fraction of 0.1 are 0.0075.
    assert abs((now == 4).mean() - 0.8) < 0.01
    assert abs(len(others) / now.size - 0.1 * 44 / 45) < 0.0075
    assert set(others) == set(range(5, IDS)) - {7}  # pieces of texts, no special token
    counts = np.bincount(others, minlength=IDS)[5:]
    assert counts.max() < 2 * counts.min() or counts.min() == 0  # 7 itself has none


def test_another_epoch_draws_others_and_width_and_batch_change_nothing():
    example = masked(0.2)(FIELDS, {})
    tokens = tokens_of(4)
    first, y, _ = example({"tokens": tf.constant(tokens)}, None, keys_of(4))
    again, _, _ = example({"tokens": tf.constant(tokens)}, None, keys_of(4))
    later, _, _ = example({"tokens": tf.constant(tokens)}, None, keys_of(4, epoch=1))
    np.testing.assert_array_equal(first["tokens"], again["tokens"])
    assert (first["masked_positions"].numpy() != later["masked_positions"].numpy()).any()
    wide = np.pad(tokens, ((0, 0), (0, 24)))  # as beside a longer row
    wider, more, weight = example({"tokens": tf.constant(wide)}, None, keys_of(4))
    np.testing.assert_array_equal(wider["tokens"][:, :40], first["tokens"])
    assert more.shape == (4, 13)
    np.testing.assert_array_equal(weight, np.tile(np.arange(13) < 8, (4, 1)))
    np.testing.assert_array_equal(more[:, :8], y)
    one = keys_of(4)._replace(index=tf.constant([2], tf.int64))
    alone, _, _ = example({"tokens": tf.constant(tokens[2:3])}, None, one)
    np.testing.assert_array_equal(alone["tokens"][0], first["tokens"][2])
