"""A SavedModel from raw inputs to named outputs, checked in a process without our packages."""

import dataclasses
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo
from pipelines.core.prepared import Prepared
from trainers.config.settings import Settings
from trainers.devices.precision import exact_float32
from trainers.errors import ArtefactError
from trainers.evaluation import records
from trainers.serving import compare
from trainers.serving.request import request
from trainers.serving.signatures import arguments_of, traced
from trainers.store import exports, saved_model
from trainers.store.claim import claim
from trainers.store.files import clear, fingerprint, sync
from trainers.store.finished import finished
from trainers.tasks import registry
from trainers.tasks.registry import Signature
from trainers.training.compile import build


def export(
    settings: Settings,
    prepared: Prepared,
    weights: Mapping[str, np.ndarray],
    examples: Mapping[str, np.ndarray],
    folder: pathlib.Path,
) -> pathlib.Path:
    """Exports a run's weights in float32 as its model's next version; returns the directory.

    Args:
        prepared: with or without rows.
        weights: by variable path.
        examples: rows to compare on, from `records.examples`.
        folder: of the run.

    Raises:
        ArtefactError: the reloaded model's outputs differ from those of the model in memory.
    """
    model = build(settings, prepared, "float32")
    for variable in model.weights:
        variable.assign(weights[variable.path])
    entry = zoo.get(settings.model)
    signatures = registry.get(prepared.task).signatures(
        entry, {**entry.hparams, **settings.hparams}, model, prepared
    )
    seed = settings.recipe.seed
    arguments = example_arguments(signatures, prepared, examples, seed)
    facts = {
        "model": settings.model,
        "task": prepared.task,
        "hparams": settings.hparams,
        "recipe": dataclasses.asdict(settings.recipe),
        "weights": fingerprint(weights),
        "class_names": prepared.class_names,
    }
    if prepared.unseen is not None:
        facts["expected"] = prepared.unseen.expected
    encoding = settings.pipeline_options.get("encoding")
    if encoding:
        facts["encoding"] = encoding  # `predict` reads files as training did
    models = exports.model_folder(folder, settings.model)
    return publish(model, prepared, signatures, arguments, models, facts)


def export_run(folder: pathlib.Path, keep: str = "") -> pathlib.Path:
    """Exports a finished run again; returns the new version's directory.

    Args:
        keep: 'last' or 'best', the weights of that step; empty: those that the run exported.

    Raises:
        ArtefactError: the folder holds no finished run, or the weights are gone.
    """
    past = finished(folder, keep)
    with claim(folder):
        return export(past.settings, past.prepared, past.weights, past.examples, folder)


def published(
    settings: Settings, weights: Mapping[str, np.ndarray], folder: pathlib.Path
) -> pathlib.Path | None:
    """The newest version that was exported, if these are its weights; None: there is none."""
    versions = exports.versions(exports.model_folder(folder, settings.model))
    if not versions:
        return None
    newest = exports.model_folder(folder, settings.model) / str(versions[-1])
    return newest if exports.weights_of(newest) == fingerprint(weights) else None


def example_arguments(
    signatures: Mapping[str, Signature],
    prepared: Prepared,
    examples: Mapping[str, np.ndarray],
    seed: int,
) -> dict[str, dict[str, np.ndarray]]:
    """The arguments that each signature makes from the first examples."""
    stored = records.fields(examples)
    first = {name: column[: records.COMPARED] for name, column in stored.items()}
    target = examples.get("target")
    target = None if target is None else target[: records.COMPARED]
    row = examples["row"][: records.COMPARED]
    are_inputs = _are_inputs(stored, prepared)
    made = {}
    for name, one in signatures.items():
        function = arguments_of(
            one, prepared, first, seed=seed, target=target, are_inputs=are_inputs
        )
        arguments, _, _ = function(first, target, row)
        made[name] = {argument: value.numpy() for argument, value in arguments.items()}
    return made


def _are_inputs(stored: Mapping[str, np.ndarray], prepared: Prepared) -> bool:
    """Whether examples are rows of inputs: not called as the raw fields, or numbers for texts.

    A column of texts may be called `tokens`, as its tokens are.
    """
    texts = {name for name, field in prepared.raw.items() if field.dtype == "string"}
    stored_texts = {name for name, column in stored.items() if column.dtype.kind in "OS"}
    return set(stored) != set(prepared.raw) or stored_texts != texts


def publish(
    model: keras.Model,
    prepared: Prepared,
    signatures: Mapping[str, Signature],
    arguments: Mapping[str, Mapping[str, np.ndarray]],
    folder: pathlib.Path,
    facts: Mapping[str, Any],
) -> pathlib.Path:
    """Writes the next version under `folder`, compares it in another process, then publishes it.

    Args:
        model: float32, with the weights to export.
        prepared: its `preprocess` becomes part of the export.
        signatures: all of the export's; `serving_default`, or else the first, is for clients.
        arguments: of each signature, for the comparison and as an example request.
        folder: gets one directory per version, each appearing whole by a rename.
        facts: entries of the export's model.json besides inputs and outputs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clear(folder)  # removes what a killed process left half written
    temporary = pathlib.Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    try:
        functions = traced(signatures)
        archive = tf.Module()
        archive.weights = [variable.value for variable in model.weights]
        archive.preprocess = prepared.preprocess  # with its tables, where it is a tf.Module
        tf.saved_model.save(archive, str(temporary), signatures=functions)
        expected = _answers(functions, arguments)
        exact = [name for name, one in signatures.items() if one.exact]
        compare.check_equal(expected, compare.run_in_new_process(temporary, arguments), exact)
        _describe(temporary, signatures, arguments, expected, facts)
        saved_model.seal(temporary)
        # Only the owner can read mkdtemp's folders; a server runs as another user.
        temporary.chmod(0o755)
        for path in temporary.rglob("*"):
            sync(path)
        sync(temporary)
        version = folder / str(1 + max(exports.versions(folder), default=0))
        os.rename(temporary, version)
        sync(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return version


def _answers(functions: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, dict]:
    """The outputs of the model in memory, each with one entry per row."""
    answers = {}
    with exact_float32():
        for name, function in functions.items():
            outputs = function(**{k: tf.constant(v) for k, v in arguments[name].items()})
            answers[name] = {output: value.numpy() for output, value in outputs.items()}
            rows = len(next(iter(arguments[name].values())))
            for output, value in answers[name].items():
                if value.shape[:1] != (rows,):
                    raise ArtefactError(
                        f"signature {name!r}: output {output!r} has shape {value.shape} for {rows} "
                        "rows; every output has one entry for each row"
                    )
    return answers


def _describe(
    version: pathlib.Path,
    signatures: Mapping[str, Signature],
    arguments: Mapping[str, Mapping[str, np.ndarray]],
    expected: Mapping[str, Mapping[str, np.ndarray]],
    facts: Mapping[str, Any],
) -> None:
    """Writes model.json and request.json into the version's `assets.extra`."""
    (version / exports.CARD).parent.mkdir()
    described = {
        name: {
            "inputs": {k: {"shape": f.shape, "dtype": f.dtype} for k, f in one.fields.items()},
            "outputs": {k: [v.dtype.name, *v.shape[1:]] for k, v in expected[name].items()},
        }
        for name, one in signatures.items()
    }
    served = "serving_default" if "serving_default" in signatures else next(iter(signatures))
    content = request(served, arguments[served])
    (version / exports.CARD).with_name("request.json").write_text(
        json.dumps(content), encoding="utf-8"
    )
    card = {**facts, **described[served], "signature": served, "signatures": described}
    (version / exports.CARD).write_text(json.dumps(card, indent=1), encoding="utf-8")
