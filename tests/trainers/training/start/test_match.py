"""Which weights of a source a model takes."""

import keras
import numpy as np
import pytest

from trainers.errors import ArtefactError
from trainers.training.start import match


def variables(**shapes) -> dict[str, keras.Variable]:
    """Variables of these shapes, all numbers -1."""
    return {path: keras.Variable(np.full(shape, -1.0)) for path, shape in shapes.items()}


MODEL = variables(body=(2, 3), logits=(3, 4), positions=(4, 2))
SOURCE = {
    "body": np.ones((2, 3), np.float32),
    "logits": np.ones((3, 4), np.float32),
    "positions": np.arange(8, dtype=np.float32).reshape(4, 2),
    "more": np.zeros(1),
}


def test_weights_of_the_same_path_and_shape_are_taken():
    matched = match.all_or_refused("run", MODEL, SOURCE)
    assert matched.values.keys() == MODEL.keys()
    np.testing.assert_array_equal(matched.values["positions"], SOURCE["positions"])
    assert matched.lines == ["3 of 3 weights"]


@pytest.mark.parametrize("logits", [None, np.ones((3, 7), np.float32)])
def test_a_head_that_is_absent_or_of_another_shape_is_new(logits):
    source = {k: v for k, v in {**SOURCE, "logits": logits}.items() if v is not None}
    matched = match.all_or_refused("run", MODEL, source, head=("logits",))
    assert matched.values.keys() == {"body", "positions"}
    assert matched.lines == ["2 of 3 weights", "new: logits"]


def test_positions_are_cut():
    longer = {**SOURCE, "positions": np.arange(12, dtype=np.float32).reshape(6, 2)}
    matched = match.all_or_refused("run", MODEL, longer, positions=("positions",))
    np.testing.assert_array_equal(matched.values["positions"], [[0, 1], [2, 3], [4, 5], [6, 7]])
    assert "positions cut from 6 to 4 positions" in matched.lines


def test_positions_are_extended_by_those_that_were_drawn():
    shorter = {**SOURCE, "positions": np.arange(2, dtype=np.float32).reshape(1, 2)}
    matched = match.all_or_refused("run", MODEL, shorter, positions=("positions",))
    expected = [[0, 1], [-1, -1], [-1, -1], [-1, -1]]
    np.testing.assert_array_equal(matched.values["positions"], expected)
    assert "positions extended from 1 to 4 positions" in matched.lines


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions": np.zeros((6, 2), np.float32)}, r"positions \(6, 2\) for \(4, 2\)"),
        ({"body": np.zeros((2, 9), np.float32)}, r"body \(2, 9\) for \(2, 3\)"),
        ({"body": np.array([["a"] * 3] * 2)}, r"body \(2, 3\) for \(2, 3\)"),
        ({"body": None}, "body absent"),
    ],
)
def test_other_differences_are_refused_unless_init_new_matches(change, message):
    source = {k: v for k, v in {**SOURCE, **change}.items() if v is not None}
    with pytest.raises(ArtefactError, match=message):
        match.all_or_refused("run", MODEL, source, head=("logits",))
    matched = match.all_or_refused("run", MODEL, source, init_new=("^body$", "positions"))
    assert next(iter(change)) not in matched.values


def test_positions_of_another_width_are_refused():
    wider = {**SOURCE, "positions": np.zeros((4, 3), np.float32)}
    with pytest.raises(ArtefactError, match=r"positions \(4, 3\) for \(4, 2\)"):
        match.all_or_refused("run", MODEL, wider, positions=("positions",))


def test_a_source_of_which_nothing_fits_is_refused():
    with pytest.raises(ArtefactError, match="none of the weights"):
        match.all_or_refused("run", MODEL, {"a": np.zeros(1)}, init_new=(".",))


def test_exactly_takes_what_is_unset_and_refuses_another_shape():
    matched = match.exactly(MODEL, {"body": SOURCE["body"], "set before": np.zeros(9)})
    assert matched.values.keys() == {"body"}
    with pytest.raises(ValueError, match="body is"):
        match.exactly(MODEL, {"body": np.zeros(1)})
