"""The two networks for digits: their layers by size, and the smallest image of each."""

import pytest

import zoo
from zoo.spec import DataSpec, Field


def spec(size: int) -> DataSpec:
    return DataSpec({"image": Field((size, size, 1), "float32")}, "classification", 10)


@pytest.mark.parametrize(
    ("name", "flat", "hidden"), [("mnist_cnn", 576, 64), ("mnist_cnn_5x5", 1024, 1024)]
)
def test_layers_have_the_sizes_that_the_summary_states(name, flat, hidden):
    model = zoo.get(name).build(spec(28))
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert shapes["flatten"] == (flat,)
    assert shapes["dense"] == (hidden,)
    assert shapes["logits"] == (10,)
    assert ("dropout" in shapes) == (name == "mnist_cnn_5x5")


@pytest.mark.parametrize(("name", "smallest"), [("mnist_cnn", 18), ("mnist_cnn_5x5", 16)])
def test_small_images_and_other_data_are_refused(name, smallest):
    assert zoo.get(name).build(spec(smallest)).output_shape == (None, 10)
    with pytest.raises(ValueError, match=f"{smallest}x{smallest} or more, received"):
        zoo.get(name).build(spec(smallest - 1))
    with pytest.raises(ValueError, match="takes one input 'image', the data has"):
        zoo.get(name).build(DataSpec({"x": Field((3,), "float32")}, "binary", 1))
