"""Neighbours, similarities and analogies by hand."""

import numpy as np
import pytest

from trainers.evaluation import word_vectors

KNOWN = ["man", "woman", "king", "queen", "far"]
VECTORS = np.array([[1, 0, 1], [1, 1, 0.9], [3, 0, 0], [3, 1, 0], [-2, -2, 0]], np.float32)


def test_nearest_are_by_cosine_and_never_the_word_itself():
    index, cosine = word_vectors.nearest(VECTORS, np.array([2, 4]), 2)
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    assert index.tolist() == [[3, 0], [0, 2]]
    np.testing.assert_allclose(
        cosine,
        [[unit[2] @ unit[3], unit[2] @ unit[0]], [unit[4] @ unit[0], unit[4] @ unit[2]]],
        rtol=1e-6,
    )


@pytest.fixture
def _data(tmp_path, monkeypatch):
    (tmp_path / "wordsim353.tsv").write_text(
        "# Word 1\tWord 2\tMean\nKing\tqueen\t9\nman\twoman\t8\nman\tking\t8.5\nking\tfar\t1\n"
        "king\tzebra\t3\n"
    )
    (tmp_path / "questions-words.txt").write_text(
        ": family\nMan Woman king queen\nman king woman queen\nman woman king zebra\n"
        ": gram1\nzebra far man far\n"
    )
    monkeypatch.setattr(word_vectors, "_test_data", lambda name: tmp_path / name)


@pytest.mark.usefixtures("_data")
def test_similarity_is_the_correlation_of_ranks_of_known_pairs():
    found = word_vectors.similarity(KNOWN, VECTORS)
    # Cosines .95, .82, .71, -.71 against 9, 8, 8.5, 1: ranks 4 3 2 1 against 4 2 3 1.
    assert found == ("WordSim-353", pytest.approx(1 - 6 * 2 / (4 * 15)), 4, 5)
    nothing = word_vectors.similarity(["zebra"], VECTORS[:1])
    assert (nothing.known, np.isnan(nothing.value)) == (0, True)


@pytest.mark.usefixtures("_data")
def test_analogies_are_the_nearest_to_the_difference_without_what_was_asked():
    family, gram = word_vectors.analogies(KNOWN, VECTORS)
    assert family == ("family", 1.0, 2, 3)
    assert (gram.known, gram.total, np.isnan(gram.value)) == (0, 1, True)


def test_questions_are_left_out_without_gensim(monkeypatch):
    monkeypatch.setattr(word_vectors.importlib.util, "find_spec", lambda name: None)
    assert word_vectors.similarity(KNOWN, VECTORS) is None
    assert word_vectors.analogies(KNOWN, VECTORS) == []
