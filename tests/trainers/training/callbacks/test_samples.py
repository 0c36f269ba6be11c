"""The picture of generated images."""

import numpy as np

from trainers.training.callbacks import samples


def test_a_picture_has_a_row_for_each_class():
    images = np.arange(2 * 3 * 40 * 30, dtype=np.uint8).reshape(2, 3, 40, 30, 1)
    found = samples.picture(images)
    assert found.shape == (80, 90, 1)
    np.testing.assert_array_equal(found[40:, 30:60], images[1, 1])
    small = samples.picture(images[:, :, :2, :2])
    assert small.shape == (2 * 56, 3 * 56, 1)  # each pixel 28 times
    assert (small[56:84, 28:56] == images[1, 0, 0, 1]).all()
