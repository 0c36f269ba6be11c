"""The picture of example images: size, captions' colours and images of one channel."""

import numpy as np

from trainers.training.callbacks.picture import predictions_grid


def test_grid_has_four_columns_of_captioned_images():
    images = np.full((5, 8, 8, 3), 200, np.uint8)
    grid = predictions_grid(images, [("cat", "cat")] * 4 + [("cat", "dog")])
    assert grid.shape == (2 * 148, 4 * 128, 3)
    assert (grid[60, 60] == 200).all()
    assert (grid[60 + 148, 128 + 60] == 255).all()  # no sixth image


def test_wrong_answers_are_captioned_in_red():
    images = np.zeros((2, 8, 8, 1), np.uint8)
    grid = predictions_grid(images, [("a", "a"), ("a", "b")]).astype(int)
    right, wrong = grid[128:, :128], grid[128:, 128:256]
    red = [(part[..., 0] - part[..., 1] > 100).sum() for part in (right, wrong)]
    assert red[0] == 0
    assert red[1] > 0
