"""N-grams by value: a corpus of ten words, scikit-learn's CountVectorizer, hostile texts."""

import time

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from pipelines import DataError, Rows
from pipelines.core.prepared import prepare
from pipelines.steps import ngram_tree, ngrams
from pipelines.steps.ngrams import ngrams_form
from tests.conftest import fake_pipeline, fake_rows
from zoo.spec import Field

TEN_WORDS = ("good film", "a good film", "bad film", "a bad film")
PROSE = (
    "the film was good, really good!",
    "the film was not good.",
    "a film, a good one: the best",
    "not the best film ever made",
    "one was really made",
    "the the the",
)
HOSTILE = (
    *(
        "",
        " \t\n",
        "the film",
        "😀👩‍👩‍👧 the",
        "电影很好看电影",
        "na\u0308ive é",
        "\x00\x07the\x7f film",
    ),
    *(b"\xff\xfe film", b"film\xe5\xa5", "x" * 3000, "the " * 3000, "İß ẞ", "\u3000the\u2028film"),
)


def encoded(texts) -> np.ndarray:
    return np.array([t.encode() if isinstance(t, str) else t for t in texts], object)


def rows(texts, **columns) -> Rows:
    table = {"text": encoded(texts)} | columns
    return Rows(len(texts), {name: Field((), "string") for name in table}, None, table=table)


def form(kind="words", num_ngrams=1000, hashed=False, **options):
    return ngrams_form(kind, num_ngrams, hashed, **options)


def ids(part, texts, used=None) -> list[list[int]]:
    found = (used or form()).make_preprocess(part)({"text": tf.constant(encoded(texts))})["ngrams"]
    assert found.dtype == tf.int32
    assert found.shape[1] == ngrams.length(part)
    return [[int(i) for i in row if i] for row in found.numpy()]


def test_ids_of_ten_words_are_those_by_hand():
    """In two texts or more: film (4), good, a, bad (2, as first met), good film, bad film (2)."""
    part = form().fit(rows(TEN_WORDS))
    film, good, a, bad, good_film, bad_film = range(1, 7)
    assert ngrams.num_ids(part) == 7
    assert ids(part, TEN_WORDS) == [
        [good, good_film, film],
        [a, good, good_film, film],
        [bad, bad_film, film],
        [a, bad, bad_film, film],
    ]
    # Each once, in the order in which it begins; what is not counted breaks an n-gram.
    assert ids(part, ["Film GOOD film\ngood", "good new film", "nothing"]) == [
        [film, good, good_film],
        [good, film],
        [],
    ]
    assert part["words"].tobytes() == b"film\ngood\na\nbad\n"
    assert form().fields(part) == {"ngrams": Field((2048,), "int32", ids=7, length=2048)}


def test_padding_follows_the_ids():
    part = form().fit(rows(TEN_WORDS))
    [row] = form().make_preprocess(part)({"text": tf.constant(["good film"])})["ngrams"].numpy()
    np.testing.assert_array_equal(row, [2, 5, 1] + [0] * 2045)


def test_characters_never_cross_two_words():
    part = form("characters").fit(rows(["ab cd", "cd ab"]))
    # " ", a, b, " a", "ab", "b ", " ab", "ab ", " ab " of each word; the space alone is shared.
    assert ngrams.num_ids(part) - 1 == 2 * 9 - 1
    [one, other, none] = ids(part, ["ab", "abcd", "x"])
    assert len(one) == 9
    assert len(other) == 1 + 2 + 1 + 1 + 1 + 2 + 1 + 1 + 1
    assert len(none) == 1  # the space


@pytest.mark.parametrize("kind", ["words", "characters"])
def test_ngrams_are_those_of_count_vectorizer(kind):
    options = {
        "words": {"ngram_range": (1, 3), "token_pattern": r"\w+|[^\w\s]"},
        "characters": {"ngram_range": (1, 5), "analyzer": "char_wb"},
    }[kind]
    counter = CountVectorizer(binary=True, min_df=2, **options).fit(PROSE)
    part = form(kind).fit(rows(PROSE))
    asked = [*PROSE, "the best film was made", "nothing else, and really good!"]
    found = np.zeros((len(asked), ngrams.num_ids(part)), int)
    for row, numbers in zip(found, ids(part, asked), strict=True):
        assert len(set(numbers)) == len(numbers)
        row[numbers] = 1
    expected = counter.transform(asked).toarray()
    assert sorted(found[:, 1:].T.tolist()) == sorted(expected.T.tolist())
    frequency = found[: len(PROSE), 1:].sum(axis=0)
    assert (np.diff(frequency) <= 0).all()  # the most frequent first


def test_both_kinds_have_ids_of_their_own():
    words, characters, both = (form(kind).fit(rows(PROSE)) for kind in ngrams.KINDS)
    first = ngrams.num_ids(words) - 1
    assert ngrams.num_ids(both) - 1 == first + ngrams.num_ids(characters) - 1
    for one, other, found in zip(
        ids(words, HOSTILE), ids(characters, HOSTILE), ids(both, HOSTILE), strict=True
    ):
        assert found == one + [first + i for i in other]


def test_the_most_frequent_are_kept_with_all_their_parents():
    whole = form().fit(rows(PROSE))["edges_words"]
    for number in (1, 3, 7, len(whole)):
        part = form(num_ngrams=number).fit(rows(PROSE))
        np.testing.assert_array_equal(part["edges_words"], whole[:number])
        assert part["num_ngrams"] == number
        ids(part, HOSTILE)


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("kind", ngrams.KINDS)
def test_a_row_is_the_same_in_any_batch_and_in_a_graph(kind, hashed):
    used = form(kind, hashed=hashed)
    part = used.fit(rows(PROSE))
    together = ids(part, HOSTILE, used)
    assert [ids(part, [text], used)[0] for text in HOSTILE] == together
    assert ids(part, HOSTILE[::-1], used) == together[::-1]
    data = tf.data.Dataset.from_tensors({"text": encoded(HOSTILE)}).map(used.make_preprocess(part))
    mapped = next(iter(data))["ngrams"].numpy()
    assert [[int(i) for i in row if i] for row in mapped] == together
    assert together[0] == together[1] == []
    assert together[2]
    assert max(max(row, default=0) for row in together) < ngrams.num_ids(part)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.binary(max_size=24), min_size=1, max_size=4))
def test_any_bytes_are_taken_and_each_row_alone(texts):
    part = fake_pipeline("imdb", form="ngrams").state["inputs/ngrams"]
    together = ids(part, texts)
    assert [ids(part, [text])[0] for text in texts] == together


@pytest.mark.parametrize("kind", ngrams.KINDS)
@pytest.mark.parametrize("given", ["x", "film", "é😀"])
def test_a_word_of_any_length_takes_linear_time(kind, given):
    """Of 300 000 characters."""
    used = form(kind)
    long = given * (300_000 // len(given))
    start = time.perf_counter()
    part = used.fit(rows([f"a {long}", long]))
    assert len(ids(part, [long], used)[0]) > 0
    assert time.perf_counter() - start < 10
    assert sum(np.asarray(value).nbytes for value in part.values()) < 3_000_000


def test_texts_beyond_the_length_lose_their_end(monkeypatch):
    monkeypatch.setattr(ngrams, "_LENGTH", 3)
    part = form().fit(rows(TEN_WORDS))
    assert ids(part, ["a good film", "film", "bad film a good"]) == [[3, 2, 5], [1], [4, 6, 1]]


def test_hashed_ids_are_the_polynomial_by_hand():
    """Of words' hashes h: (((1 B + h1) B + h2) B + ...) mod p, spread, mod the number of ids."""
    used = form("words", 500, hashed=True)
    part = used.fit(rows(["x"]))
    assert not [name for name in part if name.startswith(("edges", "words"))]
    assert used.fields(part)["ngrams"].ids == 501
    prime, words = 2**31 - 1, ["some", "new", "words", "."]
    h = tf.strings.to_hash_bucket_fast(words, prime - 1).numpy().tolist()
    expected = []
    for first in range(4):
        state = 1
        for i in range(first, min(first + 3, 4)):
            state = (state * 1_103_515_245 + h[i] + 1) % prime
            bucket = 1 + state * 1_664_525 % prime % 500
            expected += [bucket] * (bucket not in expected)
    assert ids(part, ["some new words."], used) == [expected]


def test_hashes_are_spread_evenly():
    used = form("words", 64, hashed=True)
    part = used.fit(rows(["x"]))
    found = np.concatenate(ids(part, [f"w{i}" for i in range(6400)], used))
    counts = np.bincount(found, minlength=65)[1:]
    assert ((counts - 100) ** 2 / 100).sum() < 115  # chi-square, 63 degrees: 1 in 10 000


def test_auto_adds_characters_to_short_texts(monkeypatch):
    assert str(form("auto").fit(rows(PROSE))["ngrams"]) == "both"
    monkeypatch.setattr(ngrams, "_SHORT", sum(map(len, PROSE)) - 1)
    assert str(form("auto").fit(rows(PROSE))["ngrams"]) == "words"


def test_more_text_than_is_counted_is_sampled_evenly(monkeypatch):
    texts = [f"word{i}" for i in range(10, 50)]
    monkeypatch.setattr(ngram_tree, "_MAX_BYTES", sum(map(len, texts)) // 4)
    read, size = ngram_tree.sample(rows(texts), "text")
    assert size == sum(map(len, texts))
    expected = encoded(texts)[np.linspace(0, 39, 10).astype(int)]
    np.testing.assert_array_equal(np.concatenate(list(read())), expected)


@pytest.mark.parametrize(
    ("texts", "kind", "message"),
    [
        (["one", "two"], "words", "no n-gram of words is in 2 training texts"),
        (["", ""], "both", "no n-gram of both"),
        (PROSE, "letters", "ngrams=letters: expected auto, words, characters, both"),
    ],
)
def test_what_gives_no_ngrams_is_refused(texts, kind, message):
    with pytest.raises(DataError, match=message):
        form(kind).fit(rows(texts))


@pytest.mark.parametrize("kind", ngrams.KINDS)
def test_a_stored_state_gives_the_same_ids(kind, tmp_path):
    part = form(kind).fit(rows(PROSE))
    assert not any("/" in name for name in part)  # it stands for a part of the state
    np.savez(tmp_path / "state.npz", **part)
    with np.load(tmp_path / "state.npz") as stored:
        assert ids(dict(stored), HOSTILE) == ids(part, HOSTILE)


def test_form_takes_the_field_that_is_named():
    table = rows(["zzz"] * 4, title=encoded(TEN_WORDS))
    used = form(field="title")
    part = used.fit(table)
    np.testing.assert_array_equal(part["words"], form().fit(rows(TEN_WORDS))["words"])
    raw = {"title": tf.constant(["film"]), "text": tf.constant(["good"])}
    assert used.make_preprocess(part)(raw)["ngrams"].numpy()[0, :2].tolist() == [1, 0]


@pytest.mark.parametrize(
    "name", ["imdb", "docstrings", "text_folder", "text_lines", "text_table", "tfds_text"]
)
def test_every_text_pipeline_offers_them_and_fits_training_rows_alone(name):
    prepared = fake_pipeline(name, form="ngrams")
    field = prepared.spec.inputs["ngrams"]
    assert field.ids == ngrams.num_ids(prepared.state["inputs/ngrams"])
    assert (field.shape, field.length) == ((None,), ngrams.length(prepared.state["inputs/ngrams"]))
    if prepared.pipeline.cut is not None or prepared.pipeline.schema is None:
        return
    pipeline, table = prepared.pipeline, fake_rows(prepared.pipeline, prepared.schema)
    others = {k: table[k].table["text"] + b" elsewhere" for k in ("validation", "test")}
    changed = table | {
        k: table[k]._replace(table={**table[k].table, "text": v}) for k, v in others.items()
    }
    again = prepare(pipeline, pipeline.schema, changed, form="ngrams").state["inputs/ngrams"]
    assert again.keys() == prepared.state["inputs/ngrams"].keys()
    for key, value in again.items():
        np.testing.assert_array_equal(value, prepared.state["inputs/ngrams"][key])


def test_no_word_need_be_in_two_texts_where_characters_are():
    names = ["abc", "cba", "bca"]
    part = form("both").fit(rows(names))
    assert len(part["edges_words"]) == 0
    alone = form("characters").fit(rows(names))
    assert ids(part, [*names, "", "-1"]) == ids(alone, [*names, "", "-1"])
