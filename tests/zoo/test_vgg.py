"""VGG: published sizes, and by value in NumPy and against Keras's VGG-16."""

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


def test_size_is_the_published_one():
    assert count("vgg16", spec(224, 1000)) == 138_357_544


@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("units", [(5,), ()])
def test_vgg_is_that_of_the_paper_in_float64(normed, units):
    sizes = {"widths": (4, 6), "depths": (1, 2), "units": units, "batch_norm": normed}
    model = build("vgg16", spec(8), **sizes)
    w, x = weights_of(model), images(8)
    y = x
    for group, depth in (("group1", 1), ("group2", 2)):
        for i in range(1, depth + 1):
            y = conv(y, w, f"{group}_conv{i}", pad=1)
            y = relu(batch_norm(y, w, f"{group}_norm{i}") if normed else y)
        y = pool(y, 2, 2)
    y = relu(dense(y.reshape(2, -1), w, "dense1")) if units else y.mean(axis=(1, 2))
    close(model({"image": x}), dense(y, w, "logits"))


def test_small_images_are_refused():
    with pytest.raises(ValueError, match="vgg with 5 groups takes images of 32x32 or more"):
        build("vgg16", spec(31))
