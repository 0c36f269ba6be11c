"""What is special to `diffusion`."""

import keras
import numpy as np
import pytest

import zoo
from zoo.diffusion import embed_time
from zoo.spec import DataSpec, Field

TINY = {"widths": (4, 6, 6), "condition": 8, "groups": 2}


def spec(height: int, width: int, channels: int = 1) -> DataSpec:
    inputs = {
        "image": Field((height, width, channels), "float32"),
        "time": Field((), "float32"),
        "label": Field((), "int32", ids=4),
    }
    return DataSpec(inputs, "rectified_flow", channels)


def batch(height: int, width: int, channels: int = 1):
    random = np.random.default_rng(0)
    image = random.normal(size=(2, height, width, channels)).astype(np.float32)
    return {"image": image, "time": np.array([0.1, 0.9], np.float32), "label": np.array([0, 3])}


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("size", [(8, 8), (9, 10)])
def test_velocities_have_the_images_size_and_are_zero_at_first(size, patch):
    model = zoo.get("diffusion").build(spec(*size, 3), **TINY, patch=patch)
    found = model(batch(*size, 3))
    assert found.shape == (2, *size, 3)
    assert not np.any(found)


def test_an_answer_depends_on_time_and_class():
    model = zoo.get("diffusion").build(spec(8, 8), **TINY)
    kernel = model.get_layer("velocity").kernel
    kernel.assign(np.random.default_rng(1).normal(size=kernel.shape))
    x = batch(8, 8)
    answers = [
        model({**x, **changed}).numpy()
        for changed in ({}, {"time": x["time"] + 0.05}, {"label": x["label"][::-1]})
    ]
    for other in answers[1:]:
        assert (np.abs(other - answers[0]).max(axis=(1, 2, 3)) > 1e-3).all()


def test_times_are_embedded_in_float32():
    """bfloat16 has two digits: 0.5 and 0.501 would be one time."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    time = keras.Input((), dtype="float32", name="time")
    model = keras.Model(time, embed_time(time, 16))
    found = np.asarray(model(np.array([0.0, 0.5, 0.501], np.float32)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], [0] * 8 + [1] * 8, atol=1e-6)
    rates = np.geomspace(1, 1000, 8)
    np.testing.assert_allclose(found[1, :8], np.sin(0.5 * rates), atol=1e-4)
    assert np.abs(found[1] - found[2]).max() > 0.1


def test_data_that_it_cannot_take_is_refused():
    build = zoo.get("diffusion").build
    with pytest.raises(ValueError, match="3 widths over patches of 2 take images of 8x8 or more"):
        build(spec(7, 9), **TINY)
    other = DataSpec({"image": Field((8, 8, 1), "float32")}, "classification", 3)
    with pytest.raises(ValueError, match=r"image, time and label of task rectified_flow"):
        build(other, **TINY)
