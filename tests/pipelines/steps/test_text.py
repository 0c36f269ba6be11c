"""The tokenizer by value: literal vocabularies, and a second implementation in plain Python."""

import functools
import re
import time
import unicodedata

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import pipelines
from pipelines import DataError, Rows
from pipelines.steps.text import SPECIAL, Tokenizer, learn_vocabulary, pieces_form, words
from tests.conftest import run_python
from zoo.spec import Field

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
def test_tokenizer_cuts_into_the_longest_pieces(given, pieces):
    assert tokenize(given) == [["[CLS]", *pieces]]


@pytest.mark.parametrize("given", ["thefilmsed" * 30, "q" * 300, "é😀s" * 99 + "film"])
def test_tokenizer_cuts_long_words_as_plain_python_does(given):
    found = tokenize(given, f"the {given} {given}s film", max_length=3000)
    assert found[0] == by_hand(given, list(PIECES))
    assert found[1] == by_hand(f"the {given} {given}s film", list(PIECES))


@pytest.mark.parametrize("part", ["a", "film", "s\u0301", "😀x", "\xad", "fi lm"])
def test_tokenizer_takes_a_text_of_any_length_in_linear_time(part):
    """Of 300 000 characters; a quadratic one takes 47 s for 30 000."""
    tokenize("the")
    start = time.perf_counter()
    [found] = tokenize(part * (300_000 // len(part)))
    assert time.perf_counter() - start < 10
    assert len(found) == 12


def test_pieces_of_one_that_begins_with_another_piece_are_the_longest_that_fit():
    """The way through the tree passes "▁ab" and dies before "▁abcde": back to the piece."""
    vocabulary = np.array([*SPECIAL, "▁ab", "▁abcde", "c", "cd", "d", "e"])
    assert tokenize("abcdf abcde abc", vocabulary=vocabulary) == [
        ["[CLS]", "▁ab", "cd", "[UNK]", "▁abcde", "▁ab", "c"]
    ]


def test_tokenizer_cuts_the_middle_of_long_texts():
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
def test_tokenizer_equals_plain_python_on_any_text(texts):
    found = tokenize(*texts, max_length=64)
    assert found == [by_hand(t, list(PIECES)) for t in texts]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=24), min_size=1, max_size=4))
def test_tokenizer_takes_any_bytes_and_each_row_alone(texts):
    together = tokenize(*texts)
    for row, alone in zip(together, texts, strict=True):
        assert row[0] == "[CLS]"
        assert tokenize(alone) == [row]


TEXTS = np.array(
    [t.encode() for t in ("low lower lowest", "new newer newest 低低", "wide wider")] * 4
)


def test_learn_vocabulary_covers_its_texts_and_is_the_same_each_time():
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


@pytest.mark.parametrize("noise", ["z" * 100_000, "qx" * 50_000, "s\u0301" * 500])
def test_learn_vocabulary_leaves_out_what_is_too_long_for_a_word(noise):
    """Otherwise its characters outnumber all others, which become [UNK]."""
    noisy = np.array([*TEXTS, f"new {noise} low".encode()], object)
    plain = np.array([*TEXTS, b"new low"], object)
    np.testing.assert_array_equal(
        learn_vocabulary(iter([noisy]), 60), learn_vocabulary(iter([plain]), 60)
    )


def test_learn_vocabulary_reads_texts_with_the_sign_that_sentencepiece_reserves():
    """It would skip the whole text, and find no text at all where each has the sign."""
    lines = [text.decode() for text in TEXTS]
    signed = np.array([f"\u2582\u2585\u2587 {line}\u2585".encode() for line in lines], object)
    plain = np.array([f"\u2582\u2587 {line}".encode() for line in lines], object)
    found = learn_vocabulary(iter([signed]), 60)
    assert "▁low" in found
    np.testing.assert_array_equal(found, learn_vocabulary(iter([plain]), 60))


def test_learn_vocabulary_refuses_texts_without_words():
    with pytest.raises(DataError, match="no word"):
        learn_vocabulary(iter([np.array([b"", b" \n"], object)]), 60)


def test_pieces_form_fits_the_field_that_is_named():
    """The texts of the other one are not learnt, and the part records the option."""
    table = {"title": TEXTS.astype(object), "text": np.array([b"zzz"] * len(TEXTS), object)}
    fields = {name: Field((), "string") for name in table}
    rows = Rows(len(TEXTS), fields, None, table=table)
    form = pieces_form(60, 9, field="title")
    part = form.fit(rows)
    np.testing.assert_array_equal(part["vocabulary"], learn_vocabulary(iter([TEXTS]), 60))
    assert part["vocab_size"] == 60
    size = len(part["vocabulary"])
    assert form.fields(part) == {"tokens": Field((9,), "int32", ids=size, length=9)}
    raw = {"title": tf.constant([b"low"]), "text": tf.constant([b"zzz"])}
    [row] = form.make_preprocess(part)(raw)["tokens"].numpy()
    assert [str(part["vocabulary"][i]) for i in row if i] == ["[CLS]", "▁low"]


def test_pieces_form_takes_the_only_text_where_none_is_named():
    table = {"words": TEXTS.astype(object), "label": np.zeros(len(TEXTS), np.int64)}
    fields = {"words": Field((), "string"), "label": Field((), "int64")}
    part = pieces_form(60, 9).fit(Rows(len(TEXTS), fields, "label", table=table))
    np.testing.assert_array_equal(part["vocabulary"], learn_vocabulary(iter([TEXTS]), 60))


def rows_of(texts: np.ndarray) -> Rows:
    return Rows(len(texts), {"text": Field((), "string")}, None, table={"text": texts})


@pytest.mark.parametrize(
    ("tokenizer", "array", "expected"),
    [("bytes", "merges", [b"Low", b" \xff"]), ("word_pieces", "vocabulary", [b"low", b""])],
)
def test_pieces_form_has_other_tokenizers_which_are_exported(tmp_path, tokenizer, array, expected):
    pytest.importorskip("tokenizers")
    form = pieces_form(300, 9, tokenizer=tokenizer)
    part = form.fit(rows_of(TEXTS.astype(object)))
    assert (str(part["tokenizer"]), int(part["vocab_size"])) == (tokenizer, 300)
    size = 261 + len(part["merges"]) if tokenizer == "bytes" else len(part["vocabulary"])
    assert form.fields(part) == {"tokens": Field((9,), "int32", ids=size, length=9)}
    # Adopted by a run that names no tokenizer, and exported.
    preprocess = pieces_form(300, 9).make_preprocess(part)
    raw = {"text": tf.TensorSpec((None,), tf.string)}
    preprocess.serve = tf.function(preprocess.__call__, input_signature=[raw], autograph=False)
    tf.saved_model.save(preprocess, str(tmp_path))
    texts = tf.constant([b"Low", b" \xff"])
    found = preprocess({"text": texts})["tokens"]
    assert found.dtype == tf.int32
    assert found.shape == (2, 9)
    assert found[:, 0].numpy().tolist() == [2, 2]  # [CLS]
    served = tf.saved_model.load(str(tmp_path)).serve({"text": texts})["tokens"]
    np.testing.assert_array_equal(served, found)
    assert preprocess.decode(found).numpy().tolist() == expected
    ids = preprocess.all_tokens({"text": texts}).to_tensor(shape=(2, 9))
    np.testing.assert_array_equal(ids, found)
    other = pieces_form(300, 9).make_preprocess(pieces_form(300, 9).fit(rows_of(TEXTS)))
    assert other.fingerprint != preprocess.fingerprint
    assert array in part


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *(("docstrings", {}), ("imdb", {}), ("library_text", {})),
        *(("text_lines", {"data_files": "a.tsv"}), ("tfds_text", {"dataset": "a"})),
    ],
)
def test_every_text_pipeline_has_the_option(name, options):
    with pytest.raises(DataError, match="tokenizer=none: expected pieces, bytes, word_pieces"):
        pipelines.get(name, tokenizer="none", **options)
    assert "pieces" in pipelines.get(name, tokenizer="bytes", **options).forms


def test_pieces_form_refuses_what_no_tokenizer_is():
    with pytest.raises(
        DataError, match="tokenizer=characters: expected pieces, bytes, word_pieces"
    ):
        pieces_form(300, 9, tokenizer="characters")
    with pytest.raises(DataError, match="vocab_size=100: expected 261 or more"):
        pieces_form(100, 9, tokenizer="bytes")


def test_pieces_form_refuses_a_vocabulary_of_another_tokenizer():
    """An earlier version recorded no tokenizer, so that adopting cannot compare it."""
    with pytest.raises(
        DataError, match="tokenizer=bytes, but the vocabulary is of tokenizer=pieces"
    ):
        pieces_form(300, 9, tokenizer="bytes").make_preprocess({"vocabulary": TINY})
    old = pieces_form(300, 12).make_preprocess({"vocabulary": TINY})
    found = old({"text": tf.constant(["the film"])})["tokens"]
    assert [str(TINY[i]) for i in found[0] if i] == ["[CLS]", "▁the", "▁film"]


def test_words_are_valid_text():
    found = words(tf.constant([b"\xff ABC", "ß ẞ İ".encode()]))
    assert [w.decode() for w in found.flat_values.numpy()][:2] == ["\ufffd", "abc"]


def test_words_after_a_nul_are_read():
    assert words(tf.constant([b"Good film\0BAD film"])).to_list() == [
        [b"good", b"film", b"bad", b"film"]
    ]


@pytest.mark.parametrize("texts", [[b"x"], ["\u4f60 \u597d".encode()], [b"ab", b"ba"]])
def test_a_vocabulary_is_learnt_from_very_short_texts(texts):
    """sentencepiece wants room for ten bytes."""
    found = learn_vocabulary(iter([np.array(texts, object)]), 500).tolist()
    assert {c for text in texts for c in text.decode() if c != " "} <= set("".join(found[5:]))
