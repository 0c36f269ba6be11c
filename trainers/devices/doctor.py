"""What this machine can do and what prevents it from doing more."""

import ctypes
import os
import pathlib
import sys
import tempfile

import tensorflow as tf

from pipelines.storage.builders import data_dir_in_use
from trainers.config import packages
from trainers.devices import precision

# Shared libraries that TensorFlow's GPU kernels open, by the pip package that brings each.
_GPU_LIBRARIES = {
    "libcudart.so": "cuda_runtime",
    "libcublas.so": "cublas",
    "libcublasLt.so": "cublas",
    "libcufft.so": "cufft",
    "libcusolver.so": "cusolver",
    "libcusparse.so": "cusparse",
    "libcudnn.so": "cudnn",
    "libnccl.so": "nccl",
}


def examine(data_dir: str | None) -> tuple[str, list[str]]:
    """The facts about this machine, as lines to print, and its problems."""
    facts, data = precision.describe(), data_dir_in_use(data_dir)
    chosen, why = precision.choose_precision("auto")
    hardware, versions = facts["hardware"], facts["versions"].items()
    read_only = "" if writable(data) else " (read only)"
    lines = [
        f"cpu         {hardware['cpu']}, {hardware['cores']} cores",
        f"gpus        {', '.join(hardware['gpus']) or 'none'}",
        f"precision   {chosen}: {why}",
        f"data        {data}{read_only}: {', '.join(prepared_sets(data)) or 'nothing prepared'}",
        f"weights     {_weights()}",
        f"versions    {', '.join(f'{name} {number}' for name, number in versions)}",
    ]
    return "\n".join(lines), [*_unused_gpu(), *_unwritable()]


def _weights() -> str:
    """Which models can start from ImageNet weights here."""
    models = [model for model in packages.PACKAGES if packages.path(model)]
    known = packages.PACKAGES["efficientnet_lite2"].install
    return f"{', '.join(models)} (ImageNet)" if models else f"none of ImageNet; {known}"


def _unused_gpu() -> list[str]:
    if tf.config.list_physical_devices("GPU") or not has_nvidia_device():
        return []
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and (not hidden.strip() or hidden.strip().startswith("-")):
        return [f"CUDA_VISIBLE_DEVICES={hidden} hides the NVIDIA GPU from TensorFlow: unset it"]
    missing = ", ".join(missing_gpu_libraries())
    why = "its libraries are there: see the driver"
    if missing:
        why = f"missing {missing}; pip install 'keras-tfds-zoo[gpu]' installs them"
    return [f"there is an NVIDIA GPU that TensorFlow does not use: {why}"]


def _unwritable() -> list[str]:
    """A problem for each unwritable folder but the data's, which may be shared and complete."""
    folders = (pathlib.Path("runs"), pathlib.Path(tempfile.gettempdir()))
    return [
        f"{folder.absolute()} is not writable: runs cannot be written there"
        for folder in folders
        if not writable(folder)
    ]


def has_nvidia_device() -> bool:
    """Whether the kernel lists an NVIDIA GPU, used by TensorFlow or not."""
    return (
        pathlib.Path("/dev/nvidia0").exists() or pathlib.Path("/proc/driver/nvidia/gpus").exists()
    )


def missing_gpu_libraries() -> list[str]:
    """Names of GPU libraries that are neither in the loader's path nor in pip's packages."""
    return [name for name, package in _GPU_LIBRARIES.items() if not _loads(name, package)]


def prepared_sets(folder: pathlib.Path) -> list[str]:
    """Data sets that TFDS finds prepared in the folder: `cifar10/3.0.2`."""
    infos = [*folder.glob("*/*/dataset_info.json"), *folder.glob("*/*/*/dataset_info.json")]
    return sorted(str(path.parent.relative_to(folder)) for path in infos)


def writable(folder: pathlib.Path) -> bool:
    """Whether files can be made in the folder, or in the nearest one above it that exists."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)


def _loads(name: str, package: str) -> bool:
    try:
        ctypes.CDLL(name)
        return True
    except OSError:
        folders = [pathlib.Path(path) / "nvidia" / package / "lib" for path in sys.path if path]
        return any(list(folder.glob(f"{name}*")) for folder in folders)
