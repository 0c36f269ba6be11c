"""word2vec's loss and gradients on ten words, in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from pipelines.core.stream import stream
from tests.running_text import prepared_of
from trainers.tasks.registry import get
from zoo.spec import DataSpec, Field
from zoo.word2vec import Band

TEXTS = ["a b c d e", "f a b", "c f"]  # ten words
OPTIONS = {
    "min_count": 1,
    "window": 2,
    "negatives": 4,
    "negatives_per_pair": 3.0,
    "subsample": 0.0,
    "row_length": 7,
}


@pytest.fixture(scope="module", name="prepared")
def _prepared():
    return prepared_of("word_vectors", TEXTS, **OPTIONS)


def built(prepared, seed: int = 0) -> keras.Model:
    """With random vectors of contexts too, which begin at zero."""
    model = zoo.get("word2vec").build(prepared.spec, width=5)
    random = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(random.normal(size=variable.shape))
    return model


def log_sigmoid(x: float) -> float:
    return -np.log1p(np.exp(-x))


def test_loss_is_that_of_pairs_and_of_the_negatives_they_share(prepared):
    model = built(prepared)
    vectors, contexts = (v.numpy().astype(np.float64) for v in model.weights)
    data = stream(prepared, "train", batch_size=2, training=True, seed=0)
    losses = get("word_vectors").loss(prepared)
    for x, y, weight in data.take(5):
        expected = 0.0
        words = x["words"].numpy()
        for row, drawn, real in zip(words, x["negatives"].numpy(), weight.numpy(), strict=True):
            for i, word in enumerate(row):
                for j, offset in enumerate((-2, -1, 1, 2)):
                    if not real[i, j]:
                        continue
                    context = row[i + offset]
                    assert word > 0
                    assert context > 0
                    expected -= log_sigmoid(vectors[word] @ contexts[context])
                    for negative in drawn:  # 3 of each pair, in expectation over 4 draws
                        if negative != context:
                            expected -= 3 / 4 * log_sigmoid(-vectors[word] @ contexts[negative])
        found = tf.reduce_sum(losses(y, model(x), weight))
        assert expected > 0
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_gradients_touch_the_rows_of_words_that_are_seen(prepared):
    model = built(prepared)
    x, y, weight = next(iter(stream(prepared, "test", batch_size=1, training=False, seed=0)))
    losses = get("word_vectors").loss(prepared)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(losses(y, model(x), weight))
    gradients = tape.gradient(loss, [v.value for v in model.weights])
    touched = [set(np.flatnonzero(np.abs(tf.convert_to_tensor(g)).sum(axis=1))) for g in gradients]
    words, paired = x["words"].numpy(), weight.numpy()[..., :4].any(axis=2)
    drawn = set(x["negatives"].numpy().ravel())
    centres = set(words[paired])
    assert 0 < len(centres) < 6  # some words are in the other row
    assert touched[0] == centres
    assert centres <= touched[1] <= centres | drawn
    assert all(isinstance(g, tf.IndexedSlices) for g in gradients)


def test_vectors_begin_as_in_word2vec(prepared):
    words, contexts = (v.numpy() for v in zoo.get("word2vec").build(prepared.spec).weights)
    assert 0.4 / 128 < np.abs(words).max() <= 0.5 / 128
    assert not contexts.any()


def test_band_holds_the_neighbours_of_the_diagonal():
    scores = np.arange(2 * 25, dtype=np.float32).reshape(2, 5, 5) + 1
    band = Band(2)(scores).numpy()
    assert band.shape == (2, 5, 4)
    for i in range(5):
        for j, offset in enumerate((-2, -1, 1, 2)):
            expected = scores[:, i, i + offset] if 0 <= i + offset < 5 else 0
            np.testing.assert_array_equal(band[:, i, j], expected)
    wide = Band(4)(scores[:, :2, :2]).numpy()  # wider than the row
    np.testing.assert_array_equal(wide[0, 0], [0, 0, 0, 0, 2, 0, 0, 0])
    np.testing.assert_array_equal(wide[0, 1], [0, 0, 0, 6, 0, 0, 0, 0])


def test_other_data_is_refused():
    spec = DataSpec({"tokens": Field((None,), "int32", ids=9, length=4)}, "masked_lm", 9)
    with pytest.raises(ValueError, match="word2vec takes words and negatives"):
        zoo.get("word2vec").build(spec)


def test_vectors_of_no_numbers_are_refused(prepared):
    with pytest.raises(ValueError, match="width 0: expected 1 or more"):
        zoo.get("word2vec").build(prepared.spec, width=0)
