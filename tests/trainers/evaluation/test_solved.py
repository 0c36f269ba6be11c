"""The linear baseline that is solved: its optimum, and when it is trained instead."""

import numpy as np
import pytest

from tests.conftest import fake_pipeline, made_pipeline
from trainers.config.settings import resolve
from trainers.evaluation import solved

LINEAR = resolve("linear", {})


def test_a_line_is_found_in_deviations_of_the_target():
    prepared = made_pipeline("regression", num_rows=2500)  # more than are read together
    found = solved.weights(LINEAR, prepared)
    table = prepared.rows["train"].table
    x, y = table["x"].astype(np.float64), table["label"].astype(np.float64)
    slopes, _, _, _ = np.linalg.lstsq(x - x.mean(0), y - y.mean(), rcond=None)
    # In the unit that the run has fitted, a mean of 1000 and a deviation of 3.
    np.testing.assert_allclose(found["logits/kernel"][:, 0], slopes / 3, rtol=1e-3)
    zero = (y.mean() - x.mean(0) @ slopes - 1000) / 3
    np.testing.assert_allclose(found["logits/bias"], [zero], atol=1e-3)


@pytest.mark.parametrize("fewer", ["_FEATURES", "_CELLS"])
def test_many_numbers_are_trained_on(fewer, monkeypatch):
    monkeypatch.setattr(solved, fewer, 1)
    assert solved.weights(LINEAR, made_pipeline("binary")) is None


def test_texts_and_rows_from_disk_are_trained_on():
    assert solved.weights(LINEAR, fake_pipeline("imdb", "pieces")) is None
    prepared = made_pipeline("binary")
    rows = prepared.rows["train"]._replace(table=None)
    assert solved.weights(LINEAR, prepared.replace(rows={**prepared.rows, "train": rows})) is None
