"""Words of text columns in a network, by hand."""

import keras
import numpy as np
import pytest

from zoo import tabular_words
from zoo.spec import DataSpec, Field

IDS = np.array([[[2, 3, 2], [4, 0, 0]], [[0, 0, 0], [1, 1, 0]]])
SCORES = np.array([99.0, 0, 1, 10, 0, 99, 2, 0, 0, 100])[:, None]  # of both columns
SUMS = np.array([[12 / np.sqrt(3) + 100], [4 / np.sqrt(2)]])


def test_embed_makes_means_presence_and_scores():
    ids = keras.Input((2, 3), dtype="int32")
    spec = DataSpec({"words": Field((2, 3), "int32", ids=5)}, "binary", 1)
    model = keras.Model(ids, tabular_words.embed(ids, spec, width=2))
    vectors = np.array([[9.0, 9], [5, 6], [1, 0], [0, 3], [7, 8]])  # of padding, unknown, known
    model.set_weights([vectors, SCORES])
    means, there, sums = model(IDS)
    np.testing.assert_allclose(means, [[2 / 3, 1, 7, 8], [0, 0, 5, 6]], rtol=1e-6)
    np.testing.assert_array_equal(there, [[1, 1], [0, 1]])
    np.testing.assert_allclose(sums, 0.1 * SUMS, rtol=1e-6)


def test_counts_are_what_the_scores_multiply():
    counts = tabular_words.counts(IDS, 5)
    assert counts.shape == (2, 10)
    np.testing.assert_allclose(counts @ SCORES, SUMS, rtol=1e-6)
    assert tabular_words.counts(np.zeros((3, 2, 4), int), 5).nnz == 0


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (np.array([1, 0]), [np.log(1 + np.exp(-2)), np.log(1 + np.exp(-1))]),
        (np.array([[1.0], [0]]), [np.log(1 + np.exp(-2)), np.log(1 + np.exp(-1))]),
        (np.array([3.0, 1]), [1.0, 0]),  # 1 and -1 in standard units
    ],
)
def test_fit_beside_takes_the_share_of_the_lowest_held_out_loss(y, expected):
    counts = tabular_words.counts(np.ones((10, 1, 1), int), 2)
    shares, y = [], np.tile(y, (5, *[1] * (y.ndim - 1)))

    def fit(x, y, outputs):
        """Answers that are right with a share of 2."""
        shares.append(x[0, 2])
        assert len(y) == (10 if len(shares) == 5 else 8)
        kernel = np.full((3, 1), 7.0) if abs(shares[-1] - 2) else np.array([[3.0], [0], [0]])
        return kernel, np.full(outputs, -1.0)

    x = np.tile([[1.0], [0]], (5, 1))
    kernel, bias, table = tabular_words.fit_beside(fit, x, counts, y, 1)
    assert shares == [0.5, 1, 2, 4, 2]
    np.testing.assert_array_equal(kernel, [[3]])
    np.testing.assert_array_equal(bias, [-1])
    np.testing.assert_array_equal(table, [[0], [0]])
    held_out = np.array([[2.0], [-1]])
    assert tabular_words._loss(held_out, y[:2]) == pytest.approx(np.mean(expected))
