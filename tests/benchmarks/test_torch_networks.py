"""PyTorch's twins of six networks give the logits of the zoo's, under the zoo's weights."""

import re

import keras
import numpy as np
import pytest

import zoo
from tests.conftest import ROOT
from zoo.spec import DataSpec, Field

torch = pytest.importorskip("torch", reason="PyTorch is an extra: .[benchmark]")

IMAGE = {"task": "classification", "num_outputs": 10}
SPECS = {
    "cifar_cnn": DataSpec({"image": Field((32, 32, 3), "float32")}, **IMAGE),
    "mnist_cnn": DataSpec({"image": Field((28, 28, 1), "float32")}, **IMAGE),
    "mlp_binary": DataSpec({"features": Field((784,), "float32")}, "binary", 1),
    "speed_cnn": DataSpec({"image": Field((32, 32, 3), "float32")}, **IMAGE),
    "resnet20": DataSpec({"image": Field((32, 32, 3), "float32")}, **IMAGE),
    "transformer_encoder": DataSpec({"tokens": Field((None,), "int32", 50, 24)}, "binary", 1),
}
CASES = [*((name, {}) for name in SPECS), ("speed_cnn", {"activation": "relu"})]
CASES.append(("transformer_encoder", {"num_layers": 3, "num_heads": 4}))
KINDS = {
    "kernel": "weight",
    "embeddings": "weight",
    "gamma": "weight",
    "bias": "bias",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


@pytest.fixture(name="torch_networks")
def _torch_networks(monkeypatch):
    monkeypatch.syspath_prepend(f"{ROOT}/benchmarks")
    import torch_networks

    return torch_networks


def pair(name, hparams, torch_networks):
    """The zoo's network and its twin under the same random weights."""
    entry = zoo.get(name)
    model = entry.build(SPECS[name], **{**entry.hparams, **hparams})
    random = np.random.default_rng(0)
    for variable in model.weights:  # biases and statistics are zeros and ones otherwise
        start = np.array(variable)
        moved = start + random.normal(0, 0.1, start.shape)
        variable.assign(np.abs(moved) if "variance" in variable.path else moved)
    network = torch_networks.build(name, SPECS[name], hparams)
    copy_weights(model, network)
    return model, network


def copy_weights(model, network):
    """Puts every weight of the Keras model into the PyTorch network, none left over."""
    places = {name.replace(".", "_"): t for name, t in network.state_dict().items() if t.ndim}
    for variable in model.weights:
        layer, kind = variable.path.split("/")
        layer = re.sub(r"_([12])_norm$", r"_norm\1", layer)  # norm1 and norm2 of a group
        place = f"{layer}_{KINDS[kind]}"
        value = np.array(variable)
        if kind == "kernel" and value.ndim == 4:
            value = value.transpose(3, 2, 0, 1)  # (h, w, in, out) to (out, in, h, w)
        elif kind == "kernel":
            value = value.T
        if place == "dense_weight" and "flatten" in [layer.name for layer in model.layers]:
            shape = model.get_layer("flatten").input.shape[1:]  # flattened as (h, w, c)
            moved = value.reshape(-1, *shape).transpose(0, 3, 1, 2)
            value = moved.reshape(value.shape)  # PyTorch's as (c, h, w)
        tensor = places.pop(place)
        assert tuple(tensor.shape) == value.shape, place
        tensor.copy_(torch.from_numpy(np.ascontiguousarray(value)))
    left = {name for name in places if not name.endswith("_weight") or "norm" not in name}
    assert not left
    assert all((places[name] == 1).all() for name in places)  # normalisation without a scale


def inputs_of(name, count=6):
    """The same inputs for Keras and for PyTorch."""
    random = np.random.default_rng(1)
    ((key, field),) = SPECS[name].inputs.items()
    if key == "tokens":
        x = random.integers(1, 50, (count, 24)).astype("int32")
        for row, length in enumerate((24, 1, 7, 23, 12, 2)):
            x[row, length:] = 0
        return {key: x}, torch.from_numpy(x)
    x = random.normal(size=(count, *field.shape)).astype("float32")
    theirs = torch.from_numpy(x)
    return {key: x}, theirs.permute(0, 3, 1, 2) if key == "image" else theirs


@pytest.mark.parametrize(("name", "hparams"), CASES, ids=str)
def test_the_twin_has_the_same_logits(name, hparams, torch_networks):
    model, network = pair(name, hparams, torch_networks)
    x, theirs = inputs_of(name)
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    with torch.no_grad():
        found = network.eval()(theirs).numpy()
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", SPECS)
def test_the_twin_has_as_many_weights(name, torch_networks):
    model, network = pair(name, {}, torch_networks)
    ours = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == ours


def test_the_twin_normalises_batches_alike(torch_networks):
    model, network = pair("speed_cnn", {}, torch_networks)
    x, theirs = inputs_of("speed_cnn", count=8)
    before = {v.path: np.array(v) for v in model.non_trainable_variables}
    expected = keras.ops.convert_to_numpy(model(x, training=True))
    with torch.no_grad():
        found = network.train()(theirs).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)
    layer, norm = model.get_layer("group1_1_norm"), network.group1.norm1
    np.testing.assert_allclose(norm.running_mean.numpy(), np.array(layer.moving_mean), atol=1e-5)
    # PyTorch keeps N / (N - 1) of the batch's variance, Keras the variance itself.
    count, old = 8 * 15 * 15, layer.momentum * before["group1_1_norm/moving_variance"]
    theirs_new = (norm.running_var.numpy() - old) * (count - 1) / count
    np.testing.assert_allclose(theirs_new, np.array(layer.moving_variance) - old, atol=1e-5)


def test_what_the_recipe_does_not_train_is_frozen(torch_networks):
    network = torch_networks.build("speed_cnn", SPECS["speed_cnn"], {})
    torch_networks.freeze(network, (("whiten/kernel", 0.0), ("whiten/bias", 64.0)))
    frozen = [name for name, p in network.named_parameters() if not p.requires_grad]
    norms = [f"group{i}.norm{j}.weight" for i in (1, 2, 3) for j in (1, 2)]
    assert frozen == ["whiten.weight", *norms]
