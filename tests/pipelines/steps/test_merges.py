"""Merges by hand, the same again in another process, and what is said without the library."""

import sys

import numpy as np
import pytest

from pipelines import DataError, Rows
from pipelines.steps import merges
from pipelines.steps.text import words
from pipelines.storage import kept
from tests.conftest import run_python
from zoo.spec import Field

# The example of Sennrich et al. 2016.
WORDS = {"low": 5, "lower": 2, "newest": 6, "widest": 3}
LEARNT = [  # by hand; of pairs as frequent as each other, that of the letters first in the alphabet
    *(("e", "s"), ("es", "t"), ("l", "o"), ("lo", "w"), ("e", "w"), ("n", "ew"), ("new", "est")),
    *(("d", "est"), ("i", "dest"), ("w", "idest"), ("e", "r"), ("low", "er")),
]


def test_counted_adds_the_words_of_all_chunks():
    chunks = [np.array([b"a b a", b""], object), np.array([b"b c"], object)]
    assert merges.counted(iter(chunks), words) == {"a": 2, "b": 2, "c": 1}


def test_learn_merges_the_most_frequent_pair_first():
    pytest.importorskip("tokenizers")
    alphabet = sorted(set("".join(WORDS)))
    assert merges.learn(WORDS, 100, alphabet) == LEARNT
    assert merges.learn(WORDS, 3, alphabet) == LEARNT[:3]
    assert merges.learn(WORDS, 0, alphabet) == []


def test_learn_makes_each_piece_once_and_after_its_parts():
    pytest.importorskip("tokenizers")
    draw = np.random.default_rng(0)
    found = {"".join(draw.choice(["a", "b"], 30)): 1 + i % 7 for i in range(300)}
    learnt = merges.learn(found, 1000, ["a", "b"])
    made = [left + right for left, right in learnt]
    assert len(set(made)) == len(made) > 300
    assert max(map(len, made)) <= merges.LONGEST
    known = {"a", "b"}
    for left, right in learnt:
        assert {left, right} <= known
        known.add(left + right)


@pytest.mark.slow  # another process
def test_learn_gives_the_same_in_another_process():
    pytest.importorskip("tokenizers")
    program = (
        "from pipelines.steps import merges\n"
        "words = {format(i * i * 7919, 'b'): 1 + i % 5 for i in range(2000)}\n"
        "print(merges.learn(words, 500, ['0', '1']))"
    )
    found = {format(i * i * 7919, "b"): 1 + i % 5 for i in range(2000)}
    assert run_python("-c", program).stdout.strip() == str(merges.learn(found, 500, ["0", "1"]))


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(DataError, match=r"pip install 'keras-tfds-zoo\[text\]'"):
        merges.learn(WORDS, 3, ["a"])


def test_sampled_learns_once_from_the_same_texts(monkeypatch, tmp_path):
    """Of two pipelines whose columns have different names; from other texts, again."""
    monkeypatch.setattr(kept.caches, "folder", lambda beside: tmp_path)
    monkeypatch.setattr(merges, "_SMALLEST", 10)
    asked = []

    def learn(texts, vocab_size):
        asked.append(vocab_size)
        return np.array([f"##{len(text)}" for chunk in texts for text in chunk])

    learn.__module__ = "tests"
    of_rows = merges.sampled(learn)

    def rows(name: str, *texts: bytes) -> Rows:
        table = {name: np.array(texts, object)}
        return Rows(len(texts), {name: Field((), "string")}, None, table=table)

    first = of_rows(rows("text", b"one", b"three three"), "text", 50)
    again = of_rows(rows("body", b"one", b"three three"), "body", 50)
    np.testing.assert_array_equal(first, ["##3", "##11"])
    np.testing.assert_array_equal(first, again)
    assert asked == [50]
    of_rows(rows("text", b"one", b"three three"), "text", 60)
    of_rows(rows("text", b"onethree ", b"three"), "text", 50)
    assert asked == [50, 60, 50]
