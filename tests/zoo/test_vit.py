"""Vision Transformers: published sizes, and by value in NumPy."""

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
    spec,
    weights_of,
)

SIZE = {"patch": 4, "width": 8, "num_layers": 2, "num_heads": 2, "mlp_dim": 12}


@pytest.mark.parametrize(
    ("name", "pool", "number"),
    [
        ("vit_ti16", "token", 5_717_416),
        ("vit_s16", "token", 22_050_664),
        ("vit_s16", "mean", 22_049_896),
        ("vit_b16", "token", 86_567_656),
    ],
)
def test_sizes_are_the_published_ones(name, pool, number):
    assert count(name, spec(224, 1000), pool=pool) == number


@pytest.mark.parametrize("pool", ["token", "mean"])
def test_vit_is_that_of_the_paper_in_float64(pool):
    model = build("vit_ti16", spec(8, width=12), **SIZE, pool=pool)
    w, x = weights_of(model), images(8, width=12)
    y = conv(x, w, "patch_embedding", stride=4)  # (2, 8 - 3, 12 - 3, 8) of which every fourth
    y = y.reshape(2, 6, 8)  # row by row
    if pool == "token":
        first = np.broadcast_to(w["class_token/embeddings"], (2, 1, 8))
        y = np.concatenate([first, y], axis=1)
    y = y + w["position_embedding/embeddings"]
    erf = np.vectorize(math.erf)
    for name in ("block1", "block2"):
        y = y + attention(
            layer_norm(y, w, f"{name}_attention_norm", 1e-6), w, f"{name}_attention", 2
        )
        z = dense(layer_norm(y, w, f"{name}_dense_norm", 1e-6), w, f"{name}_dense1")
        y = y + dense(0.5 * z * (1 + erf(z / np.sqrt(2))), w, f"{name}_dense2")
    y = layer_norm(y, w, "encoded", 1e-6)
    y = y[:, 0] if pool == "token" else y.mean(axis=1)
    close(model({"image": x}), dense(y, w, "logits"))


def test_path_dropout_leaves_out_whole_branches_of_the_last_block():
    model = build("vit_mini4", spec(16), **SIZE, path_dropout=0.5)
    x = np.tile(images(16, 1), (64, 1, 1, 1))
    kinds = np.unique(np.round(model({"image": x}, training=True).numpy(), 4), axis=0)
    assert len(kinds) == 4  # each of the two branches is there, twice as strong, or is not
    np.testing.assert_allclose(
        model({"image": x}), np.tile(model({"image": x[:1]}), (64, 1)), atol=1e-5
    )


@pytest.mark.parametrize(
    ("size", "width", "changes", "said"),
    [
        (20, 32, {}, "vit takes images whose sides are multiples of 16 pixels, .* 20x32x3"),
        (8, 8, {}, "vit takes images of 16x16 or more, received 8x8x3"),
        (32, 32, {"num_heads": 5}, "width 192 does not divide over 5 heads"),
        (32, 32, {"pool": "max"}, "pool 'max' is none of token, mean"),
    ],
)
def test_other_images_and_unknown_choices_are_refused(size, width, changes, said):
    with pytest.raises(ValueError, match=said):
        build("vit_ti16", spec(size, width=width), **changes)
