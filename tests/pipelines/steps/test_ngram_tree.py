"""The tree of n-grams by hand: numbers of texts, order of the edges, and what is left out."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines.core.pipeline import Rows
from pipelines.steps import ngram_tree
from pipelines.steps.ngram_tree import edge
from pipelines.steps.ngrams import Units
from zoo.spec import Field

# Texts "b", "b a" and "b a a" of the units a = 0 and b = 1.
READ = (np.array([1, 1, 0, 1, 0, 0]), np.array([1, 3, 3, 6, 6, 6]), np.array([0, 1, 1, 2, 2, 2]))


def test_count_has_the_most_frequent_first_and_texts_count_once():
    # In three texts: b. In two: a (of which one has it twice), b a. In one: a a, b a a.
    found = ngram_tree.count(READ, longest=3, least=2, most=10)
    assert found.tolist() == [edge(0, 1), edge(0, 0), edge(1, 0)]
    every = ngram_tree.count(READ, longest=3, least=1, most=10)
    assert every.tolist()[:3] == found.tolist()
    assert sorted(every.tolist()[3:]) == sorted([edge(2, 0), edge(3, 0)])


def test_count_keeps_at_most_so_many_and_no_more_than_longest():
    assert ngram_tree.count(READ, longest=3, least=2, most=2).tolist() == [edge(0, 1), edge(0, 0)]
    assert ngram_tree.count(READ, longest=1, least=1, most=9).tolist() == [edge(0, 1), edge(0, 0)]


def test_own_numbers_are_those_of_the_nodes_at_the_root():
    edges, earlier = ngram_tree.own_numbers(np.array([edge(0, 7), edge(0, 3), edge(1, 3)]))
    assert edges.tolist() == [edge(0, 0), edge(0, 1), edge(1, 1)]
    assert earlier.tolist() == [7, 3]


def test_joined_counts_rows_on_and_gives_a_word_one_number():
    def units(values, end, row):
        return Units(*(tf.constant(column, tf.int64) for column in (values, end, row)))

    chunks = [
        (tf.constant(["b", "a"]), units([0, 1], [2, 2], [0, 0])),
        (tf.constant(["a"]), units([0], [1], [0])),
    ]
    (values, end, rows), words = ngram_tree.joined(chunks)
    assert words == [b"b", b"a"]
    assert values.tolist() == [0, 1, 1]
    assert end.tolist() == [2, 2, 3]
    assert rows[2] > rows[1] == rows[0]


@pytest.mark.parametrize(("most", "expected"), [(2**28, 6), (3.0, 3)])
def test_sample_reads_evenly_spaced_rows_of_long_texts(most, expected, monkeypatch):
    monkeypatch.setattr(ngram_tree, "_MAX_BYTES", most)
    texts = np.array([b"a", b"b", b"c", b"d", b"e", b"f"], object)
    rows = Rows(
        fields={"text": Field((), "string")}, target=None, num_rows=6, table={"text": texts}
    )
    read, size = ngram_tree.sample(rows, "text")
    found = np.concatenate(list(read())).tolist()
    assert (size, len(found)) == (6.0, expected)
    assert (found[0], found[-1]) == (b"a", b"f")
