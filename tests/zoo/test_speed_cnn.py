"""What is special to `speed_cnn` and to the optimizer it is trained with."""

import keras
import numpy as np
import pytest

import zoo
from zoo.spec import DataSpec, Field

SPEC = DataSpec({"image": Field((17, 17, 3), "float32")}, "classification", 10)
RANDOM = np.random.default_rng(0)


def correlated_images(num_images: int) -> np.ndarray:
    """Smooth images whose channels go together, as photographs are."""
    rough = RANDOM.normal(0.3, 1.0, (num_images, 18, 18, 3)) @ RANDOM.normal(size=(3, 3))
    return (rough[:, :-1, :-1] + rough[:, 1:, :-1] + rough[:, :-1, 1:] + rough[:, 1:, 1:]) / 4


def adapted(images: np.ndarray, filters: int = 24) -> keras.Model:
    model = zoo.get("speed_cnn").build(SPEC, widths=(6, 8, 8), filters=filters)
    batches = iter([({"image": images.astype(np.float32)}, np.zeros(len(images)))])
    assign(model, zoo.get("speed_cnn").adapt(model, batches))
    return model


def assign(model: keras.Model, values) -> None:
    variables = {variable.path: variable for variable in model.weights}
    for path, value in values.items():
        variables[path].assign(value)


def test_the_first_layer_whitens():
    images = correlated_images(200)
    answers = adapted(images).get_layer("whiten")(images).numpy()  # (B, 16, 16, 24)
    half = answers[..., :12].reshape(-1, 12)
    # Mean 0, no correlation; variance 1 but for the directions of little variance.
    np.testing.assert_allclose(half.mean(axis=0), 0, atol=1e-4)
    covariance = np.cov(half, rowvar=False)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=2e-3)
    assert (np.diag(covariance) < 1.001).all()
    assert np.diag(covariance)[0] == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(answers[..., 12:], -answers[..., :12], atol=1e-4)


def test_fewer_filters_are_the_patches_of_most_variance():
    images = correlated_images(200)
    few, all_of_them = (
        adapted(images, filters).get_layer("whiten").kernel.numpy() for filters in (8, 24)
    )
    np.testing.assert_allclose(few, all_of_them[..., [0, 1, 2, 3, 12, 13, 14, 15]], atol=1e-5)


def test_the_first_filters_pass_their_input_on():
    model = adapted(correlated_images(200))
    layer = model.get_layer("group2_conv1")  # 6 to 8 channels
    x = RANDOM.normal(size=(2, 5, 5, 6)).astype(np.float32)
    np.testing.assert_allclose(layer(x)[..., :6], x, atol=1e-6)
    assert np.abs(layer(x)[..., 6:]).max() > 0.01


@pytest.mark.parametrize("channels", [1, 3])
def test_whitening_takes_grey_images_and_images_of_one_colour(channels):
    spec = SPEC._replace(inputs={"image": Field((17, 17, channels), "float32")})
    model = zoo.get("speed_cnn").build(spec, widths=(6, 8, 8), filters=30)
    assert model.get_layer("whiten").filters == 8 * channels
    images = RANDOM.normal(size=(20, 17, 17, channels))
    for batch in (images, np.full_like(images, 0.5)):
        assign(model, zoo.get("speed_cnn").adapt(model, [({"image": batch}, np.zeros(20))]))
        assert np.isfinite(model.get_layer("whiten").kernel).all()
