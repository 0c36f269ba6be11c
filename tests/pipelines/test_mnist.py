"""Digits: warped as drawn, odd and even by hand, enlarged without loss."""

import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf
from scipy import ndimage

import pipelines
from pipelines import Rows, mnist_parity
from pipelines.core.keys import integers
from pipelines.steps import image
from pipelines.storage import tfds as source
from tests.pipelines.steps.test_image import make_keys, pictures
from zoo.spec import Field


def warp(x: np.ndarray, keys, **most) -> np.ndarray:
    augment = tf.function(image.affine(**most), autograph=False)
    return augment({"image": tf.constant(x)}, tf.zeros(len(x), tf.int64), keys)[0]["image"].numpy()


def test_an_affine_warp_equals_one_picture_at_a_time():
    """Against SciPy's spline interpolation of order one, whatever the sides of the picture."""
    x, keys = pictures(40, 13, 20), make_keys(40)
    found = warp(x, keys, degrees=30.0, zoom=0.5, shift=3.0)
    angle, zoom, down, right = (
        np.linspace(-1, 1, 256)[integers(keys, draw, 256)] for draw in (2, 3, 4, 5)
    )
    middle = np.array([6.0, 9.5])
    for i, picture in enumerate(x):
        t = np.deg2rad(30.0 * angle[i])
        turn = np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]])  # of (down, right)
        back = np.linalg.inv(turn * 1.5 ** zoom[i])
        moved = middle + 3.0 * np.array([down[i], right[i]])
        expected = np.stack(
            [
                ndimage.affine_transform(
                    plane.astype(float), back, middle - back @ moved, order=1, mode="grid-constant"
                )
                for plane in np.moveaxis(picture, -1, 0)
            ],
            axis=-1,
        )
        assert np.abs(found[i] - expected).max() < 0.52, i  # rounded to whole grey levels


def test_a_shift_alone_moves_the_picture_by_what_was_drawn():
    x = np.zeros((40, 9, 9, 1), np.uint8)
    x[:, 4, 4] = 255
    keys = make_keys(40)
    found = warp(x, keys, degrees=0.0, zoom=0.0, shift=3.0).astype(float)[..., 0]
    grid = np.arange(9)
    total = found.sum((1, 2))
    for draw, axis in ((4, 2), (5, 1)):
        centre = (found.sum(axis) * grid).sum(1) / total
        expected = 4 + 3 * np.linspace(-1, 1, 256)[integers(keys, draw, 256)]
        np.testing.assert_allclose(centre, expected, atol=0.02)
    assert (total > 250).all()  # no grey is lost on the way


def test_draws_of_nothing_change_nothing():
    x = pictures(8, 28, 28)
    np.testing.assert_array_equal(warp(x, make_keys(8), degrees=0.0, zoom=0.0, shift=0.0), x)


def test_draws_are_independent_of_each_other_and_cover_their_range():
    keys = make_keys(2000)
    drawn = np.stack([integers(keys, draw, 256).numpy() for draw in (2, 3, 4, 5)])
    assert drawn.min() == 0
    assert drawn.max() == 255
    assert np.abs(np.corrcoef(drawn) - np.eye(4)).max() < 0.1


def test_odd_is_one_and_even_is_zero():
    fields = {"image": Field((28, 28, 1), "uint8"), "label": Field((), "int64")}
    image_column, label = np.zeros((5, 28, 28, 1), np.uint8), np.array([0, 3, 4, 7, 9])
    rows = Rows(5, fields, "label", table={"image": image_column, "label": label})
    np.testing.assert_array_equal(mnist_parity.parity(rows).table["label"], [0, 1, 0, 1, 1])
    np.testing.assert_array_equal(label, [0, 3, 4, 7, 9])  # the caller's rows are untouched


def test_parity_features_are_the_pixels_row_after_row():
    pipeline = pipelines.get("mnist_parity")
    assert pipeline.class_names == ("even", "odd")
    x = np.zeros((1, 28, 28, 1), np.uint8)
    x[0, 0, 1], x[0, 1, 0] = 255, 51
    found = pipeline.preprocess({"image": tf.constant(x)})["features"].numpy()
    assert found.shape == (1, 784)
    assert found[0, 0] == pytest.approx(-0.1307 / 0.3081, rel=1e-5)
    assert found[0, 1] == pytest.approx((1 - 0.1307) / 0.3081, rel=1e-5)
    assert found[0, 28] == pytest.approx((0.2 - 0.1307) / 0.3081, rel=1e-5)


def test_digits_are_scikit_learn_s_and_every_split_has_its_share(built_in_data):
    pipeline, rows = source.load(pipelines.get("digits"), data_dir=built_in_data)
    data, table = sklearn.datasets.load_digits(), rows["all"].table
    np.testing.assert_array_equal(np.round(table["image"][..., 0] * (16 / 255)), data.images)
    np.testing.assert_array_equal(table["label"], data.target)
    parts = pipelines.prepared(pipeline, rows).rows
    assert {name: part.num_rows for name, part in parts.items()} == {
        "train": 1257,
        "validation": 180,
        "test": 360,
    }
    for part in parts.values():
        shares = np.bincount(part.table["label"], minlength=10) / part.num_rows
        assert np.abs(shares - 0.1).max() < 0.011
    seen = [picture.tobytes() for part in parts.values() for picture in part.table["image"]]
    assert len(set(seen)) == len(seen)  # no picture is there twice, so none is in two splits
    other = pipelines.prepared(pipelines.get("digits", split_seed=1), rows).rows["test"]
    assert (other.table["image"] != parts["test"].table["image"]).any()


def test_enlarged_digits_keep_corners_and_mean():
    pipeline = pipelines.get("digits")
    x = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), np.uint8)
    found = pipeline.preprocess({"image": tf.constant(x)})["image"].numpy()
    assert found.shape == (6, 28, 28, 1)
    grey = (found + 1) * 127.5
    corners = (slice(None), slice(None, None, 27), slice(None, None, 27))
    np.testing.assert_allclose(grey[corners], x[:, ::7, ::7], atol=1e-3)  # beyond centres: as is
    np.testing.assert_allclose(grey.mean((1, 2, 3)), x.mean((1, 2, 3)), rtol=0.03)


@pytest.mark.slow
def test_real_mnist_has_the_published_counts():
    pipeline = pipelines.get("mnist")
    if not source.is_prepared(source.find_builder(pipeline.source, None)):
        pytest.skip(f"{pipeline.source} is not prepared in TFDS_DATA_DIR")
    _, rows = source.load(pipeline)
    counts = {split: np.bincount(part.table["label"]) for split, part in rows.items()}
    train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    test = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    np.testing.assert_array_equal(counts["train"] + counts["validation"], train)
    np.testing.assert_array_equal(counts["test"], test)
    assert rows["validation"].num_rows == 5000
    pixels = np.concatenate([rows[split].table["image"] for split in ("train", "validation")])
    assert pixels.mean() / 255 == pytest.approx(0.1307, abs=1e-4)
    assert pixels.std() / 255 == pytest.approx(0.3081, abs=1e-4)
    _, parity = source.load(pipelines.get("mnist_parity"))
    assert parity["test"].table["label"].mean() == sum(test[1::2]) / 10_000
