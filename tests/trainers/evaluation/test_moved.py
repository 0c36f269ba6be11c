"""Words that moved an answer, by hand."""

import numpy as np

from trainers.evaluation import moved

WEIGHTS = {"good": 2.0, "bad": -3.0, "\u597d": 1.0}


def ask(texts: list[bytes]) -> np.ndarray:
    """Logits (B, 1) of a model that adds a weight for every occurrence of a word."""
    return np.array(
        [
            [sum(w * t.decode("utf-8", "ignore").count(word) for word, w in WEIGHTS.items())]
            for t in texts
        ]
    )


def sigmoid(x: float) -> float:
    return 1 / (1 + np.exp(-x))


def test_words_are_sorted_by_what_the_answer_loses_without_them():
    found = moved.described(ask, "good, good and bad: \u597d".encode())
    # The logit is 2 + 2 - 3 + 1 = 2, so the answer is the second class.
    change = {
        "bad": sigmoid(2) - sigmoid(5),
        "good": sigmoid(2) - sigmoid(-2),
        "\u597d": sigmoid(2) - sigmoid(1),
    }
    order = sorted(change, key=lambda word: -abs(change[word]))
    assert found == ", ".join(f"{word} {change[word]:+.2f}" for word in order)
    assert found.startswith("good +0.76, \u597d +0.15, bad -0.11")


def test_the_first_class_is_an_answer_too_and_empty_texts_have_no_words():
    assert moved.described(ask, b"bad") == f"bad {sigmoid(3) - sigmoid(0):+.2f}"
    assert moved.described(ask, b"") == ""
    assert moved.described(ask, b"\xff\xfe ...") == ""


def test_several_classes_compare_the_one_that_was_answered():
    def three(texts):
        return np.array([[1.0 * t.count(b"a"), 2.0 * t.count(b"b"), 0.0] for t in texts])

    powers = np.exp([1.0, 2.0, 0.0])
    before = powers[1] / powers.sum()
    after = 1.0 / (np.e + 1.0 + 1.0)
    assert moved.described(three, b"a b").startswith(f"b {before - after:+.2f}, a -")


def test_a_word_is_left_out_wherever_it_stands_and_only_as_a_whole():
    assert moved._without("ab b, AB ab.b", "b") == "ab  , AB ab. "


def test_marks_belong_to_the_word_that_they_stand_in():
    hindi = "\u0939\u093f\u0928\u094d\u0926\u0940 \u092b\u093f\u0932\u094d\u092e"
    assert moved._WORD.findall(hindi) == hindi.split()
    assert moved._WORD.findall("cafe\u0301 don't a_b \u5f71\u7247") == [
        *("cafe\u0301", "don", "t", "a", "b", "\u5f71", "\u7247")
    ]
