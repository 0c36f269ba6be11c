"""What is special to `diffusion`."""

import keras
import numpy as np
import pytest

import zoo
from zoo.diffusion import attend, embed_time
from zoo.spec import DataSpec, Field

TINY = {"widths": (4, 6, 6), "condition": 8, "groups": 2, "num_heads": 2}


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


def test_cells_attend_to_all_others():
    """As computed in NumPy: norm over each group, softmax over the nine cells, two heads of two."""
    random = np.random.default_rng(0)
    cells = keras.Input((3, 3, 4))
    model = keras.Model(cells, attend(cells, num_heads=2, groups=2, name="attention"))
    for weight in model.weights:
        weight.assign(random.normal(size=weight.shape))
    x = random.normal(size=(2, 3, 3, 4)).astype(np.float32)
    gamma, beta, kernel, bias, last_kernel, last_bias = [np.asarray(w) for w in model.weights]

    by_group = x.reshape(2, 9, 2, 2)
    mean = by_group.mean(axis=(1, 3), keepdims=True)
    variance = by_group.var(axis=(1, 3), keepdims=True)
    normal = ((by_group - mean) / np.sqrt(variance + 1e-5)).reshape(2, 9, 4) * gamma + beta
    query, key, value = np.split(normal @ kernel + bias, 3, axis=-1)
    heads = []
    for head in (slice(0, 2), slice(2, 4)):
        weights = np.exp(query[..., head] @ key[..., head].swapaxes(1, 2) / np.sqrt(2))
        heads.append(weights / weights.sum(axis=-1, keepdims=True) @ value[..., head])
    wanted = np.concatenate(heads, axis=-1) @ last_kernel + last_bias
    np.testing.assert_allclose(model(x), x + wanted.reshape(2, 3, 3, 4), rtol=1e-4, atol=1e-4)


def test_attention_can_be_left_out():
    build = zoo.get("diffusion").build
    names = {layer.name for layer in build(spec(8, 8), **{**TINY, "num_heads": 0}).layers}
    assert not any("attention" in name for name in names)
    with pytest.raises(ValueError, match="width 6 does not divide over 4 heads"):
        build(spec(8, 8), **{**TINY, "num_heads": 4})


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
