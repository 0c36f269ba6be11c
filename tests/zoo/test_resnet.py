"""Residual networks: published sizes, and by value in NumPy and against Keras's ResNet-50."""

import keras
import numpy as np
import pytest

import zoo
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


@pytest.mark.parametrize(
    ("name", "size", "classes", "changes", "number"),
    [
        ("resnet20", 32, 10, {}, 269_722),
        ("resnet20", 32, 10, {"shortcut": "projection"}, 269_722 + 2_752),
        ("resnet56", 32, 10, {}, 853_018),
        ("resnet18", 224, 1000, {}, 11_689_512),
        ("resnet50", 224, 1000, {}, 25_557_032),
    ],
)
def test_sizes_are_the_published_ones(name, size, classes, changes, number):
    assert count(name, spec(size, classes), **changes) == number


def test_resnet_of_cifar_is_that_of_the_paper_in_float64():
    """Two stages of one block: the second one halves the image, its shortcut has no weights."""
    model = build("resnet20", spec(8), depths=(1, 1), widths=(4, 6))
    w, x = weights_of(model), images(8)
    y = relu(batch_norm(conv(x, w, "stem_conv", pad=1), w, "stem_norm"))
    for name, stride in (("stage1_block1", 1), ("stage2_block1", 2)):
        z = conv(y, w, f"{name}_conv1", stride, pad=1)
        z = relu(batch_norm(z, w, f"{name}_norm1"))
        z = batch_norm(conv(z, w, f"{name}_conv2", pad=1), w, f"{name}_norm2")
        zeros = z.shape[-1] - y.shape[-1]
        y = np.pad(y[:, ::stride, ::stride], ((0, 0), (0, 0), (0, 0), (0, zeros)))
        y = relu(y + z)
    close(model({"image": x}), dense(y.mean(axis=(1, 2)), w, "logits"))


@pytest.mark.parametrize("stride_in", [1, 3])
@pytest.mark.parametrize("size", [16, 17])
def test_bottlenecks_are_those_of_the_paper_in_float64(stride_in, size):
    sizes = {"depths": (1, 1), "widths": (2, 3), "stride_in": stride_in, "stem": "large"}
    model = build("resnet50", spec(size), **sizes)
    w, x = weights_of(model), images(size)
    y = pool(relu(batch_norm(conv(x, w, "stem_conv", 2, pad=3), w, "stem_norm")), 3, 2, (1, 1))
    for name, stride in (("stage1_block1", 1), ("stage2_block1", 2)):
        first, second = (stride, 1) if stride_in == 1 else (1, stride)
        z = relu(batch_norm(conv(y, w, f"{name}_conv1", first), w, f"{name}_norm1"))
        z = relu(batch_norm(conv(z, w, f"{name}_conv2", second, pad=1), w, f"{name}_norm2"))
        z = batch_norm(conv(z, w, f"{name}_conv3"), w, f"{name}_norm3")
        y = batch_norm(conv(y, w, f"{name}_shortcut_conv", stride), w, f"{name}_shortcut_norm")
        y = relu(y + z)
    close(model({"image": x}), dense(y.mean(axis=(1, 2)), w, "logits"))


def test_stem_follows_the_images_size():
    shapes = {}
    for size in (32, 64):
        model = build("resnet18", spec(size), depths=(1, 1), widths=(4, 6))
        shapes[size] = model.get_layer("stage1_block1_relu2").output.shape[1:]
    assert shapes == {32: (32, 32, 4), 64: (16, 16, 4)}
    # The same weights but for the stem's kernel: a run may continue at another size.
    assert model.get_layer("stem_conv").kernel.shape == (7, 7, 3, 4)


@pytest.mark.parametrize(
    ("name", "size", "changes", "said"),
    [
        ("resnet20", 3, {}, "resnet takes images of 4x4 or more, received 3x3x3"),
        ("resnet18", 31, {"stem": "large"}, "with a large stem takes images of 32x32 or more"),
        ("resnet18", 32, {"stem": "huge"}, "stem 'huge' is none of auto, large, small"),
        ("resnet50", 32, {"stride_in": 2}, "stride_in 2 is none of 1, 3"),
        ("resnet20", 32, {"shortcut": "C"}, "shortcut 'C' is none of zeros, projection"),
    ],
)
def test_small_images_and_unknown_choices_are_refused(name, size, changes, said):
    with pytest.raises(ValueError, match=said):
        build(name, spec(size), **changes)


def test_blocks_with_zero_gamma_begin_as_the_identity():
    sizes = {"depths": (3,), "widths": (4,), "zero_gamma": True}
    model = zoo.get("resnet18").build(spec(8), **sizes)
    x = images(8)
    ends = ("stem_relu", "stage1_block3_relu2")
    first, last = (
        keras.Model(model.input, model.get_layer(name).output)({"image": x}) for name in ends
    )
    np.testing.assert_array_equal(first, last)
