"""Trains a model, tests it and exports it, with one command:

    python -m trainers.run --model=cifar_cnn --flagfile=shapes

`train(...)` is the same for notebooks. TensorFlow is imported once the flags are found good.
"""

import json
import pathlib
import shlex
import sys
import time
from typing import Any

from trainers import recipe_flags
from trainers.setup.errors import data_errors, import_tensorflow, run_command
from trainers.setup.settings import Settings, resolve


def train(model: str, **changes: Any) -> dict[str, Any]:
    """Trains, tests and exports; the report that the command writes to report.json.

    Args:
        model: a name of `zoo.names()`.
        **changes: fields of Recipe and Settings, as the flags: `epochs=3`, `hparams={"units": 32}`.

    Raises:
        UsageError, DataError, ArtefactError, NonFiniteError, InterruptedRunError: see errors.py.
    """
    return run(resolve(model, changes))


def main(argv: list[str]) -> None:
    """The command."""
    started = time.perf_counter()
    settings = recipe_flags.parse(argv)
    if settings is None:  # --help or --list
        return
    import_tensorflow()
    if settings.dry_run:
        from trainers import dry_run

        print(dry_run.describe(settings))
        return
    print(_table(run(settings, started)))


def run(settings: Settings, started: float | None = None) -> dict[str, Any]:
    """One run, from the settings to the report; continues it where it was interrupted.

    Args:
        started: `time.perf_counter()` when the command began; None: now.
    """
    from trainers.setup import machine
    from trainers.watch import signals

    if settings.deterministic:
        machine.refuse_chance()
    with signals.raised(), data_errors():
        return _run(settings, time.perf_counter() if started is None else started)


def _run(settings: Settings, started: float) -> dict[str, Any]:
    from trainers import assembly, distribute, export, fit, kernels
    from trainers.evaluate import evaluate
    from trainers.report import finish
    from trainers.setup import data, machine, workdir

    recipe = settings.recipe
    strategy = distribute.choose(settings.replicas)  # before there is a tensor
    distribute.check_batch_size(recipe.batch_size, strategy)
    precision, why = machine.choose_precision(recipe.precision)

    with workdir.claim(settings.run_dir) as folder:
        workdir.check_identity(folder, settings, precision)
        report = workdir.finished_report(folder, settings)
        if report is not None:
            print(f"{folder} is already complete")
            return report
        pipeline = data.load(settings, folder)
        model = assembly.compiled(settings, pipeline, strategy, machine.policy(precision))
        replicas = strategy.num_replicas_in_sync
        facts = {
            "precision_because": why,
            "kernels": kernels.installed(model),
            "replicas": replicas,
            **machine.describe(),
        }
        run_number = workdir.record(folder, settings, pipeline, precision, facts)
        rows = ", ".join(f"{rows.num_rows} {split}" for split, rows in pipeline.rows.items())
        print(f"{settings.model}: {model.count_params()} parameters on {pipeline.source} ({rows})")
        print(f"{precision}: {why}; kernels: {facts['kernels']}")
        print(f"{replicas} replica(s); run in {folder}")

        progress = fit.fit(model, settings, pipeline, strategy, folder, run_number)
        weights = fit.finished_weights(model, folder, progress, settings.keep)
        # An earlier process may have died between its export and its report.
        exported = export.published(settings, weights, folder) or export.export(
            settings, pipeline, weights, folder
        )
        evaluations = {
            split: evaluate(exported, pipeline, split, batch_size=recipe.batch_size)
            for split in ("validation", "test")
        }
        report = {
            "model": settings.model,
            "pipeline": recipe.pipeline,
            "dataset": pipeline.source,
            "seed": recipe.seed,
            "parameters": model.count_params(),
            "epochs": recipe.epochs,
            "precision": precision,
            "seconds": {
                "fit": round(progress["seconds"], 2),
                "saving": round(progress["saving_seconds"], 2),
            },
            "rollbacks": progress["rollbacks"],
            "validation": evaluations["validation"].metrics,
            "test": evaluations["test"].metrics,
            "export": str(exported.relative_to(folder)),
            "workdir": str(folder),
        }
        report["seconds"]["total"] = round(time.perf_counter() - started, 2)
        workdir.write_json(folder / "report.json", report)  # from here on the run is finished
        return finish(folder, settings, pipeline, report, evaluations, started)


def _table(report: dict[str, Any]) -> str:
    """Where things are, what was measured, and what to type next."""
    folder = pathlib.Path(report["workdir"])
    exported, seconds = folder / report["export"], report["seconds"]
    measured = [
        f"{split:11} " + "  ".join(f"{name} {value:.4f}" for name, value in report[split].items())
        for split in ("validation", "test")
    ]
    predict = [sys.executable, "-m", "trainers.predict", f"--workdir={folder}"]
    predict.append(str(exported / "assets.extra" / "request.json"))
    rows = [
        *measured,
        f"{'seconds':11} fit {seconds['fit']:.1f}  total {seconds['total']:.1f}",
        f"{'report':11} {folder / 'report.html'}",
        f"{'export':11} {exported}",
        f"{'watch':11} tensorboard --logdir {shlex.quote(str(folder.parent))}",
        f"{'query':11} {shlex.join(predict)}",
    ]
    return "\n".join(["", *rows, json.dumps(report)])


if __name__ == "__main__":
    run_command(main)
