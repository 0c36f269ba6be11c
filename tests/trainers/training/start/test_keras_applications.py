"""Weights of keras.applications: the same logits of the same pixels, and the names of layers."""

import keras
import numpy as np
import pytest

import zoo
from tests.conftest import made_pipeline
from tests.zoo.images import build, images, randomise, spec
from trainers.config.settings import resolve
from trainers.errors import ArtefactError, UsageError
from trainers.training.start import keras_applications, keras_file

NETWORKS = {
    "resnet50": (keras.applications.ResNet50, 64, {"stride_in": 1, "pixels": "caffe"}),
    "vgg16": (keras.applications.VGG16, 32, {"pixels": "caffe"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("model", NETWORKS)
def test_a_file_of_keras_applications_gives_its_logits(model, tmp_path):
    of_keras, size, hparams = NETWORKS[model]
    theirs = of_keras(
        weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None
    )
    if model == "resnet50":
        randomise(theirs)  # biases of VGG are small numbers already
    theirs.save(tmp_path / "theirs.keras")
    settings = resolve(model, {"hparams": hparams})
    weights = keras_file.weights(tmp_path / "theirs.keras", settings, made_pipeline("binary"))
    ours = build(model, spec(size, 10), **hparams)
    for variable in ours.weights:
        variable.assign(weights.pop(variable.path))
    assert not weights
    x = np.clip(images(size, 3), -1, 1)
    pixels = keras.applications.imagenet_utils.preprocess_input(127.5 * x + 127.5, mode="caffe")
    expected = theirs.predict(pixels, verbose=0)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(
        ours.predict({"image": x}, verbose=0), expected, rtol=0, atol=1e-4 * scale
    )


def arrays() -> dict[str, np.ndarray]:
    return {
        "conv1_conv/kernel": np.arange(6.0).reshape(1, 1, 3, 2),
        "conv1_conv/bias": np.array([1.0, 2.0]),
        "conv1_bn/moving_mean": np.array([5.0, 5.0]),
        "conv3_block2_0_bn/gamma": np.ones(2),
        "conv3_block2_3_conv/kernel": np.ones((1, 1, 2, 2)),
        "predictions/bias": np.ones(3),
    }


def test_layers_are_renamed_biases_folded_and_colours_turned():
    hparams = {**zoo.describe("resnet50").hparams, "stride_in": 1, "pixels": "caffe"}
    found = keras_applications.renamed("resnet50", arrays(), hparams)
    assert sorted(found) == [
        "logits/bias",
        "stage2_block2_conv3/kernel",
        "stage2_block2_shortcut_norm/gamma",
        "stem_conv/kernel",
        "stem_norm/moving_mean",
    ]
    np.testing.assert_array_equal(found["stem_norm/moving_mean"], [4.0, 3.0])
    np.testing.assert_array_equal(found["stem_conv/kernel"][0, 0], [[4, 5], [2, 3], [0, 1]])


def test_other_sizes_and_networks_are_refused():
    hparams = zoo.describe("resnet50").hparams
    with pytest.raises(UsageError, match=r"with --hparams=stride_in=1,pixels=caffe$"):
        keras_applications.renamed("resnet50", arrays(), hparams)
    hparams = {**hparams, "stride_in": 1, "pixels": "caffe"}
    second = {**arrays(), "conv2_block1_preact_bn/gamma": np.ones(2)}  # ResNetV2
    with pytest.raises(ArtefactError, match="has no layer conv2_block1_preact_bn"):
        keras_applications.renamed("resnet50", second, hparams)


def test_files_of_other_models_are_left_as_they_are():
    assert keras_applications.family_of("resnet50", {"stem_conv/kernel": np.ones(1)}) is None
    assert keras_applications.family_of("resnet18", arrays()) is None
    assert keras_applications.family_of("resnet50", arrays()) is not None


@pytest.mark.parametrize(
    ("pixels", "size", "said"),
    [
        ("bgr", (40, 40, 3), "none of plain, caffe"),
        ("caffe", (40, 40, 1), "3 channels, received 1"),
    ],
)
def test_pixels_that_there_are_not_are_refused(pixels, size, said):
    data = spec(40)
    data = data._replace(inputs={"image": data.inputs["image"]._replace(shape=size)})
    with pytest.raises(ValueError, match=said):
        build("vgg16", data, pixels=pixels)
