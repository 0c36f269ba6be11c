"""What this machine can do and what prevents it from doing more."""

import ctypes
import os
import pathlib
import sys
import tempfile

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
    """What there is, as lines to print, and what is in the way."""
    import tensorflow as tf

    from pipelines.storage import tfds as source
    from trainers.devices import precision as machine

    found = machine.describe()
    problems = []
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus and has_nvidia_device():
        missing = missing_gpu_libraries()
        problems.append(
            "there is an NVIDIA GPU that TensorFlow does not use: "
            + (
                f"missing {', '.join(missing)}; "
                if missing
                else "its libraries are all there, so look at the driver; "
            )
            + "pip install 'keras-tfds-zoo[gpu]' brings them"
        )
    data = source.data_dir_in_use(data_dir)
    for folder in (data, pathlib.Path("runs"), pathlib.Path(tempfile.gettempdir())):
        if not writable(folder):
            kind = (
                "data sets cannot be prepared there"
                if folder == data
                else "runs cannot be written there"
            )
            (problems if folder != data else []).append(
                f"{folder.absolute()} is not writable: {kind}"
            )
    precision, why = machine.choose_precision("auto")
    sets, versions = prepared_sets(data), found["versions"].items()
    read_only = "" if writable(data) else " (read only)"
    lines = [
        f"cpu         {found['hardware']['cpu']}, {found['hardware']['cores']} cores",
        f"gpus        {', '.join(found['hardware']['gpus']) or 'none'}",
        f"precision   {precision}: {why}",
        f"data        {data}{read_only}: {', '.join(sets) or 'nothing prepared'}",
        f"versions    {', '.join(f'{name} {number}' for name, number in versions)}",
    ]
    return "\n".join(lines), problems


def has_nvidia_device() -> bool:
    """Whether the kernel knows an NVIDIA GPU, TensorFlow or not."""
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
        places = [pathlib.Path(path) / "nvidia" / package / "lib" for path in sys.path if path]
        return any(list(place.glob(f"{name}*")) for place in places)
