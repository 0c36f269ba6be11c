"""Windows, subsampling and negatives: by hand where nothing is drawn, else by what is likely."""

import re

import numpy as np
import pytest
import tensorflow as tf

from pipelines.core.keys import Keys
from pipelines.steps import skip_grams
from pipelines.steps.skip_grams import keep_probability


def keys_of(index, epoch: int = 0) -> Keys:
    return Keys(
        tf.constant(3, tf.int64), tf.constant(epoch, tf.int64), tf.constant(index, tf.int64)
    )


def example(words, index=None, counts=(40, 30, 20, 10), epoch: int = 0, **options):
    options = {"window": 1, "negatives": 3, "negatives_per_pair": 6.0, "subsample": 0.0} | options
    made = skip_grams.skip_grams(**options)({}, {"counts": np.array(counts)})
    index = range(len(words)) if index is None else index
    return made({"words": tf.constant(words)}, None, keys_of([*index], epoch))


def test_words_are_kept_as_word2vec_keeps_them():
    counts = np.array([900, 99, 1])
    expected = [1.0]
    for fraction in counts / 1000:
        kept = (np.sqrt(fraction / 0.01) + 1) * 0.01 / fraction
        expected.append(min(1.0, kept))
    np.testing.assert_allclose(keep_probability(counts, 0.01), expected)
    assert expected[1] < 0.12
    assert keep_probability(counts, 0.0).tolist() == [1.0] * 4


def test_what_is_kept_moves_together_in_order():
    random = np.random.default_rng(0)
    words = random.integers(1, 4, (500, 40)).astype(np.int32)
    words[:, 20] = 0  # between two texts
    probability = tf.constant([1.0, 0.2, 0.6, 1.0])
    kept = skip_grams.kept(tf.constant(words), probability, keys_of(range(500))).numpy()
    for row, left in zip(words, kept, strict=True):
        text = "".join(map(str, row)).replace("1", "1?").replace("2", "2?")
        assert _matches(text, "".join(map(str, left)).rstrip("0"))
    for word, expected in ((1, 0.2), (2, 0.6), (3, 1.0)):
        assert (kept == word).sum() / (words == word).sum() == pytest.approx(expected, abs=0.02)
    # Whatever rows stand beside it, and another in another epoch.
    alone = skip_grams.kept(tf.constant(words[7:8]), probability, keys_of([7])).numpy()[0]
    np.testing.assert_array_equal(np.trim_zeros(alone, "b"), np.trim_zeros(kept[7], "b"))
    other = skip_grams.kept(tf.constant(words[7:8]), probability, keys_of([7], epoch=1)).numpy()[0]
    assert np.trim_zeros(other, "b").tolist() != np.trim_zeros(alone, "b").tolist()


def _matches(pattern: str, text: str) -> bool:
    return re.fullmatch(f"{pattern.rstrip('0')}0*", text) is not None


def test_windows_stay_within_their_text_and_row():
    words = tf.tile([[1, 2, 0, 3, 4, 5, 0, 0]], [50, 1])
    contexts, real = skip_grams.contexts_of(words, 3, keys_of(range(50)))
    places = np.argwhere(real.numpy())
    pairs = {(int(words[b, i]), int(contexts[b, i, j])) for b, i, j in places}
    # Across the 0, 2 and 3 would be near enough.
    assert pairs == {(1, 2), (2, 1), (3, 4), (3, 5), (4, 3), (4, 5), (5, 3), (5, 4)}


def test_windows_have_each_size_equally_often():
    words = tf.ones((400, 30), tf.int32)
    _, real = skip_grams.contexts_of(words, 5, keys_of(range(400)))
    inner = real.numpy()[:, 5:-5]  # whose windows no edge cuts
    np.testing.assert_array_equal(inner[..., :5], inner[..., :4:-1])  # as far to both sides
    size = inner.sum(axis=2) // 2
    for expected in range(1, 6):
        assert (size == expected).mean() == pytest.approx(0.2, abs=0.02)
        np.testing.assert_array_equal(inner[size == expected][0, :5], np.arange(5) >= 5 - expected)


def test_negatives_have_the_power_of_their_counts_and_belong_to_the_row():
    counts = np.array([1000, 100, 10, 1])
    words = np.ones((2000, 2), np.int32)
    x, _, _ = example(words, counts=counts, negatives=50)
    drawn = x["negatives"].numpy()
    assert drawn.shape == (2000, 50)
    fractions = np.bincount(drawn.ravel(), minlength=5)[1:] / drawn.size
    np.testing.assert_allclose(fractions, counts**0.75 / np.sum(counts**0.75), atol=0.005)
    assert len({tuple(row) for row in drawn.tolist()}) > 1900
    alone, _, _ = example(words[:1], index=[9], counts=counts, negatives=50)
    np.testing.assert_array_equal(alone["negatives"], drawn[9:10])


def test_weights_of_negatives_are_those_of_pairs_that_they_are_not_in():
    x, y, weight = example([[1, 2, 1, 0, 3, 3]], negatives=4, negatives_per_pair=6.0)
    np.testing.assert_array_equal(y[0], [[1, 1, 0, 0, 0, 0]] * 6)
    words, drawn = x["words"].numpy()[0], x["negatives"].numpy()[0]
    for i, beside in enumerate([[2], [1, 1], [2], [], [3], [3]]):
        assert weight[0, i, :2].numpy().sum() == len(beside)
        expected = [1.5 * sum(context != negative for context in beside) for negative in drawn]
        np.testing.assert_allclose(weight[0, i, 2:], expected)
    assert words.tolist() == [1, 2, 1, 0, 3, 3]


def test_pairs_weigh_a_positive_and_the_chosen_number_of_negatives():
    random = np.random.default_rng(0)
    words = random.choice(4, (300, 20), p=[0.4, 0.3, 0.2, 0.1]).astype(np.int32) + 1
    _, y, weight = example(words, window=3, negatives=8, negatives_per_pair=5.0)
    positive = float(tf.reduce_sum(weight * y))
    negative = float(tf.reduce_sum(weight * (1 - y)))
    share = np.array([40, 30, 20, 10]) ** 0.75
    share /= share.sum()
    contexts = np.bincount(words.ravel(), minlength=5)[1:] / words.size
    missed = (share * contexts).sum()  # a negative that is the pair's own word counts for nothing
    assert negative / positive == pytest.approx(5.0 * (1 - missed), rel=0.02)
    # Nothing depends on the batch.
    _, _, alone = example(words[5:6], index=[5], window=3, negatives=8, negatives_per_pair=5.0)
    np.testing.assert_array_equal(alone, weight[5:6])


def test_width_is_that_of_what_is_kept():
    words = np.ones((3, 200), np.int32)
    x, y, _ = example(words, counts=(100,), subsample=0.01)
    assert x["words"].shape[1] < 64
    assert x["words"].shape[1] % 16 == 0
    assert y.shape == (3, x["words"].shape[1], 5)
