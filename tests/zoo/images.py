"""Layers of image networks in NumPy, float64, and the networks whose numbers they check."""

import keras
import numpy as np
import tensorflow as tf

import zoo
from zoo.spec import DataSpec, Field

RANDOM = np.random.default_rng(0)


def spec(size: int, classes: int = 3, width: int | None = None) -> DataSpec:
    """Of RGB images of `size` x `size`, or `size` x `width`, in some classes."""
    image = Field((size, width or size, 3), "float32")
    return DataSpec({"image": image}, "classification", classes)


def build(name: str, data: DataSpec, **hparams) -> keras.Model:
    """With random numbers in every weight, also those that begin at zero or one."""
    entry = zoo.get(name)
    model = entry.build(data, **{**entry.hparams, **hparams})
    randomise(model)
    return model


def randomise(model: keras.Model) -> None:
    for variable in model.weights:
        noise = RANDOM.normal(scale=0.2, size=variable.shape)
        noise = np.abs(noise) if "variance" in variable.path else noise
        variable.assign(variable.numpy() + noise)


def weights_of(model: keras.Model) -> dict[str, np.ndarray]:
    return {v.path: v.numpy().astype(np.float64) for v in model.weights}


def count(name: str, data: DataSpec, **hparams) -> int:
    """Trained numbers of the full size, without making them."""
    entry = zoo.get(name)
    with tf.Graph().as_default():  # where weights have shapes and no values
        model = entry.build(data, **{**entry.hparams, **hparams})
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_weights)


def conv(x: np.ndarray, w: dict, name: str, stride: int = 1, pad: int = 0) -> np.ndarray:
    """(B, H, W, C), `pad` zeros at each side; with the bias, if there is one."""
    kernel = w[f"{name}/kernel"]  # (h, w, in, out)
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    seen = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], axis=(1, 2))
    y = np.einsum("bijchw,hwco->bijo", seen[:, ::stride, ::stride], kernel)
    return y + w.get(f"{name}/bias", 0.0)


def pool(x: np.ndarray, size: int, stride: int, pad: tuple[int, int] = (0, 0)) -> np.ndarray:
    """The greatest number of each window, `pad` zeros before and after."""
    x = np.pad(x, ((0, 0), pad, pad, (0, 0)))
    seen = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return seen[:, ::stride, ::stride].max(axis=(-1, -2))


def batch_norm(x: np.ndarray, w: dict, name: str, epsilon: float = 1e-5) -> np.ndarray:
    """By the moving statistics."""
    x = (x - w[f"{name}/moving_mean"]) / np.sqrt(w[f"{name}/moving_variance"] + epsilon)
    return x * w[f"{name}/gamma"] + w[f"{name}/beta"]


def layer_norm(x: np.ndarray, w: dict, name: str, epsilon: float) -> np.ndarray:
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon)
    return x * w[f"{name}/gamma"] + w[f"{name}/beta"]


def dense(x: np.ndarray, w: dict, name: str) -> np.ndarray:
    return x @ w[f"{name}/kernel"] + w.get(f"{name}/bias", 0.0)


def attention(x: np.ndarray, w: dict, name: str, num_heads: int) -> np.ndarray:
    """(B, T, width), head after head."""
    query, key, value = np.split(dense(x, w, f"{name}_query_key_value"), 3, axis=-1)
    heads, size = [], x.shape[-1] // num_heads
    for i in range(num_heads):
        part = slice(i * size, (i + 1) * size)
        scores = query[..., part] @ key[..., part].swapaxes(1, 2) / np.sqrt(size)
        heads.append(softmax(scores, -1) @ value[..., part])
    return dense(np.concatenate(heads, axis=-1), w, f"{name}_output")


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    share = np.exp(x - x.max(axis, keepdims=True))
    return share / share.sum(axis, keepdims=True)


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0.0)


def images(size: int, number: int = 2, width: int | None = None) -> np.ndarray:
    return RANDOM.normal(size=(number, size, width or size, 3)).astype(np.float32)


def close(found, expected) -> None:
    """To float32's places, over sums of many numbers."""
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * scale)
