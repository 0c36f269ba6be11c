"""Compact convolutional transformers: published sizes by formula, and by value in NumPy."""

import math

import numpy as np
import pytest

from tests.zoo.images import (
    attention,
    build,
    close,
    conv,
    count,
    dense,
    images,
    layer_norm,
    pool,
    relu,
    softmax,
    spec,
    weights_of,
)


def by_hand(width: int, layers: int, mlp_dim: int, tokens: int = 64, classes: int = 10) -> int:
    tokenizer = 9 * 3 * 64 + 9 * 64 * width
    attention_block = 2 * width + 3 * width**2 + width**2 + width
    mlp = 2 * width + 2 * width * mlp_dim + mlp_dim + width
    head = 2 * width + (width + 1) + (width + 1) * classes
    return tokenizer + tokens * width + layers * (attention_block + mlp) + head


@pytest.mark.parametrize(
    ("name", "sizes", "number"),
    [
        ("cct_2_3x2", (128, 2, 128), 283_723),
        ("cct_4_3x2", (128, 4, 128), 482_123),
        ("cct_7_3x2", (256, 7, 512), 3_853_259),
    ],
)
def test_sizes_are_the_published_ones(name, sizes, number):
    assert count(name, spec(32, 10)) == number == by_hand(*sizes)


def test_one_convolution_makes_256_tokens():
    assert count("cct_7_3x2", spec(32, 10), num_convs=1) == 3_760_139  # CCT-7/3x1


def test_cct_is_that_of_the_paper_in_float64():
    """The sum that attention is added to is itself normalised, so it goes on normalised."""
    model = build("cct_2_3x2", spec(8), width=8, mlp_dim=12)
    w, y = weights_of(model), images(8)
    x = y
    for i in (1, 2):
        y = pool(relu(conv(y, w, f"tokenizer_conv{i}", pad=1)), 3, 2, (1, 1))
    y = y.reshape(2, 4, 8) + w["position_embedding/embeddings"]
    erf = np.vectorize(math.erf)
    for name in ("block1", "block2"):
        y = y + attention(
            layer_norm(y, w, f"{name}_attention_norm", 1e-5), w, f"{name}_attention", 2
        )
        y = layer_norm(y, w, f"{name}_dense_norm", 1e-5)
        z = dense(y, w, f"{name}_dense1")
        y = y + dense(0.5 * z * (1 + erf(z / np.sqrt(2))), w, f"{name}_dense2")
    y = layer_norm(y, w, "encoded", 1e-5)
    y = np.einsum("bto,btd->bd", softmax(dense(y, w, "sequence_pool"), 1), y)
    close(model({"image": x}), dense(y, w, "logits"))


def test_small_images_and_other_heads_are_refused():
    with pytest.raises(ValueError, match="cct with 2 convolutions takes images of 4x4 or more"):
        build("cct_2_3x2", spec(3))
    with pytest.raises(ValueError, match="width 128 does not divide over 3 heads"):
        build("cct_2_3x2", spec(32), num_heads=3)
