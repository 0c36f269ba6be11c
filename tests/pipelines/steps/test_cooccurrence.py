"""The co-occurrence table of ten words, counted one pair at a time."""

import numpy as np
import pytest

from pipelines import DataError
from pipelines.core.rows import take
from pipelines.steps import cooccurrence
from tests.running_text import prepared_of, rows_of

TEXTS = ["a b c a", "b c", "", "c b a d"]  # ten words
OPTIONS = {"window": 2, "min_count": 1}


def by_hand(texts: list[str], symmetric: bool) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for text in texts:
        words = text.split()
        for i, word in enumerate(words):
            for j, context in enumerate(words):
                if j < i and i - j <= 2:
                    for pair in [(word, context), (context, word)][: 2 if symmetric else 1]:
                        found[pair] = found.get(pair, 0.0) + 1 / (i - j)
    return found


def counted(rows, words: str) -> dict[tuple[str, str], float]:
    taken = take(rows, np.arange(rows.num_rows))
    pairs = [tuple(words[i - 1] for i in pair) for pair in taken["pair"].tolist()]
    assert len(set(pairs)) == len(pairs) == rows.num_rows
    return dict(zip(pairs, taken["count"].tolist(), strict=True))


@pytest.mark.parametrize("symmetric", [True, False])
def test_entries_are_those_counted_one_by_one(symmetric):
    prepared = prepared_of("cooccurrence", TEXTS, symmetric=symmetric, **OPTIONS)
    found = counted(prepared.inputs_of("train"), "abcd")  # a, b, c three times, then d
    assert found == pytest.approx(by_hand(TEXTS, symmetric))


def test_entries_from_disk_and_of_small_chunks_are_the_same(tmp_path, monkeypatch):
    prepared = prepared_of("cooccurrence", TEXTS, **OPTIONS)
    expected = take(prepared.inputs_of("train"), np.arange(8))
    monkeypatch.setattr(cooccurrence, "_MAX_PAIRS", 1)
    monkeypatch.setattr(cooccurrence, "_BLOCK", 3)
    for _ in range(2):  # the second reads what the first wrote
        rows = cooccurrence.entries(rows_of(TEXTS, tmp_path), prepared.preprocess)
        found = take(rows, np.arange(8))
        for name, column in expected.items():
            np.testing.assert_allclose(found[name], column, rtol=1e-6)
    assert len(list(tmp_path.rglob("arranged-*"))) == 1
    assert rows.num_rows == prepared.num_rows("train")


def test_counts_of_other_texts_are_scaled_to_the_size_of_training():
    """Unknown words do not count: ten training words against the three that are known of four."""
    prepared = prepared_of("cooccurrence", TEXTS, held_out=["a b zebra c"], **OPTIONS)
    assert counted(prepared.inputs_of("test"), "abcd")[("b", "a")] == 1.0
    for split, scale in (("train", 1.0), ("test", 10 / 3)):
        taken = take(prepared.inputs_of(split), np.arange(4))
        np.testing.assert_allclose(taken["scaled_count"], scale * taken["count"], rtol=1e-6)


def test_texts_without_neighbours_are_refused():
    prepared = prepared_of("cooccurrence", TEXTS, held_out=["a", "b"], **OPTIONS)
    with pytest.raises(DataError, match="no two known words stand near each other"):
        prepared.inputs_of("test")
