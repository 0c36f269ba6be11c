"""Parts of an image that moved an answer, by hand."""

import numpy as np
import pytest

from tests.conftest import fake_pipeline
from trainers.evaluation import evaluate, occluded, records
from trainers.tasks import registry as tasks

IMAGE = np.zeros((28, 28, 1), np.uint8)
IMAGE[2, 2] = 255  # in the part of row 0, column 0, and of its neighbours


def bright(images: np.ndarray) -> np.ndarray:
    """Logits (B, 1) of a model that looks at one pixel."""
    return images[:, 2, 2].astype(np.float64) / 100 - 1


def sigmoid(x: float) -> float:
    return 1 / (1 + np.exp(-x))


def test_the_parts_that_hide_what_a_model_looks_at_move_its_answer():
    found = occluded.changes(bright, IMAGE)
    expected = np.zeros((7, 7))
    # A square is 7 pixels wide around 2, 6, 10, ...: cut to 0..5 and 2..9, so both reach pixel 2.
    expected[:2, :2] = sigmoid(1.55) - sigmoid(-1)  # the mean is 0.3, rounded
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_answer_that_was_given_is_followed_among_several():
    def three(images):
        pixel = images[:, 2, 2, 0].astype(np.float64) / 100
        return np.stack([np.zeros_like(pixel), 1 + 0 * pixel, 2 * pixel], axis=1)

    before = np.exp(5.1) / (1 + np.e + np.exp(5.1))
    after = 1 / (1 + np.e + 1)
    found = occluded.changes(three, IMAGE)
    assert found[0, 0] == pytest.approx(before - after, abs=1e-6)
    assert found[3, 3] == 0


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 40, 1), (32, 32, 3)])
def test_every_pixel_is_hidden_by_some_part_and_shapes_stay(shape):
    image = np.full(shape, 7, np.uint8)
    image[0, 0] = 200
    copies = occluded.hidden(image)
    assert copies.shape == (49, *shape)
    assert copies.dtype == np.uint8
    mean = np.round(image.mean(axis=(0, 1))).astype(np.uint8)
    rows = [set(range(*occluded._part(i, shape[0]).indices(shape[0]))) for i in range(7)]
    assert set().union(*rows) == set(range(shape[0]))
    np.testing.assert_array_equal(copies[0, 0, 0], mean)


def test_rows_that_are_no_images_are_left_alone():
    prepared = fake_pipeline("breast_cancer")
    task = tasks.get(prepared.task)
    kept = {"row": np.arange(3), "fields/features": np.zeros((3, 30), np.float32)}
    test = evaluate.Evaluation({}, np.arange(3), np.zeros(3, np.int64), {})
    assert occluded.beside_mistakes("", prepared, task, kept, test) == {}
    assert records.image_field(prepared) is None
