"""Co-occurrence as a task: loss and metrics by hand."""

import numpy as np
import pytest

from tests.running_text import prepared_of
from trainers.evaluation import statistics
from trainers.tasks import cooccurrence
from trainers.tasks.cooccurrence import TASK


def test_loss_and_metrics_are_weighted_means_over_entries():
    random = np.random.default_rng(0)
    target, output = random.normal(size=5).astype(np.float32), random.normal(size=(5, 1))
    weight = np.array([1, 0.5, 2, 0, 1], np.float32)
    error = output[:, 0] - target
    np.testing.assert_allclose(TASK.loss(None)(target[:, None], output), error**2, rtol=1e-5)
    kept = {"squared": weight * error**2, "absolute": weight * abs(error), "weight": weight}
    assert statistics.metrics(cooccurrence.measured(kept, None)) == pytest.approx(
        {
            "loss": (weight * error**2).sum() / weight.sum(),
            "mean_absolute_error": (weight * abs(error)).sum() / weight.sum(),
        },
        rel=1e-6,
    )


def test_the_vector_of_a_word_is_the_sum_of_both():
    prepared = prepared_of("cooccurrence", ["a b a", "b a"], window=1, min_count=1)
    tables = {
        "word_embedding/embeddings": np.array([[9, 9], [1, 2], [3, 4]]),
        "context_embedding/embeddings": np.array([[9, 9], [10, 20], [30, 40]]),
    }
    words, vectors = cooccurrence.vectors(prepared, tables)
    assert words == ["a", "b"]
    np.testing.assert_array_equal(vectors, [[11, 22], [33, 44]])
