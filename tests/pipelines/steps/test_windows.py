"""Texts in windows: every token once and in order, the same from memory and from disk."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines.core.pipeline import Rows
from pipelines.core.rows import take
from pipelines.steps.text import Tokenizer, learn_vocabulary
from pipelines.steps.windows import in_windows
from zoo.spec import Field

TEXTS = [b"one two", b"", b"three four five " * 30, b"six", b"one " * 700] * 3
FIELDS = {"text": Field((), "string"), "label": Field((), "int64")}


@pytest.fixture(scope="module", name="vocabulary")
def _vocabulary():
    return learn_vocabulary(iter([np.array(TEXTS, object)]), 60)


@pytest.fixture(scope="module", name="tokenizer")
def _tokenizer(vocabulary):
    return Tokenizer(vocabulary, max_length=16)


def rows_of(tmp_path=None) -> Rows:
    table = {"text": np.array(TEXTS, object), "label": np.arange(len(TEXTS))}
    if tmp_path is None:
        return Rows(len(TEXTS), FIELDS, "label", table=table)
    read = lambda index: {name: column[index] for name, column in table.items()}
    return Rows(len(TEXTS), FIELDS, "label", read=read, identity="a", cache=str(tmp_path))


@pytest.mark.parametrize("stored", [False, True])
def test_every_token_is_in_one_window_in_order(tokenizer, tmp_path, stored):
    rows = in_windows(rows_of(tmp_path if stored else None), tokenizer)
    expected = tokenizer.all_tokens({"text": tf.constant(TEXTS)}).flat_values.numpy()
    assert rows.num_rows == -(-len(expected) // 16)
    assert rows.target is None
    tokens = take(rows, np.arange(rows.num_rows))["tokens"]
    assert tokens.shape == (rows.num_rows, 16)
    np.testing.assert_array_equal(tokens.ravel()[: len(expected)], expected)
    assert not tokens.ravel()[len(expected) :].any()
    assert (expected == 2).sum() == len(TEXTS)  # a [CLS] before each text, also an empty one
    # By number, in any order.
    np.testing.assert_array_equal(take(rows, np.array([5, 1]))["tokens"], tokens[[5, 1]])


def test_windows_on_disk_are_written_once_and_again_for_other_tokens(vocabulary, tmp_path):
    tokenizer = Tokenizer(vocabulary, max_length=16)
    in_windows(rows_of(tmp_path), tokenizer)
    in_windows(rows_of(tmp_path), tokenizer)
    folders = sorted(tmp_path.rglob("arranged-*"))
    assert len(folders) == 1
    rows = in_windows(rows_of(tmp_path), Tokenizer(vocabulary, max_length=8))
    assert len(list(tmp_path.rglob("arranged-*"))) == 2
    assert rows.fields["tokens"].shape == (8,)


def test_decoded_tokens_give_the_same_tokens_again(tokenizer):
    texts = tf.constant([b"one two three", b"", b"six, five"])
    tokens = tokenizer({"text": texts})["tokens"]
    decoded = tokenizer.decode(tokens)
    assert decoded.numpy().tolist()[:2] == [b"one two three", b""]
    again = tokenizer({"text": decoded})["tokens"]
    np.testing.assert_array_equal(again[:2], tokens[:2])
