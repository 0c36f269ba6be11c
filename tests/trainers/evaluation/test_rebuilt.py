"""Pictures of hidden patches: what is seen, what is guessed, and the image."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from trainers.evaluation import rebuilt
from zoo.spec import DataSpec


def test_guesses_stand_in_the_hidden_patches_with_their_brightness_and_contrast():
    random = np.random.default_rng(0)
    image = random.uniform(-1, 1, (2, 4, 4, 3)).astype(np.float32)
    hidden = np.array([[3, 0], [1, 2]], np.int32)
    guessed = random.normal(size=(2, 2, 12)).astype(np.float32)
    found = rebuilt.pictures(tf.constant(image), tf.constant(hidden), tf.constant(guessed))
    assert (found.shape, found.dtype) == ((2, 3, 4, 4, 3), np.uint8)
    for i, numbers in enumerate(hidden):
        for patch in range(4):
            row, column = (2 * part for part in divmod(patch, 2))
            place = (slice(row, row + 2), slice(column, column + 2))
            own = image[i][place]
            np.testing.assert_allclose(found[i, 2][place], (own + 1) * 127.5, atol=0.51)
            if patch not in numbers:
                np.testing.assert_array_equal(found[i, 0][place], found[i, 2][place])
                np.testing.assert_array_equal(found[i, 1][place], found[i, 2][place])
                continue
            assert (found[i, 0][place] == 128).all()  # grey
            guess = guessed[i][numbers.tolist().index(patch)].reshape(2, 2, 3)
            expected = np.clip((guess * own.std() + own.mean() + 1) * 127.5, 0, 255)
            np.testing.assert_allclose(found[i, 1][place], expected, atol=0.6)


@pytest.mark.parametrize("inputs", [("image",), ("tokens", "masked_positions")])
def test_nothing_is_drawn_where_no_patches_are_hidden(inputs, tmp_path):
    spec = DataSpec(dict.fromkeys(inputs), "masked", 1)
    assert rebuilt.beside_examples(tmp_path, SimpleNamespace(spec=spec), None, {}, None) == {}
