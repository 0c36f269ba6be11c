"""The n-gram model: ratios and logits by hand, scikit-learn's naive Bayes, padding."""

import numpy as np
import pytest
from sklearn.naive_bayes import MultinomialNB

import zoo
from zoo.spec import DataSpec, Field
from zoo.text_ngram import log_count_ratios

# "good film", "a good film", "bad film", "a bad film" as film 1, good 2, a 3, bad 4, "good film" 5,
# "bad film" 6; the first two are good.
TEN_WORDS = np.array([[2, 5, 1, 0], [3, 2, 5, 1], [4, 6, 1, 0], [3, 4, 6, 1]])
LABELS = np.array([1, 1, 0, 0])
RANDOM = np.random.default_rng(0)


def model(size: int = 7, outputs: int = 1, length: int = 4):
    field = Field((None,), "int32", ids=size, length=length)
    return zoo.get("text_ngram").build(DataSpec({"ngrams": field}, "binary", outputs))


def ratios_of(built, *batches) -> tuple[np.ndarray, np.ndarray]:
    found = log_count_ratios(built, iter([({"ngrams": ids}, y) for ids, y in batches]))
    return found["ratio/embeddings"], found["logits/kernel"]


def test_ratios_of_ten_words_are_those_by_hand():
    """One more than the counts in good texts are 3 3 2 1 3 1, in bad ones 3 1 2 3 1 3: 13 each."""
    ratio, bias = ratios_of(model(), (TEN_WORDS[:3], LABELS[:3]), (TEN_WORDS[3:], LABELS[3:]))
    third = np.log(3)
    np.testing.assert_allclose(ratio[:, 0], [0, 0, third, 0, -third, third, -third], atol=1e-6)
    np.testing.assert_array_equal(bias, [[0]])
    # Three of four texts are good: odds of (3 + 1) to (1 + 1).
    _, bias = ratios_of(model(), (TEN_WORDS, np.array([1, 1, 1, 0])))
    np.testing.assert_allclose(bias, [[np.log(2)]], rtol=1e-6)


def test_logits_are_the_weighted_ratios_over_their_norm():
    built = model()
    ratio, bias = ratios_of(built, (TEN_WORDS, LABELS))
    built.get_layer("ratio").set_weights([ratio])
    built.get_layer("logits").set_weights([bias + 0.25])
    np.testing.assert_array_equal(built({"ngrams": TEN_WORDS}), np.full((4, 1), 0.25))
    built.get_layer("weight").set_weights([np.full((7, 1), 0.1)])
    # Two ratios of log 3 and zeros: 10 * 0.1 * 2 log 3 / sqrt(2 log 3 ** 2).
    expected = 0.25 + np.sqrt(2) * np.array([1, 1, -1, -1])
    np.testing.assert_allclose(built({"ngrams": TEN_WORDS})[:, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(built({"ngrams": np.zeros((1, 4), int)}), [[0.25]])


@pytest.mark.parametrize("target", ["classes", "labels"])
def test_ratios_are_differences_of_naive_bayes_of_each_class_against_the_rest(target):
    ids = np.array([np.sort(RANDOM.permutation(19)[:9]) for _ in range(60)])  # 0 is padding
    y = RANDOM.integers(0, 3, 60)
    member = y[:, None] == np.arange(3)
    if target == "labels":
        member = RANDOM.random((60, 3)) < 0.4
        y = member.astype(np.float32)
    ratio, bias = ratios_of(model(19, 3), (ids[:32], y[:32]), (ids[32:], y[32:]))
    present = np.zeros((60, 19))
    np.put_along_axis(present, ids, 1, axis=1)
    for output in range(3):
        bayes = MultinomialNB(alpha=1.0).fit(present[:, 1:], member[:, output])
        expected = np.subtract(*bayes.feature_log_prob_[::-1])
        np.testing.assert_allclose(ratio[1:, output], expected, rtol=1e-5, atol=1e-6)
    assert (ratio[0] == 0).all()
    number = member.sum(axis=0) + 1
    expected = number / 63 if target == "classes" else number / (62 - number)
    np.testing.assert_allclose(bias[0], np.log(expected), rtol=1e-5)


def test_a_number_as_target_leaves_the_ratios_at_one():
    assert log_count_ratios(model(), iter([({"ngrams": TEN_WORDS}, np.ones(4, np.float32))])) == {}
    assert (np.array(model().get_layer("ratio").weights[0]) == 1).all()


def test_ratios_are_frozen():
    assert [v.path for v in model().trainable_variables] == ["weight/embeddings", "logits/kernel"]


def test_padding_changes_no_answer():
    built = model(50, 3)
    built.set_weights([RANDOM.normal(size=w.shape) for w in built.get_weights()])
    ids = RANDOM.integers(1, 50, (5, 9))
    wide = np.pad(ids, [(0, 0), (0, 30)])
    np.testing.assert_allclose(built({"ngrams": ids}), built({"ngrams": wide}), rtol=1e-5)
    spread = np.zeros((5, 18), int)
    spread[:, ::2] = ids
    np.testing.assert_allclose(built({"ngrams": ids}), built({"ngrams": spread}), rtol=1e-5)


def test_other_inputs_are_refused():
    field = Field((None,), "int32", ids=7, length=4)
    with pytest.raises(ValueError, match="text_ngram takes the input form ngrams"):
        zoo.get("text_ngram").build(DataSpec({"tokens": field}, "binary", 1))
