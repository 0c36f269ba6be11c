"""One run, from its settings to its report: data in, an exported and tested model out."""

import dataclasses
import datetime
import logging
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from pipelines import MissingDataError
from pipelines.core.prepared import Prepared
from trainers.config import sizes
from trainers.config.settings import Settings
from trainers.devices import machine, precision, strategy
from trainers.errors import ArtefactError, UsageError, data_errors
from trainers.evaluation import (
    baselines,
    evaluate,
    generated,
    moved,
    occluded,
    probe,
    rebuilt,
    records,
    unseen,
)
from trainers.reports import write
from trainers.serving import export
from trainers.store import (
    arrays,
    exports,
    report_file,
    run_folder,
    saved_model,
    state,
    word_vectors,
)
from trainers.store.claim import claim
from trainers.store.finished import SPLITS
from trainers.store.run_folder import Run
from trainers.tasks import registry as tasks
from trainers.training import compile as compiling
from trainers.training import data, final, fit, kernels, resumable
from trainers.training.callbacks import signals
from trainers.training.callbacks.progress import Progress
from trainers.ways import registry as ways

_LOG = logging.getLogger(__name__)


class _Fitted(NamedTuple):
    run: Run
    parameters: int
    progress: Mapping[str, Any]
    steps: Mapping[str, int]  # 'last' and 'best'
    weights: Mapping[str, np.ndarray]  # what is tested and exported, by path
    fingerprints: Mapping[str, str]  # of the weights of each of these steps


def run(
    settings: Settings,
    started: float | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, Any]:
    """One run, from the settings to the report; continues a run that was interrupted.

    Args:
        started: `time.perf_counter()` when the command began; None: now.
        callbacks: the user's own, for `fit`.

    Raises:
        UsageError, DataError, ArtefactError, NonFiniteError, InterruptedRunError: see errors.py.
    """
    started = time.perf_counter() if started is None else started
    if settings.deterministic:
        precision.require_determinism()
    with signals.raise_on_signal(), data_errors(), claim(settings.run_dir) as folder:
        settings = run_folder.with_recorded_sizes(folder, settings)
        _choose_devices(settings)  # before any tensor exists
        _check_identity(folder, settings)
        report = report_file.complete(folder, settings)
        if report is not None and resumable.is_over(folder, report, settings.recipe):
            _check_complete(folder, settings)
            if settings.judge:
                return _judge_later(folder, settings, report)
            # A signal or a full disk may have stopped an earlier process while it drew the page.
            return report if write.is_drawn(folder, report) else write.finish(folder)
        prepared = data.load(settings, folder)
        unseen.warn(prepared, SPLITS)
        if settings.judge:
            generated.judge_of(settings, prepared)  # refuses before the training
        settings = sizes.chosen(settings, prepared.num_rows("train"))
        trained = _fit(settings, prepared, folder, [Progress(), *callbacks])
        return _test(trained, started)


def fitted(settings: Settings, prepared: Prepared, folder: pathlib.Path) -> Mapping[str, Any]:
    """Fits a model in a run folder of its own and saves its weights, without export or report.

    Returns:
        The weights to be tested, by path; nothing is trained if the folder holds them already.
    """
    with claim(folder):
        _check_identity(folder, settings)
        run_folder.check_data(folder, settings, prepared)
        return _fit(settings, prepared, folder).weights


def _fit(
    settings: Settings,
    prepared: Prepared,
    folder: pathlib.Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> _Fitted:
    """Compiles, records the run, fits or resumes, and writes the weights."""
    devices = _choose_devices(settings)
    chosen, why = precision.choose_precision(settings.recipe.precision)
    model = compiling.compiled(settings, prepared, devices, precision.policy(chosen))
    speed = compiling.choices(settings, prepared, devices)
    speed = speed._replace(jit_compile=model.jit_compile)  # XLA cannot compile every model
    facts = {
        "precision_because": why,
        "kernels": kernels.installed(model),
        "replicas": devices.num_replicas_in_sync,
        "choices": speed._asdict(),
        "ways": {name: way.facts for name, way in zip(settings.way, model.ways, strict=True)},
        **precision.describe(),
    }
    fit.class_weighted(prepared, settings.recipe.class_weights)  # refused before it is recorded
    if settings.resume_with_changes and run_folder.is_begun(folder):
        resumable.check(model, folder, compiling.epoch_steps(settings, prepared))
    state.save(folder, prepared.state)
    recorded = run_folder.record(folder, settings, prepared, chosen, facts)
    rows = ", ".join(f"{rows.num_rows} {split}" for split, rows in prepared.rows.items())
    parameters = model.count_params()
    _LOG.info("%s: %d parameters on %s (%s)", settings.model, parameters, prepared.source, rows)
    _LOG.info("%s: %s; kernels: %s", chosen, why, facts["kernels"])
    _LOG.info("%d replica(s); %s; run in %s", facts["replicas"], machine.describe(speed), folder)
    try:
        progress = fit.fit(model, recorded, devices, callbacks)
    except (ArtefactError, UsageError):
        run_folder.forget(folder)  # where nothing was trained
        raise
    steps, weights, fingerprints = final.save_weights(model, recorded, progress)
    return _Fitted(recorded, parameters, progress, steps, weights, fingerprints)


def _test(trained: _Fitted, started: float) -> dict[str, Any]:
    """Exports the weights, tests the export, and writes all that a finished run keeps."""
    folder, _, settings, prepared, _ = trained.run
    task = tasks.get(prepared.task)
    first = records.examples(prepared, task, None)
    # An earlier process may have died between its export and its report.
    exported = export.published(settings, trained.weights, folder) or export.export(
        settings, prepared, trained.weights, first, folder
    )
    if task.vectors:
        word_vectors.write(folder, *task.vectors(prepared, trained.weights))
    tested = {s: evaluate.evaluate(exported, settings, prepared, s) for s in SPLITS}
    probed = probe.probe(exported, settings, prepared) if task.probed else None
    compared = baselines.baselines(settings, prepared, folder, fitted)
    examples = records.examples(prepared, task, tested["test"])
    for explain in (moved.beside_mistakes, occluded.beside_mistakes, rebuilt.beside_examples):
        examples |= explain(exported, prepared, task, examples, tested["test"])
    arrays.write(folder / "examples.npz", examples)
    (folder / "predictions").mkdir(exist_ok=True)
    for split in SPLITS:
        predictions = records.predictions(tested[split], compared, split)
        arrays.write(folder / "predictions" / f"{split}.npz", predictions)
    kept = ["examples.npz", *(f"predictions/{split}.npz" for split in SPLITS)]
    made = _images(exported, settings, prepared, folder) if task.generates else {}
    kept += [path.name for name in ("weights*.npz", "samples.npz") for path in folder.glob(name)]
    report = {
        **_figures(trained),
        "validation": tested["validation"].metrics,
        "test": tested["test"].metrics,
        **({} if probed is None else {"probe": probed}),
        **made,
        "baseline": compared.described(),
        "no_baseline": compared.missing,
        "export": str(exported.relative_to(folder)),
        "exported": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
        "workdir": str(folder),
        "weights": dict(trained.fingerprints),
        "files": report_file.hashes(folder, kept),
    }
    report["seconds"]["total"] = round(time.perf_counter() - started, 2)
    report_file.write(folder, report)  # from here on the run is finished
    return write.finish(folder)


def _images(
    exported: pathlib.Path, settings: Settings, prepared: Prepared, folder: pathlib.Path
) -> dict[str, Any]:
    """Writes images that the export makes; returns the results of a judge on others."""
    arrays.write(folder / "samples.npz", generated.shown_by(exported, prepared))
    return {"judged": _judged(exported, settings, prepared, folder)} if settings.judge else {}


def _judge_later(folder: pathlib.Path, settings: Settings, report: Mapping[str, Any]) -> dict:
    """The report of a finished run, with a judge's results on its images."""
    prepared = data.load(dataclasses.replace(settings, resume_with_changes=False), folder)
    if not generated.is_judged(report, settings, generated.judge_of(settings, prepared)):
        results = _judged(exports.newest(folder), settings, prepared, folder)
        report_file.write(folder, {**report, "judged": results})
    return write.finish(folder)


def _judged(
    exported: pathlib.Path, settings: Settings, prepared: Prepared, folder: pathlib.Path
) -> dict[str, Any]:
    judge = generated.judge_of(settings, prepared)
    model = saved_model.load(exported)  # owns the variables that its signature reads
    results = generated.judged(model.signatures["generate"], settings, prepared, judge)
    generated.write_scalars(folder, results)
    return results


def _figures(trained: _Fitted) -> dict[str, Any]:
    """The entries of report.json about the run and its training."""
    _, _, settings, prepared, facts = trained.run
    progress = trained.progress
    return {
        "run": trained.run.number,
        "model": settings.model,
        "pipeline": settings.recipe.pipeline,
        "dataset": prepared.source,
        "task": prepared.task,
        "seed": settings.recipe.seed,
        "parameters": trained.parameters,
        "epochs": settings.recipe.epochs,
        "precision": facts["precision"],
        "seconds": {
            "fit": round(progress["seconds"], 2),
            "saving": round(progress["saving_seconds"], 2),
        },
        "steps": dict(trained.steps),
        "rollbacks": progress["rollbacks"],
    }


def _choose_devices(settings: Settings) -> tf.distribute.Strategy:
    devices = strategy.choose(settings.replicas)
    divisor = ways.batch_divisor(settings.way, settings.way_options)
    strategy.check_batch_size(settings.recipe.batch_size, devices, divisor)
    return devices


def _check_identity(folder: pathlib.Path, settings: Settings) -> None:
    chosen, _ = precision.choose_precision(settings.recipe.precision)
    run_folder.check_identity(folder, settings, chosen)


def _check_complete(folder: pathlib.Path, settings: Settings) -> None:
    """Raises ArtefactError if a finished run's data has changed; logs a warning if it is gone."""
    try:
        data.check_present(settings)
        # A finished run has nothing left to continue with other data.
        data.load(dataclasses.replace(settings, resume_with_changes=False), folder)
        _LOG.info("%s is already complete", folder)
    except MissingDataError as error:
        _LOG.warning("%s is already complete; its data was not found: %s", folder, error)
