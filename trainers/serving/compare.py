"""Runs an export in another process, as a server would, and compares its outputs."""

import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping

import numpy as np

from trainers.errors import ArtefactError
from trainers.store import saved_model

_TOLERANCE = 1e-5  # of max(1, |a|): a reloaded float32 model differs by 2e-6
_LEVELS = 1  # of 255: pixels are rounded from numbers with this tolerance
# Run where neither our packages nor keras can be imported, as on a server. Keys are
# <signature>/<argument> and <signature>/<output>. Other packages are found where this process finds
# them: `-I` alone would ignore those of `pip install --user`.
_SCRIPT = """
import sys
sys.path[:] = sys.argv[4:]
for name in ("zoo", "pipelines", "trainers", "keras", "tensorflow_datasets"):
    sys.modules[name] = None
import numpy as np
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
with np.load(sys.argv[2], allow_pickle=False) as file:
    questions = {key: file[key] for key in file.files}
arguments, answers = {}, {}
def each(change, texts, dtype):
    return np.array([change(text) for text in texts.ravel().tolist()], dtype).reshape(texts.shape)
for key, value in questions.items():
    signature, _, name = key.partition("/")
    if value.dtype.kind == "S":  # each text has one character more at its end
        value = each(lambda text: text[:-1], value, object)
    arguments.setdefault(signature, {})[name] = tf.constant(value)
for signature, named in arguments.items():
    for name, value in model.signatures[signature](**named).items():
        value = value.numpy()
        if value.dtype == object:
            value = each(lambda text: text + b".", value, "S")
        answers[signature + "/" + name] = value
np.savez(sys.argv[3], **answers)
"""

Answers = Mapping[str, Mapping[str, np.ndarray]]  # signature -> name -> array


def run_in_new_process(
    exported: pathlib.Path, arguments: Answers
) -> dict[str, dict[str, np.ndarray]]:
    """What the signatures of a SavedModel return in a process that has only TensorFlow.

    Args:
        arguments: of each signature.

    Raises:
        ArtefactError: the export does not load, or a signature fails.
    """
    with tempfile.TemporaryDirectory() as folder, saved_model.plain_name(exported) as name:
        asked, answered = pathlib.Path(folder, "asked.npz"), pathlib.Path(folder, "answered.npz")
        np.savez(asked, **{key: _storable(value) for key, value in _flat(arguments).items()})
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, "-I", "-c", _SCRIPT, name, str(asked), str(answered)]
        command += [os.path.abspath(path) for path in sys.path if path]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ArtefactError(f"the export does not load by itself: {done.stderr.strip()[-400:]}")
        answers: dict[str, dict[str, np.ndarray]] = {}
        with np.load(answered, allow_pickle=False) as file:
            for key in file.files:
                signature, _, name = key.partition("/")
                answers.setdefault(signature, {})[name] = _restored(file[key])
        return answers


def check_equal(expected: Answers, received: Answers, exact: Collection[str] = ()) -> None:
    """Refuses an export whose outputs differ from those of the model in memory.

    Numbers may differ by 1e-5 max(1, |a|), pixels (uint8) by one level. Classes, flags and texts
    are compared only in the signatures of `exact`: in others they follow from scores, which may tie
    and are compared themselves.

    Raises:
        ArtefactError: an output differs; the message names the signature and the output.
    """
    for signature, outputs in expected.items():
        others = received.get(signature, {})
        if set(outputs) != set(others):
            raise ArtefactError(
                f"{signature} of the export returns {sorted(others)}, expected {sorted(outputs)}"
            )
        for name, a in outputs.items():
            _check(f"{signature} of the export: {name}", a, others[name], signature in exact)


def _check(where: str, a: np.ndarray, b: np.ndarray, exact: bool) -> None:
    if a.shape != b.shape:
        raise ArtefactError(f"{where} has shape {b.shape}, the model's {a.shape}")
    if np.issubdtype(a.dtype, np.floating):
        difference = np.abs(a - b) / np.maximum(1.0, np.abs(a))
        if not (difference <= _TOLERANCE).all():
            raise ArtefactError(
                f"{where} differs from the model's by {difference.max():.1e}, more than "
                f"{_TOLERANCE:g}"
            )
    elif a.dtype == np.uint8 and not exact:
        levels = np.abs(a.astype(np.int64) - b).max(initial=0)
        if levels > _LEVELS:
            raise ArtefactError(f"{where} differs from the model's by {levels} of 255 levels")
    elif exact and not np.array_equal(a, b):
        [position, *_] = np.argwhere(a != b)
        i = tuple(position)
        raise ArtefactError(f"{where} is {b[i]!r:.80} where the model's is {a[i]!r:.80}")


def _flat(arguments: Answers) -> dict[str, np.ndarray]:
    return {
        f"{signature}/{name}": np.asarray(value)
        for signature, named in arguments.items()
        for name, value in named.items()
    }


def _storable(column: np.ndarray) -> np.ndarray:
    """Texts as bytes of equal size, each with a dot at its end: NumPy drops zero bytes there."""
    if column.dtype != object:
        return column
    return np.array([text + b"." for text in column.ravel().tolist()], "S").reshape(column.shape)


def _restored(column: np.ndarray) -> np.ndarray:
    if column.dtype.kind != "S":
        return column
    texts = np.array([text[:-1] for text in column.ravel().tolist()], object)
    return texts.reshape(column.shape)
