"""AlexNet: the size of the two-GPU paper, and by value in NumPy."""

import numpy as np
import pytest

from tests.zoo.images import (
    batch_norm,
    build,
    close,
    conv,
    count,
    dense,
    images,
    pool,
    relu,
    spec,
    weights_of,
)

TINY = {"widths": (4, 6, 8, 6, 4), "units": (5,)}


def respond(x: np.ndarray) -> np.ndarray:
    """Section 3.3 of the paper, channel after channel."""
    y = np.empty_like(x)
    for i in range(x.shape[-1]):
        near = x[..., max(0, i - 2) : i + 3]
        y[..., i] = x[..., i] / (2 + 1e-4 * (near**2).sum(axis=-1)) ** 0.75
    return y


def test_size_is_that_of_the_paper():
    assert count("alexnet", spec(224, 1000)) == 60_965_224
    assert count("alexnet", spec(227, 1000)) == 60_965_224


@pytest.mark.parametrize(("size", "stem"), [(63, "large"), (15, "small")])
@pytest.mark.parametrize(("groups", "norm"), [(2, "response"), (1, "batch")])
def test_alexnet_is_that_of_the_paper_in_float64(size, stem, groups, norm):
    changes = {"groups": groups, "norm": norm, "stem": stem}
    model = build("alexnet", spec(size), **TINY, **changes)
    w, x = weights_of(model), images(size) * 20  # so that the response is far from constant

    def layer(y, name, pad, stride=1, halves=1):
        kernels = np.split(w[f"{name}/kernel"], halves, axis=-1)
        pairs = zip(np.split(y, halves, axis=-1), kernels, strict=True)
        parts = [conv(part, {"a/kernel": kernel}, "a", stride, pad) for part, kernel in pairs]
        y = np.concatenate(parts, axis=-1)
        if norm == "batch":
            return relu(batch_norm(y, w, f"{name}_norm"))
        return relu(y + w[f"{name}/bias"])

    y = layer(x, "conv1", 2, stride=4 if stem == "large" else 1)
    y = pool(respond(y) if norm == "response" else y, 3, 2)
    y = layer(y, "conv2", 2, halves=groups)
    y = pool(respond(y) if norm == "response" else y, 3, 2)
    y = layer(y, "conv3", 1)
    y = layer(y, "conv4", 1, halves=groups)
    y = pool(layer(y, "conv5", 1, halves=groups), 3, 2)
    close(model({"image": x}), dense(relu(dense(y.reshape(2, -1), w, "dense1")), w, "logits"))


@pytest.mark.parametrize(
    ("size", "changes", "said"),
    [
        (14, {}, "alexnet takes images of 15x15 or more, received 14x14x3"),
        (62, {"stem": "large"}, "with a large stem takes images of 63x63 or more"),
        (32, {"norm": "layer"}, "norm 'layer' is none of response, batch, none"),
    ],
)
def test_small_images_and_unknown_choices_are_refused(size, changes, said):
    with pytest.raises(ValueError, match=said):
        build("alexnet", spec(size), **TINY, **changes)
