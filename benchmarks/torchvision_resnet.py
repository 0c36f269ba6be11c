"""Checks that ResNet-18 and ResNet-50 give torchvision's logits with the same random weights.

Needs torch and torchvision: `python benchmarks/torchvision_resnet.py --size=224` prints the largest
difference of the logits as a fraction of the largest logit, and fails above 1e-4.
"""

import argparse
import re
import sys

import keras
import numpy as np
import torch
import torchvision

import zoo
from zoo.spec import DataSpec, Field

CLASSES = 1000


def theirs(name: str) -> torch.nn.Module:
    """torchvision's network, with random numbers in every weight and statistic."""
    torch.manual_seed(0)
    model = getattr(torchvision.models, name)(weights=None, num_classes=CLASSES).eval()
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            noise = 0.2 * torch.randn_like(value)
            value += noise.abs() if "running_var" in key else noise
    return model


def name_there(path: str) -> str:
    """`stage2_block1_conv1/kernel` is `layer2.0.conv1.weight`."""
    layer, _, part = path.partition("/")
    parts = {
        "kernel": "weight",
        "bias": "bias",
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }
    if layer == "logits":
        return f"fc.{parts[part]}"
    if layer.startswith("stem_"):
        kind = {"stem_conv": "conv1", "stem_norm": "bn1"}[layer]
        return f"{kind}.{parts[part]}"
    stage, block, rest = re.fullmatch(r"stage(\d)_block(\d+)_(\w+)", layer).groups()
    shortcuts = {"shortcut_conv": "downsample.0", "shortcut_norm": "downsample.1"}
    kind = shortcuts.get(rest, rest.replace("norm", "bn"))
    return f"layer{stage}.{int(block) - 1}.{kind}.{parts[part]}"


def ours(name: str, size: int, state: dict[str, torch.Tensor]) -> keras.Model:
    """The zoo's network with these weights. ValueError: some of them were not used."""
    entry = zoo.get(name)
    image = Field((size, size, 3), "float32")
    spec = DataSpec({"image": image}, "classification", CLASSES)
    model = entry.build(spec, **{**entry.hparams, "stem": "large", "stride_in": 3})
    left = {key: value.numpy() for key, value in state.items() if value.is_floating_point()}
    for variable in model.weights:
        value = left.pop(name_there(variable.path))
        if value.ndim > 1:  # (out, in, h, w) or (out, in)
            value = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T
        variable.assign(value)
    if left:
        raise ValueError(f"not taken: {', '.join(left)}")
    return model


def difference(name: str, size: int) -> float:
    there = theirs(name)
    here = ours(name, size, there.state_dict())
    images = np.random.default_rng(0).normal(size=(2, size, size, 3)).astype(np.float32)
    with torch.no_grad():
        expected = there(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()
    received = here.predict({"image": images}, verbose=0)
    return float(np.abs(received - expected).max() / np.abs(expected).max())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=224, help="pixels per side")
    size = parser.parse_args().size
    differences = {name: difference(name, size) for name in ("resnet18", "resnet50")}
    for name, value in differences.items():
        print(f"{name} at {size}x{size}: {value:.1e}")
    return int(max(differences.values()) > 1e-4)


if __name__ == "__main__":
    sys.exit(main())
