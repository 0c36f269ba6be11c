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


GRID = {"positions": ("positions",), "grids": ("positions",)}


@pytest.mark.parametrize("tokens", [0, 1])
def test_positions_of_patches_are_resampled_and_the_tokens_stays(tokens):
    """A plane stays a plane: bicubic weights sum to one and are even. By hand away from edges."""
    y, x = np.mgrid[:8, :8].astype(np.float32)
    grid = np.stack([y, x, np.full((8, 8), 3.0)], axis=-1).reshape(64, 3).astype(np.float32)
    first = np.full((tokens, 3), 9.0, np.float32)
    source = {"positions": np.concatenate([first, grid])}
    model = variables(positions=(tokens + 256, 3))
    matched = match.all_or_refused("run", model, source, **GRID)
    found = matched.values["positions"]
    np.testing.assert_array_equal(found[:tokens], first)
    found = found[tokens:].reshape(16, 16, 3)
    middle = (np.arange(16) + 0.5) / 2 - 0.5  # the centres of the new patches among the old ones
    np.testing.assert_allclose(found[4:-4, 4:-4, 0], np.tile(middle[4:-4, None], 8), atol=1e-5)
    np.testing.assert_allclose(found[4:-4, 4:-4, 1], np.tile(middle[4:-4], (8, 1)), atol=1e-5)
    np.testing.assert_allclose(found[..., 2], 3.0, atol=1e-5)
    assert "positions resampled from 8x8 to 16x16 patches" in matched.lines


def test_positions_of_fewer_patches_are_means_of_their_surroundings():
    """From 4x4 to 1x1: not one of the old ones, and a square of lengths is no text's."""
    source = {"positions": np.arange(16, dtype=np.float32)[:, None]}
    model = variables(positions=(1, 1))
    matched = match.all_or_refused("run", model, source, **GRID)
    np.testing.assert_allclose(matched.values["positions"], [[7.5]], atol=1e-4)
    matched = match.all_or_refused("run", model, source, positions=("positions",))
    np.testing.assert_array_equal(matched.values["positions"], [[0.0]])


@pytest.mark.parametrize(("old", "new"), [(64, 17), (65, 16), (6, 16), (16, 6)])
def test_positions_of_other_grids_are_refused_unless_init_new_matches(old, new):
    source = {"positions": np.zeros((old, 3), np.float32), "body": np.zeros(2, np.float32)}
    model = variables(positions=(new, 3), body=(2,))
    with pytest.raises(ArtefactError, match=rf"positions \({old}, 3\) for \({new}, 3\)"):
        match.all_or_refused("run", model, source, **GRID)
    matched = match.all_or_refused("run", model, source, **GRID, init_new=("positions",))
    assert matched.values.keys() == {"body"}
