"""The tutorial's network: its layers by name and size, and the smallest image."""

import pytest

import zoo
from zoo.spec import DataSpec, Field


def spec(size: int) -> DataSpec:
    return DataSpec({"image": Field((size, size, 3), "float32")}, "classification", 10)


def test_cifar_cnn_has_the_tutorials_layers():
    model = zoo.get("cifar_cnn").build(spec(32))
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert shapes == {
        "image": (32, 32, 3),
        "conv1": (30, 30, 32),
        "pool1": (15, 15, 32),
        "conv2": (13, 13, 64),
        "pool2": (6, 6, 64),
        "conv3": (4, 4, 64),
        "flatten": (1024,),
        "dense": (64,),
        "logits": (10,),
    }


def test_cifar_cnn_refuses_small_images_and_other_data():
    assert zoo.get("cifar_cnn").build(spec(18)).output_shape == (None, 10)
    with pytest.raises(ValueError, match="18x18 or more, received 17x17x3"):
        zoo.get("cifar_cnn").build(spec(17))
    with pytest.raises(ValueError, match="one input 'image', the data has"):
        zoo.get("cifar_cnn").build(DataSpec({"x": Field((3,), "float32")}, "binary", 1))
