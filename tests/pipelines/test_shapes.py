"""Drawn figures: as labelled, without copies, and hard for a linear model."""

import numpy as np
from sklearn.linear_model import LogisticRegression

import pipelines
from pipelines import shapes
from pipelines.storage import tfds


def test_shapes_are_hard_for_a_linear_model(built_in_data):
    rows = tfds.load(pipelines.get("shapes"), data_dir=built_in_data)[1]
    image = {s: r.table["image"].reshape(r.num_rows, -1) / 255.0 for s, r in rows.items()}
    linear = LogisticRegression(max_iter=30, tol=1e-2).fit(
        image["train"][:4000], rows["train"].table["label"][:4000]
    )
    accuracy = linear.score(image["test"], rows["test"].table["label"])
    assert accuracy < 0.25  # ten classes; BUILD_NOTES.md has the figure on all images
    assert {split: r.num_rows for split, r in rows.items()} == {
        "train": 13_500,
        "validation": 1_500,
        "test": 3_000,
    }


def test_shapes_have_no_image_in_two_splits(built_in_data):
    rows = tfds.load(pipelines.get("shapes"), data_dir=built_in_data)[1]
    seen = [image.tobytes() for r in rows.values() for image in r.table["image"]]
    assert len(seen) == len(set(seen))


def test_draw_draws_what_the_label_says():
    labels = np.arange(10).repeat(20)
    images = shapes.draw(labels, np.random.default_rng(0))
    assert images.shape == (200, 32, 32, 3)
    # A square covers more than a bar of the same radius, a circle more than its ring.
    area = {}
    for label, name in enumerate(shapes._FIGURES):
        axis = np.linspace(-1.2, 1.2, 200)
        area[name] = shapes._FIGURES[name](*np.meshgrid(axis, axis)).mean()
        assert 0.05 < area[name] < 0.6, name
        assert label in labels
    assert area["square"] > area["bar"]
    assert area["circle"] > area["ring"]


def test_draw_is_the_same_for_the_same_seed():
    first, second, other = (
        shapes.draw(np.arange(10), np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
