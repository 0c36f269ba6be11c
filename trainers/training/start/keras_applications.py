"""Weights of ResNet and VGG in keras.applications, under the paths of the zoo's models.

`keras.applications.ResNet50().save("resnet50.keras")` makes such a file, where Keras can download
the weights. Convolutions in Keras's ResNet have biases; each is subtracted here from the moving
mean of the norm that follows. The first kernels expect the channels blue, green, red.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from trainers.errors import ArtefactError, UsageError


class _Family(NamedTuple):
    """A family of networks in keras.applications."""

    first: str  # path of the first kernel in Keras, which identifies a file
    hparams: Mapping[str, Any]  # of the zoo's model that fits the weights
    layers: tuple[tuple[str, str], ...]  # (regular expression on Keras's layer name, name here)


_RESNET = _Family(
    "conv1_conv/kernel",
    {"bottleneck": True, "stride_in": 1, "shortcut": "projection", "pixels": "caffe"},
    (
        (r"conv1_conv", "stem_conv"),
        (r"conv1_bn", "stem_norm"),
        (r"conv(\d+)_block(\d+)_0_conv", "stage{}_block{}_shortcut_conv"),
        (r"conv(\d+)_block(\d+)_0_bn", "stage{}_block{}_shortcut_norm"),
        (r"conv(\d+)_block(\d+)_(\d)_conv", "stage{}_block{}_conv{}"),
        (r"conv(\d+)_block(\d+)_(\d)_bn", "stage{}_block{}_norm{}"),
        (r"predictions", "logits"),
    ),
)
_VGG = _Family(
    "block1_conv1/kernel",
    {"batch_norm": False, "pixels": "caffe"},
    (
        (r"block(\d)_conv(\d)", "group{}_conv{}"),
        (r"fc(\d)", "dense{}"),
        (r"predictions", "logits"),
    ),
)
_FAMILIES = {"resnet50": _RESNET, "vgg16": _VGG}


def family_of(model: str, arrays: Mapping[str, np.ndarray]) -> _Family | None:
    """The model's family if these are its weights in keras.applications, else None."""
    family = _FAMILIES.get(model)
    return family if family and family.first in arrays else None


def renamed(
    model: str, arrays: Mapping[str, np.ndarray], hparams: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The weights under the paths of the zoo's model.

    Args:
        model: one for which `family_of` is not None.
        hparams: all of the model's.

    Raises:
        UsageError: the model has other hyperparameters; the message says which are needed.
        ArtefactError: a layer has no counterpart here, as in ResNetV2.
    """
    family = _FAMILIES[model]
    others = {name: value for name, value in family.hparams.items() if hparams[name] != value}
    if others:
        wanted = ",".join(f"{name}={value}" for name, value in others.items())
        raise UsageError(
            f"--init_from: weights of keras.applications are for {model} with --hparams={wanted}"
        )
    values: dict[str, np.ndarray] = {}
    for path, array in arrays.items():
        layer, _, part = path.rpartition("/")
        if path == family.first:
            array = array[:, :, ::-1]  # blue, green, red
        values[f"{_layer(model, family, layer)}/{part}"] = array
    for layer in [path.removesuffix("/moving_mean") for path in values if "/moving_mean" in path]:
        bias = values.pop(f"{layer.replace('norm', 'conv')}/bias", 0.0)
        values[f"{layer}/moving_mean"] = values[f"{layer}/moving_mean"] - bias
    return values


def _layer(model: str, family: _Family, layer: str) -> str:
    for pattern, name in family.layers:
        match = re.fullmatch(pattern, layer)
        if match:
            numbers = [int(number) for number in match.groups()]
            if family is _RESNET and numbers:
                numbers[0] -= 1  # Keras counts the stem as stage 1
            return name.format(*numbers)
    raise ArtefactError(f"--init_from: {model} of keras.applications has no layer {layer}")
