"""MNIST: its published counts, and what its options change."""

import numpy as np
import pytest

import pipelines
from pipelines.storage import tfds
from pipelines.storage.builders import find_builder, is_prepared
from tests.conftest import fake_pipeline


def test_mnist_is_warped_only_where_it_is_asked_for():
    assert pipelines.get("mnist").augment is not None
    assert pipelines.get("mnist", augment=False).augment is None


def test_mnist_scales_pixels_to_minus_one_to_one():
    prepared = fake_pipeline("mnist")
    table = prepared.rows["test"].table
    made = prepared.preprocess({"image": table["image"]})["image"].numpy()
    np.testing.assert_allclose(made, table["image"] / 127.5 - 1, atol=1e-6)


@pytest.mark.slow
def test_mnist_has_the_published_counts():
    pipeline = pipelines.get("mnist")
    if not is_prepared(find_builder(pipeline.source, None)):
        pytest.skip(f"{pipeline.source} is not prepared in TFDS_DATA_DIR")
    rows = tfds.load(pipeline)[1]
    counts = {split: np.bincount(part.table["label"]) for split, part in rows.items()}
    train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    test = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    np.testing.assert_array_equal(counts["train"] + counts["validation"], train)
    np.testing.assert_array_equal(counts["test"], test)
    assert rows["validation"].num_rows == 5000
    pixels = np.concatenate([rows[split].table["image"] for split in ("train", "validation")])
    assert pixels.mean() / 255 == pytest.approx(0.1307, abs=1e-4)
    assert pixels.std() / 255 == pytest.approx(0.3081, abs=1e-4)
    parity = tfds.load(pipelines.get("mnist_parity"))[1]
    assert parity["test"].table["label"].mean() == sum(test[1::2]) / 10_000
