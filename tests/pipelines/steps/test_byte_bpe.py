"""Byte-level BPE: by hand, equal to Hugging Face's, and no byte is lost."""

import random
import time

import numpy as np
import pytest
import tensorflow as tf

from pipelines.core.specs import trace
from pipelines.steps import byte_bpe
from pipelines.steps.byte_bpe import BYTES, MIN_VOCAB_SIZE, BytePieces, decode, pieces
from pipelines.steps.pieces import SPECIAL
from tests.pipelines.steps import hostile

TEXTS = np.array([text.encode() for text in (*hostile.TEXTS, *hostile.drawn(400, 60))], object)


def merges_of(*pairs: str) -> np.ndarray:
    """Merges of pieces that are written "left right"."""
    known = pieces(np.zeros((0, 2), np.int32))
    found = []
    for left, right in (pair.encode().split(b" ") for pair in pairs):
        # The lowest ids are of special pieces, which have no bytes.
        found.append((known.index(left, BYTES), known.index(right, BYTES)))
        known.append(left + right)
    return np.array(found, np.int32).reshape(-1, 2)


def encoder(merges: np.ndarray):
    codec = BytePieces(merges)
    traced = trace(codec.encode, tf.TensorSpec((None,), tf.string))
    # Held, since a traced function holds no tables.
    return lambda texts, codec=codec: traced(tf.constant(texts, tf.string)).to_list()


@pytest.fixture(scope="module", name="learnt")
def _learnt() -> np.ndarray:
    pytest.importorskip("tokenizers")
    return byte_bpe.learn(iter([TEXTS[:200], TEXTS[200:]]), 700)


@pytest.fixture(scope="module", name="encode")
def _encode(learnt):
    return encoder(learnt)


@pytest.mark.parametrize(
    ("merges", "text", "expected"),
    [
        (("b c", "a b"), "abc", "a bc"),  # learnt first, not the longest match from the left
        (("a b", "b c", "ab c"), "abcbc", "abc bc"),
        (("a a", "aa aa"), "aaaaaaa", "aaaa aa a"),  # in twos from the left
        (("a b", "ab ab"), "abababx", "abab ab x"),
        (("x a", "a a"), "x" + "a" * 101, "xa" + " aa" * 50),  # over 64 bytes
        (("l o", "lo w", "e r"), "lowerer-low", "low er er - low"),
    ],
)
def test_the_pair_that_was_learnt_first_is_merged_everywhere(merges, text, expected):
    merged = merges_of(*merges)
    known = pieces(merged)
    [ids] = encoder(merged)([text.encode()])
    assert [known[i] for i in ids] == expected.encode().split(b" ")
    assert decode(merged, ids) == text.encode()


def test_ids_of_bytes_follow_the_special_ones():
    [ids] = encoder(merges_of("a b"))([b"\x00ab\xff"])
    assert len(SPECIAL) == BYTES
    assert ids == [BYTES, MIN_VOCAB_SIZE, BYTES + 255]


def test_encode_equals_hugging_face_on_hostile_texts(learnt, encode):
    made = hostile.hugging_face().byte_level(learnt)
    found = encode(TEXTS.tolist())
    assert found == [made.encode(text.decode()).ids for text in TEXTS]
    assert max(map(len, found)) > 100


@pytest.mark.parametrize("alphabet", ["a", "ab", "etaoinshrdlu"])
def test_encode_equals_hugging_face_on_words_of_any_length(alphabet):
    """Words of over 64 bytes are merged in many places at once."""
    draw = random.Random(0)  # noqa: S311
    texts = ["".join(draw.choices(alphabet, k=k)) for k in [*range(200), *range(1000, 1020)]]
    learnt = byte_bpe.learn(iter([np.array([t.encode() for t in texts], object)]), 500)
    made = hostile.hugging_face().byte_level(learnt)
    found = encoder(learnt)([text.encode() for text in texts])
    assert found == [made.encode(text).ids for text in texts]


@pytest.mark.parametrize("part", ["a", "etaoinshrdlu"])
def test_a_word_of_any_length_takes_linear_time(learnt, encode, part):
    """Of 300 000 bytes, beside short ones; a round for each pair takes minutes."""
    draw = random.Random(0)  # noqa: S311
    text = "".join(draw.choices(part, k=300_000)).encode()
    start = time.perf_counter()
    short = [b"%d" % i for i in range(2000)]  # a table of all would have 600 million places
    found = encode([text, *short])
    assert time.perf_counter() - start < 15
    assert [decode(learnt, ids) for ids in found] == [text, *short]


def test_no_byte_is_lost(learnt, encode):
    content = np.random.default_rng(0).integers(0, 256, 10_000, np.uint8).tobytes()
    texts = [content[i * i : (i + 1) ** 2] for i in range(100)] + [b"\xef\xbb\xbfa", b"\xe4\xbd"]
    found = encode(texts)
    assert [decode(learnt, row) for row in found] == texts
    ids, codec = tf.ragged.constant(found, tf.int32), BytePieces(learnt)
    assert codec.decode(ids).numpy().tolist() == texts
    padded = tf.concat(
        [tf.fill([len(texts), 1], 2), ids.to_tensor(), tf.zeros([102, 3], tf.int32)], 1
    )
    assert codec.decode(padded).numpy().tolist() == texts


def test_learn_gives_each_piece_once_and_the_same_merges_again(learnt):
    again = byte_bpe.learn(iter([TEXTS]), 700)
    np.testing.assert_array_equal(learnt, again)
    known = pieces(learnt)
    assert len(known) == 700
    assert len(set(known[BYTES:])) == len(known) - BYTES
    assert (learnt < np.arange(MIN_VOCAB_SIZE, 700)[:, None]).all()  # parts before what they make


def test_learn_without_merges_needs_no_library():
    assert byte_bpe.learn(iter([TEXTS]), MIN_VOCAB_SIZE).shape == (0, 2)
