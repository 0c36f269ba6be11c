"""GloVe's loss on ten words, in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

import zoo
from pipelines.core.stream import stream
from tests.running_text import prepared_of
from trainers.tasks.registry import get
from zoo.spec import DataSpec, Field

TEXTS = ["a b c d e", "f a b", "c f"]  # ten words
OPTIONS = {"min_count": 1, "window": 3, "x_max": 1.5, "alpha": 0.75}


def pairs_of(texts) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for text in texts:
        words = text.split()
        for i, word in enumerate(words):
            for j, other in enumerate(words):
                if 0 < abs(i - j) <= 3:
                    found[word, other] = found.get((word, other), 0.0) + 1 / abs(i - j)
    return found


def test_loss_is_the_weighted_squared_error_of_logarithms():
    prepared = prepared_of("cooccurrence", TEXTS, **OPTIONS)
    model, random = zoo.get("glove").build(prepared.spec, width=5), np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(random.normal(size=variable.shape))
    word, context, b_word, b_context = (v.numpy().astype(np.float64) for v in model.weights)
    place = {letter: i for i, letter in enumerate(" abcfde")}  # twice each, then once
    expected, rows = 0.0, prepared.num_rows("train")
    for (a, b), count in pairs_of(TEXTS).items():
        i, j = place[a], place[b]
        answer = word[i] @ context[j] + b_word[i, 0] + b_context[j, 0]
        expected += min(1.0, (count / 1.5) ** 0.75) * (answer - np.log(count)) ** 2
    batches = stream(prepared, "train", batch_size=rows, training=True, seed=0)
    x, y, weight = next(iter(batches))
    assert rows == len(pairs_of(TEXTS))
    assert y.shape == (rows,)
    assert 0 < float(tf.reduce_min(weight)) < float(tf.reduce_max(weight)) == 1
    found = tf.reduce_sum(get("cooccurrence").loss(prepared)(y, model(x), weight))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_weights_begin_as_in_glove():
    prepared = prepared_of("cooccurrence", TEXTS, **OPTIONS)
    for variable in zoo.get("glove").build(prepared.spec, width=50).weights:
        assert 0 < np.abs(variable.numpy()).max() <= 0.01


def test_other_data_is_refused():
    spec = DataSpec({"tokens": Field((None,), "int32", ids=9, length=4)}, "masked_lm", 9)
    with pytest.raises(ValueError, match="glove takes pairs of words"):
        zoo.get("glove").build(spec)


def test_vectors_of_no_numbers_are_refused():
    prepared = prepared_of("cooccurrence", TEXTS, **OPTIONS)
    with pytest.raises(ValueError, match="width 0: expected 1 or more"):
        zoo.get("glove").build(prepared.spec, width=0)
