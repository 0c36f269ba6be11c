"""ConvNeXt: the published size, and the logits of Keras's own."""

import keras
import numpy as np
import pytest

import zoo
from tests.zoo.images import build, close, count, images, randomise, spec


def test_size_is_the_published_one():
    assert count("convnext_tiny", spec(224, 1000)) == 28_589_128


@pytest.mark.slow
def test_logits_are_those_of_keras_with_the_same_weights():
    theirs = keras.applications.ConvNeXtTiny(
        include_preprocessing=False,
        input_shape=(72, 72, 3),  # the third stage halves an odd number of pixels
        classes=3,
        classifier_activation=None,
        weights=None,
        name="k",
    )
    randomise(theirs)
    ours = build("convnext_tiny", spec(72))
    for variable, value in zip(ours.weights, theirs.weights, strict=True):  # in the same order
        value = value.numpy()
        # Keras has a group for each channel where ours filters each channel.
        variable.assign(np.swapaxes(value, 2, 3) if "depthwise/kernel" in variable.path else value)
    x = images(72)
    close(ours({"image": x}), theirs(x).numpy())


def test_a_block_begins_as_the_identity():
    model = zoo.get("convnext_tiny").build(spec(32), stem=4, depths=(1,), widths=(4,))
    x = images(32)
    ends = (model.get_layer("stem_norm").output, model.get_layer("pool").input)
    first, last = (keras.Model(model.input, end)({"image": x}) for end in ends)
    np.testing.assert_allclose(first, last, atol=1e-5)


def test_branches_are_left_out_of_images_at_a_rate_that_rises():
    model = build("convnext_mini", spec(16), depths=(2, 1), widths=(4, 6), path_dropout=0.5)
    rates = [layer.rate for layer in model.layers if "path_dropout" in layer.name]
    assert rates == [0.25, 0.5]


def test_an_image_smaller_than_its_strides_is_refused():
    with pytest.raises(ValueError, match="convnext takes images of 32x32 or more"):
        build("convnext_tiny", spec(31))
