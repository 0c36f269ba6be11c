"""The tokenizer by value: literal vocabularies, and a second implementation in plain Python."""

import functools
import re
import unicodedata

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import pipelines
from pipelines import DataError
from pipelines.steps.text import SPECIAL, Tokenizer, learn_vocabulary, words
from tests.conftest import fake_pipeline, fake_rows, run_python

PIECES = ("▁the", "▁film", "▁fil", "s", "ed", "▁", "f", "i", "l", "m", "▁好", "▁.", "▁!", "▁été")
TINY = np.array([*SPECIAL, *PIECES])
ALONE = ("HIRAGANA", "KATAKANA", "CJK UNIFIED", "CJK COMPAT", "THAI ", "LAO ", "KHMER ", "MYANMAR ")


@functools.cache
def tokenizer(vocabulary: tuple[str, ...], max_length: int):
    module = Tokenizer(np.array(vocabulary), max_length)
    raw = {"text": tf.TensorSpec((None,), tf.string)}
    return tf.function(module, input_signature=[raw], autograph=False)


def tokenize(*texts: bytes | str, vocabulary=TINY, max_length: int = 12) -> list[list[str]]:
    raw = [t.encode() if isinstance(t, str) else t for t in texts]
    found = tokenizer(tuple(vocabulary), max_length)({"text": tf.constant(raw)})["tokens"]
    assert found.shape == (len(raw), max_length)
    assert found.dtype == tf.int32
    return [[str(vocabulary[i]) for i in row if i] for row in found.numpy()]


@pytest.mark.parametrize(
    ("given", "pieces"),
    [
        ("the film", ["▁the", "▁film"]),
        ("The FILMS", ["▁the", "▁film", "s"]),  # lower case; the longest piece first
        ("filed", ["▁fil", "ed"]),
        ("filme", ["▁film", "[UNK]"]),  # the rest of the word is kept
        ("q", ["▁", "[UNK]"]),
        ("the film.", ["▁the", "▁film", "▁."]),
        ("film!!the", ["▁film", "▁!", "▁!", "▁the"]),
        ("好好film", ["▁好", "▁好", "▁film"]),  # Chinese has no spaces
        ("Été", ["▁été"]),
        ("the\t\r\n\u00a0\u3000film\x00", ["▁the", "▁film"]),
        ("", []),
        ("   ", []),
        ("[MASK]", ["▁", "[UNK]", "▁", "m", "[UNK]", "s", "[UNK]", "▁", "[UNK]"]),
        (b"\xff\xfe film", ["▁", "[UNK]", "▁", "[UNK]", "▁film"]),
        (b"film\xe5\xa5", ["▁film", "▁", "[UNK]"]),  # cut within a character
    ],
)
def test_pieces_of_a_literal_vocabulary(given, pieces):
    assert tokenize(given) == [["[CLS]", *pieces]]


def test_long_texts_lose_their_middle():
    long = "the the film film film the the the ."
    assert tokenize(long, max_length=6) == [["[CLS]", "▁the", "▁the", "▁the", "▁the", "▁."]]
    assert tokenize(long, max_length=5) == [["[CLS]", "▁the", "▁the", "▁the", "▁."]]
    assert tokenize("the film", long, max_length=3)[0] == ["[CLS]", "▁the", "▁film"]


def by_hand(given: str, vocabulary: list[str]) -> list[str]:
    """The same in plain Python, a character at a time."""
    split = "".join(
        f" {c} "
        if unicodedata.category(c)[0] in "PS" or unicodedata.name(c, "").startswith(ALONE)
        else c
        for c in given.lower()
    )
    found = ["[CLS]"]
    for word in re.split(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+", split):
        rest = f"▁{word}" if word else ""
        while rest:
            size = next((n for n in range(len(rest), 0, -1) if rest[:n] in vocabulary), 0)
            found.append(rest[:size] if size else "[UNK]")
            rest = rest[max(size, 1) :]
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(alphabet="thefilmsd .,!好\nété漢aQ9-", max_size=30), min_size=1, max_size=4)
)
def test_any_text_is_cut_as_in_plain_python(texts):
    found = tokenize(*texts, max_length=64)
    assert found == [by_hand(t, list(PIECES)) for t in texts]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=24), min_size=1, max_size=4))
def test_any_bytes_have_tokens_and_neighbours_do_not_matter(texts):
    together = tokenize(*texts)
    for row, alone in zip(together, texts, strict=True):
        assert row[0] == "[CLS]"
        assert tokenize(alone) == [row]


TEXTS = np.array(
    [t.encode() for t in ("low lower lowest", "new newer newest 低低", "wide wider")] * 4
)


def test_a_learnt_vocabulary_covers_its_texts_and_is_the_same_each_time():
    vocabulary = learn_vocabulary(iter([TEXTS[:6], TEXTS[6:]]), 60)
    assert list(vocabulary[: len(SPECIAL)]) == list(SPECIAL)
    assert len(set(vocabulary)) == len(vocabulary) <= 60
    assert "▁low" in vocabulary
    assert "▁低" in vocabulary
    joined = "".join("".join(row[1:]) for row in tokenize(*TEXTS[:3], vocabulary=vocabulary))
    assert joined.replace("▁", "") == "lowlowerlowestnewnewernewest低低widewider"
    program = (
        "import numpy as np\nfrom pipelines.steps.text import learn_vocabulary\n"
        f"texts = np.array({[bytes(t) for t in TEXTS]!r}, object)\n"
        "print('|'.join(learn_vocabulary(iter([texts]), 60)).encode())"
    )
    assert run_python("-c", program).stdout.strip() == repr("|".join(vocabulary).encode())


def test_texts_without_words_are_refused():
    with pytest.raises(DataError, match="no word"):
        learn_vocabulary(iter([np.array([b"", b" \n"], object)]), 60)


def test_the_vocabulary_is_learnt_from_training_texts_alone():
    pipeline = pipelines.get("imdb")
    rows = fake_rows(pipeline)
    others = {k: rows[k].table["text"] + b" elsewhere" for k in ("validation", "test")}
    changed = rows | {
        k: rows[k]._replace(table={**rows[k].table, "text": v}) for k, v in others.items()
    }
    first, second = (pipelines.prepared(pipeline, r).state["vocabulary"] for r in (rows, changed))
    np.testing.assert_array_equal(first, second)


def test_spec_says_the_size_of_the_vocabulary_and_the_longest_text():
    pipeline = fake_pipeline("imdb", max_length=40)
    assert pipeline.spec.vocab_size == len(pipeline.state["vocabulary"])
    assert pipeline.spec.max_length == 40
    assert pipeline.spec.inputs["tokens"].shape == (None,)


def test_words_are_valid_text():
    found = words(tf.constant([b"\xff ABC", "ß ẞ İ".encode()]))
    assert [w.decode() for w in found.flat_values.numpy()][:2] == ["\ufffd", "abc"]
