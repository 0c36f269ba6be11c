"""A SavedModel from raw inputs to named outputs, checked in a process without our packages."""

import base64
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers.config.settings import Settings
from trainers.errors import ArtefactError
from trainers.store import saved_model
from trainers.store.run_folder import fingerprint, read_json

if TYPE_CHECKING:
    import keras

    from pipelines import Pipeline

_TOLERANCE = 1e-5  # of max(1, |a|): a reloaded float32 model differs by 2e-6
# Runs where neither our packages nor keras can be imported, as on a server.
_STRANGER = """
import sys
for name in ("zoo", "pipelines", "trainers", "keras", "tensorflow_datasets"):
    sys.modules[name] = None
import numpy as np
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
with np.load(sys.argv[2], allow_pickle=False) as inputs:
    inputs = {name: inputs[name] for name in inputs.files}
texts = {k: [row[:-1] for row in v.tolist()] for k, v in inputs.items() if v.dtype.kind == "S"}
inputs = {name: tf.constant(value) for name, value in (inputs | texts).items()}
outputs = model.signatures["serving_default"](**inputs)
outputs = {name: value.numpy() for name, value in outputs.items()}
np.savez(sys.argv[3], **{k: v.astype("S") if v.dtype == object else v for k, v in outputs.items()})
"""


def export(
    settings: Settings,
    pipeline: "Pipeline",
    weights: Mapping[str, np.ndarray],
    folder: pathlib.Path,
) -> pathlib.Path:
    """Exports a run's weights in float32 as the next version of its model; the version's directory.

    Raises:
        ArtefactError: the reloaded model answers otherwise than the one in memory.
    """
    from trainers.training import compile as assembly
    from trainers.training import data

    model = assembly.build(settings, pipeline, "float32")
    for variable in model.weights:
        variable.assign(weights[variable.path])
    facts = {
        "model": settings.model,
        "hparams": settings.hparams,
        "recipe": dataclasses.asdict(settings.recipe),
        "weights": fingerprint(weights),
    }
    place = folder / "export" / settings.model
    return publish(model, pipeline, data.examples(pipeline), place, facts)


def published(
    settings: Settings, weights: Mapping[str, np.ndarray], folder: pathlib.Path
) -> pathlib.Path | None:
    """The newest version that was exported, if these are its weights; None: there is none."""
    place = folder / "export" / settings.model
    if not versions(place):
        return None
    newest = place / str(versions(place)[-1])
    card = read_json(newest / "assets.extra" / "model.json") or {}
    return newest if card.get("weights") == fingerprint(weights) else None


def publish(
    model: "keras.Model",
    pipeline: "Pipeline",
    examples: Mapping[str, np.ndarray],
    folder: pathlib.Path,
    facts: Mapping[str, Any],
) -> pathlib.Path:
    """Writes the next version under `folder`, compares it from another process, then shows it.

    Args:
        model: float32, with the weights to export.
        pipeline: bound; its `preprocess` becomes part of the export.
        examples: a few raw rows, for the comparison and as an example request.
        folder: gets one directory per version, each appearing whole by a rename.
        facts: what model.json beside the export shall say besides inputs, outputs and classes.
    """
    import tensorflow as tf

    from trainers.store.checkpoint import sync
    from trainers.tasks.registry import TASKS

    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".writing-*"):  # by a process that was killed
        shutil.rmtree(left)
    temporary = pathlib.Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    try:
        signatures = TASKS[pipeline.task].signatures(model, pipeline)
        archive = tf.Module()
        archive.weights = [variable.value for variable in model.weights]
        archive.preprocess = pipeline.preprocess  # with its tables, where it is a tf.Module
        tf.saved_model.save(archive, str(temporary), signatures=signatures)
        expected = signatures["serving_default"](**{k: tf.constant(v) for k, v in examples.items()})
        _compare(temporary, examples, {name: value.numpy() for name, value in expected.items()})
        extra = temporary / "assets.extra"
        extra.mkdir()
        (extra / "request.json").write_text(json.dumps(request(examples)), encoding="utf-8")
        card = {
            **facts,
            "class_names": pipeline.class_names,
            "inputs": {name: field._asdict() for name, field in pipeline.raw.items()},
            "outputs": {
                name: [value.dtype.name, *value.shape[1:]] for name, value in expected.items()
            },
        }
        (extra / "model.json").write_text(json.dumps(card, indent=1), encoding="utf-8")
        saved_model.seal(temporary)
        temporary.chmod(
            0o755
        )  # mkdtemp's folders are for the owner alone; a server is another user
        for path in temporary.rglob("*"):
            if path.is_file():
                with open(path, "rb") as file:
                    os.fsync(file.fileno())
        version = folder / str(1 + max(versions(folder), default=0))
        os.rename(temporary, version)
        sync(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return version


def versions(folder: pathlib.Path) -> list[int]:
    """Numbers of the versions that have been published in the folder, in order."""
    if not folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdigit())


def request(examples: Mapping[str, np.ndarray], rows: int = 1) -> dict[str, Any]:
    """The first rows as the JSON that TensorFlow Serving's REST interface takes."""
    instances = [
        {name: _in_json(column[i]) for name, column in examples.items()} for i in range(rows)
    ]
    return {"signature_name": "serving_default", "instances": instances}


def _in_json(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value.tolist()
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}  # as TensorFlow Serving has it


def _compare(
    path: pathlib.Path, examples: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> None:
    with tempfile.TemporaryDirectory() as place:
        asked, answered = pathlib.Path(place, "asked.npz"), pathlib.Path(place, "answered.npz")
        # NumPy drops zero bytes at the end of a string: something else stands there.
        np.savez(
            asked,
            **{
                name: np.array([row + b"." for row in column]) if column.dtype == object else column
                for name, column in examples.items()
            },
        )
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        files = (path.resolve(), asked, answered)  # the child runs in another folder
        command = [sys.executable, "-I", "-c", _STRANGER, *map(str, files)]
        done = subprocess.run(
            command, cwd=place, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ArtefactError(f"the export does not load by itself: {done.stderr.strip()[-400:]}")
        with np.load(answered, allow_pickle=False) as found:
            check_equal(expected, {name: found[name] for name in found.files})


def check_equal(expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> None:
    """ArtefactError unless all outputs agree: |a - b| <= 1e-5 max(1, |a|) for numbers."""
    if set(expected) != set(found):
        raise ArtefactError(f"the export returns {sorted(found)}, expected {sorted(expected)}")
    for name, a in expected.items():
        if not np.issubdtype(a.dtype, np.floating):
            continue  # classes and names follow from the logits, which may tie
        difference = np.abs(a - found[name]) / np.maximum(1.0, np.abs(a))
        if not (difference <= _TOLERANCE).all():
            raise ArtefactError(
                f"the export's {name} differ from the model's by {difference.max():.1e}, more than "
                f"{_TOLERANCE:g}"
            )


def export_run(folder: pathlib.Path, keep: str) -> pathlib.Path:
    """Exports a run's last or best checkpoint once more; the new version's directory.

    Raises:
        ArtefactError: the folder holds no run, or one without a checkpoint.
    """
    from trainers.devices import keras_patches as distribute
    from trainers.devices import precision as machine
    from trainers.store import checkpoint, run_folder
    from trainers.training import compile as assembly
    from trainers.training import data, fit

    settings, facts = run_folder.settings_of(folder)
    with run_folder.claim(folder):
        newest = checkpoint.load_newest(folder / "checkpoints")
        if newest is None:
            raise ArtefactError(f"{folder} has no checkpoint yet")
        pipeline = data.load(settings, folder)
        policy = machine.policy(facts["precision"])
        model = assembly.compiled(settings, pipeline, distribute.choose(1), policy)
        progress = newest.meta["progress"]
        weights = fit.finished_weights(model, folder, progress, keep or settings.keep)
        return export(settings, pipeline, weights, folder)
