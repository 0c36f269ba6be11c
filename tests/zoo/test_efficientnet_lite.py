"""What is special to EfficientNet-Lite and MobileNetV2: counts, input, padding, frozen layers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from trainers.training.optimizers import factor_of
from zoo import efficientnet_lite, mobilenet_v2
from zoo.spec import DataSpec, Field

RANDOM = np.random.default_rng(0)


def spec(height: int, width: int, channels: int = 3, outputs: int = 5) -> DataSpec:
    inputs = {"image": Field((height, width, channels), "float32")}
    return DataSpec(inputs, "classification", outputs)


def tiny(name: str, *sizes: int, **hparams) -> keras.Model:
    return zoo.get(name).build(spec(*sizes), **{**zoo.get(name).tiny, **hparams})


@pytest.mark.parametrize(
    ("name", "trained", "statistics", "blocks"),
    [
        # The published counts (Liu 2020; torchvision), which leave counters of batches out.
        ("efficientnet_lite0", 4_652_008, 42_016, 16),
        ("efficientnet_lite2", 6_092_072, 58_096, 21),
        ("mobilenet_v2", 3_504_872, 34_112, 17),
    ],
)
def test_counts_are_the_published_ones_and_the_last_blocks_are_trained(
    name, trained, statistics, blocks
):
    entry = zoo.get(name)
    with tf.Graph().as_default():
        model = entry.build(spec(160, 160, outputs=1000), **entry.hparams)
    sizes = {v.path: int(np.prod(v.shape)) for v in model.weights}
    moving = {path for path in sizes if "moving" in path}
    assert sum(sizes[path] for path in moving) == statistics
    trainable = {v.path for v in model.trainable_variables}
    assert sum(sizes[path] for path in trainable) == trained
    factors = {path: factor_of(path, entry.recipe.lr_scale) for path in trainable}
    assert all(factor == 0 for path, factor in factors.items() if "norm" in path)
    of_blocks = {path.partition("_")[0] for path, f in factors.items() if f and "block" in path}
    assert of_blocks == {f"block{number}" for number in (blocks - 2, blocks - 1, blocks)}
    assert factors["logits/kernel"] == 1


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v2"])
def test_the_input_is_scaled_as_the_published_weights_want_it(name):
    pixels = np.array([0, 1, 127, 254, 255], np.float32)
    image = np.tile(pixels[None, :, None, None], (1, 1, 5, 3)) * (2 / 255) - 1  # as pipelines do
    model = tiny(name, 5, 5, resolution=0)
    scaled = keras.Model(model.input, model.get_layer("rescale").output)({"image": image})
    if name == "efficientnet_lite0":
        expected = np.repeat((pixels[:, None] - 127) / 128, 3, axis=1)
    else:
        mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        expected = (pixels[:, None] / 255 - mean) / std
    np.testing.assert_allclose(scaled[0, :, 0, :], expected, atol=2e-6)


def test_small_images_are_enlarged_and_grey_ones_repeated():
    model = tiny("efficientnet_lite0", 16, 24, 1, resolution=32)
    seen = keras.Model(model.input, model.get_layer("rescale").output)
    image = RANDOM.normal(size=(2, 16, 24, 1)).astype(np.float32)
    answers = seen({"image": image}).numpy()
    assert answers.shape == (2, 32, 48, 3)
    np.testing.assert_array_equal(answers[..., 0], answers[..., 2])
    expected = tf.image.resize(image, (32, 48)).numpy() * (127.5 / 128) + 0.5 / 128
    np.testing.assert_allclose(answers[..., :1], expected, atol=1e-5)
    assert tiny("mobilenet_v2", 40, 40).get_layer("rescale").output.shape == (None, 40, 40, 3)


@pytest.mark.parametrize(
    ("sizes", "message"), [((None, 16), "1x1 or more, received None"), ((16, 16, 4), "1 or 3")]
)
def test_images_of_no_fixed_size_or_four_channels_are_refused(sizes, message):
    with pytest.raises(ValueError, match=f"efficientnet_lite takes images of {message}"):
        tiny("efficientnet_lite0", *sizes)


def convolved(x: np.ndarray, kernel: np.ndarray, strides: int, before: int) -> np.ndarray:
    """Each channel with its own kernel (size, size, C); so many zeros above and left."""
    size, (_, height, width, _) = len(kernel), x.shape
    outputs = -(-height // strides), -(-width // strides)
    padded = np.pad(x, ((0, 0), (before, size), (before, size), (0, 0)))
    y = np.zeros((len(x), *outputs, x.shape[-1]))
    for i in range(outputs[0]):
        for j in range(outputs[1]):
            part = padded[:, strides * i : strides * i + size, strides * j : strides * j + size]
            y[:, i, j] = (part * kernel).sum(axis=(1, 2))
    return y


@pytest.mark.parametrize("module", [efficientnet_lite, mobilenet_v2])
@pytest.mark.parametrize("strides", [1, 2])
def test_a_block_is_what_numpy_makes_of_it(module, strides):
    """On an even size, where TensorFlow pads strided layers below and right alone."""
    size = 5 if module is efficientnet_lite else 3
    inputs = keras.Input((8, 8, 4))
    options = {"size": size} if module is efficientnet_lite else {}
    block = module.block(inputs, 4, strides=strides, expansion=3, name="block2", **options)
    model = keras.Model(inputs, block)
    epsilon = {efficientnet_lite: 1e-3, mobilenet_v2: 1.001e-5}[module]
    for variable in model.weights:
        low, high = (0.5, 1.5) if "variance" in variable.path else (-1, 1)
        variable.assign(RANDOM.uniform(low, high, variable.shape))
    values = {v.path: v.numpy().astype(np.float64) for v in model.weights}

    def normed(y, layer, *, active=True):
        gamma, beta, mean, variance = (
            values[f"block2_{layer}_norm/{name}"]
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        y = (y - mean) / np.sqrt(variance + epsilon) * gamma + beta
        return np.clip(y, 0, 6) if active else y

    x = RANDOM.normal(size=(2, 8, 8, 4))
    y = normed(x @ values["block2_expand_conv/kernel"][0, 0], "expand")
    before = size // 2
    if strides == 2 and module is efficientnet_lite:
        before = (size - 2) // 2  # of size - strides zeros in all, the smaller half
    kernel = values["block2_depthwise_conv/kernel"][..., 0]
    y = normed(convolved(y, kernel, strides, before), "depthwise")
    y = normed(y @ values["block2_project_conv/kernel"][0, 0], "project", active=False)
    expected = y + x if strides == 1 else y
    np.testing.assert_allclose(model(x.astype(np.float32)).numpy(), expected, rtol=1e-3, atol=1e-4)
