"""What this machine is, and the precision that is fast on it."""

import contextlib
import os
import pathlib
import platform
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import keras
import tensorflow as tf

_PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "tensorboard", "numpy", "protobuf")


def choose_precision(requested: str) -> tuple[str, str]:
    """The precision for this machine and why: 'float32', 'bfloat16' or 'float16'.

    'auto' is bfloat16 where the processor multiplies it natively (twice as fast or more in the
    convolutions of this zoo, BUILD_NOTES.md), float32 elsewhere. Weights, logits and loss are
    always float32.
    """
    if requested != "auto":
        return requested, "requested"
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        capability = details.get("compute_capability", (0, 0))
        if capability >= (8, 0):
            return "bfloat16", f"GPU of compute capability {capability[0]}.{capability[1]}"
        return (
            "float32",
            f"GPU of compute capability {capability[0]}.{capability[1]} has no bfloat16",
        )
    units = [unit for unit in ("amx_bf16", "avx512_bf16") if unit in _cpu_flags()]
    if units:
        return "bfloat16", f"CPU has {' and '.join(units)}"
    return "float32", "CPU has neither amx_bf16 nor avx512_bf16"


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """Within this context, float32 products and convolutions use all of float32.

    Otherwise GPUs of compute capability 8.0 and newer round their operands to the ten mantissa bits
    of TF32, and their results differ from a CPU's by 3e-4 and more.
    """
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def require_determinism() -> None:
    """From here on an operation without a deterministic kernel raises, in the whole process."""
    tf.config.experimental.enable_op_determinism()


def policy(precision: str) -> str:
    """Keras's name for training in this precision with float32 weights."""
    return precision if precision == "float32" else f"mixed_{precision}"


def describe() -> dict[str, Any]:
    """Versions and hardware, as run.json records them."""
    return {
        "versions": {name: metadata.version(name) for name in _PACKAGES}
        | {"python": platform.python_version()},
        "hardware": {
            "cpu": cpu_name(),
            "cores": len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count(),
            "threads": _threads(),
            "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
            "platform": platform.platform(),
        },
        "backend": keras.backend.backend(),
    }


def _threads() -> int:
    """Threads of one operation; 0: as many as cores."""
    asked = os.environ.get("TF_NUM_INTRAOP_THREADS", "").strip()
    number = int(asked) if asked.isdecimal() else 0  # TensorFlow ignores anything else
    return number or tf.config.threading.get_intra_op_parallelism_threads()


def cpu_name() -> str:
    """The processor's model name."""
    for line in _cpu_info().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cpu_flags() -> set[str]:
    for line in _cpu_info().splitlines():
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return set()


def _cpu_info() -> str:
    path = pathlib.Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
