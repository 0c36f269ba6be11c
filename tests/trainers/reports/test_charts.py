"""Axes of the charts by value."""

import numpy as np
import pytest

from trainers.reports import charts


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (0.83, 1.01, [0.85, 0.9, 0.95, 1.0]), (3, 3, [3])],
)
def test_ticks_are_round_numbers(low, high, expected):
    assert charts.ticks(low, high) == pytest.approx(expected)


def test_labels_and_names_are_escaped():
    drawn = charts.scatter(np.arange(3.0), np.arange(3.0), "a < b", "<i>")
    assert "a &lt; b" in drawn
    assert "<i>" not in drawn
    assert drawn.count('class="point"') == 3


def test_a_histogram_has_a_bar_for_each_bin():
    drawn = charts.histogram(np.array([0.0, 1.0, 2.0]), np.array([3, 5]), "x", "rows")
    assert "<title>0 to 1: 3</title>" in drawn
    assert "<title>1 to 2: 5</title>" in drawn


def test_lines_leave_out_what_is_not_finite():
    drawn = charts.lines({"loss": [(1, 0.5), (2, np.nan), (3, 0.25)]}, "epoch", "loss")
    assert drawn.count('class="dot s0"') == 2


def test_numbers_at_an_axis_differ():
    found = charts._labels([1.716e9, 1.716001e9, 1.716002e9])
    assert found == ["1.716G", "1.716001G", "1.716002G"]
    assert charts._labels([0.0, 20_000.0]) == ["0", "20k"]
