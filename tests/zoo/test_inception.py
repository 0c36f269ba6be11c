"""GoogLeNet: the size that the paper's table has, and by value in NumPy."""

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

# Table 1 of the paper: width before; 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection.
TABLE = (
    (192, 64, 96, 128, 16, 32, 32),
    (256, 128, 128, 192, 32, 96, 64),
    (480, 192, 96, 208, 16, 48, 64),
    (512, 160, 112, 224, 24, 64, 64),
    (512, 128, 128, 256, 24, 64, 64),
    (512, 112, 144, 288, 32, 64, 64),
    (528, 256, 160, 320, 32, 128, 128),
    (832, 256, 160, 320, 32, 128, 128),
    (832, 384, 192, 384, 48, 128, 128),
)


def test_size_is_that_of_the_papers_table():
    number = (49 * 3 + 1) * 64 + (64 + 1) * 64 + (9 * 64 + 1) * 192
    for before, one, reduce3, three, reduce5, five, project in TABLE:
        number += (before + 1) * (one + reduce3 + reduce5 + project)
        number += (9 * reduce3 + 1) * three + (25 * reduce5 + 1) * five
    number += (1024 + 1) * 1000
    assert count("googlenet", spec(224, 1000)) == number == 6_998_552


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_module_is_that_of_the_paper_in_float64(norm):
    """One module on small images; a pool of stride 2 stands before it in the stem."""
    model = build("googlenet", spec(8), depths=(1,), scale=0.05, norm=norm)
    w, x = weights_of(model), images(8)

    def layer(y, name, pad=0):
        y = conv(y, w, name, pad=pad)
        return relu(batch_norm(y, w, f"{name}_norm") if norm == "batch" else y)

    y = pool(layer(x, "stem_conv1", 1), 3, 2, (0, 1))  # TensorFlow's "same" pads at the end
    y = layer(layer(y, "stem_conv2"), "stem_conv3", 1)
    assert y.shape == (2, 4, 4, 10)
    ways = [
        layer(y, "module3a_conv1"),
        layer(layer(y, "module3a_reduce3"), "module3a_conv3", 1),
        layer(layer(y, "module3a_reduce5"), "module3a_conv5", 2),
        layer(pool(y, 3, 1, (1, 1)), "module3a_project"),
    ]
    y = np.concatenate(ways, axis=-1)  # (2, 4, 4, 3 + 6 + 2 + 2)
    assert y.shape[-1] == 13
    close(model({"image": x}), dense(y.mean(axis=(1, 2)), w, "logits"))


def test_large_images_meet_five_halvings():
    model = build("googlenet", spec(224), scale=0.02)
    assert model.get_layer("module5b_conv1").output.shape[1:3] == (7, 7)
    model = build("googlenet", spec(32), scale=0.02)
    assert model.get_layer("module5b_conv1").output.shape[1:3] == (4, 4)


@pytest.mark.parametrize(
    ("size", "changes", "said"),
    [
        (7, {}, "googlenet takes images of 8x8 or more, received 7x7x3"),
        (31, {"stem": "large"}, "with a large stem takes images of 32x32 or more"),
        (32, {"stem": "tiny"}, "stem 'tiny' none of auto, large, small"),
        (32, {"depths": (3,)}, r"depths \(3,\) are more than the \(2, 5, 2\) modules"),
        (32, {"depths": (1, 1, 1, 1)}, "are more than the"),
    ],
)
def test_small_images_and_unknown_choices_are_refused(size, changes, said):
    with pytest.raises(ValueError, match=said):
        build("googlenet", spec(size), **changes)
