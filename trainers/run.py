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
from trainers.errors import import_tensorflow, run_command
from trainers.settings import Settings, resolve


def train(model: str, **changes: Any) -> dict[str, Any]:
    """Trains, tests and exports; the report that the command writes to report.json.

    Args:
        model: a name of `zoo.names()`.
        **changes: fields of Recipe and Settings, as the flags: `epochs=3`, `hparams={"units": 32}`.

    Raises:
        UsageError, DataError, ArtefactError, NonFiniteError, InterruptedRunError: as the exit codes.
    """
    return run(resolve(model, changes))


def main(argv: list[str]) -> None:
    """The command."""
    settings = recipe_flags.parse(argv)
    if settings is None:  # --help or --list
        return
    import_tensorflow()
    if settings.dry_run:
        from trainers import dry_run

        print(dry_run.describe(settings))
        return
    print(_table(run(settings)))


def run(settings: Settings) -> dict[str, Any]:
    """One run, from the settings to the report; continues it where it was interrupted."""
    from trainers import compose, distribute, export, fit, machine, workdir
    from trainers.evaluate import evaluate

    started = time.perf_counter()
    strategy = distribute.choose(settings.replicas)  # before there is a tensor
    distribute.check_batch_size(settings.recipe.batch_size, strategy)
    precision, why = machine.choose_precision(settings.recipe.precision)

    with workdir.claim(settings.run_dir) as folder:
        workdir.check_identity(folder, settings, precision)
        report = compose.finished_report(folder, settings)
        if report is not None:
            print(f"{folder} is already complete")
            return report
        pipeline = compose.load_pipeline(settings, folder, keep_state=True)
        model = fit.compiled(settings, pipeline, strategy, machine.policy(precision))
        compose.record_run(folder, settings, pipeline, precision, why, strategy)
        print(compose.headline(settings, pipeline, model, strategy, precision, why))

        progress = fit.fit(model, settings, pipeline, strategy, folder)
        weights = fit.finished_weights(model, folder, progress, settings.keep)
        served = compose.for_export(settings, pipeline, weights)
        exported = export.publish(
            served, pipeline, compose.examples(pipeline), folder / "export" / settings.model, compose.card(settings)
        )
        report = {
            "model": settings.model,
            "pipeline": settings.recipe.pipeline,
            "dataset": pipeline.source,
            "seed": settings.recipe.seed,
            "parameters": served.count_params(),
            "epochs": settings.recipe.epochs,
            "precision": precision,
            "seconds": {"fit": round(progress["seconds"], 2)},
            "validation": evaluate(exported, pipeline, "validation", batch_size=settings.recipe.batch_size),
            "test": evaluate(exported, pipeline, "test", batch_size=settings.recipe.batch_size),
            "export": str(exported.relative_to(folder)),
            "workdir": str(folder),
        }
        report["seconds"]["total"] = round(time.perf_counter() - started, 2)
        workdir.write_json(folder / "report.json", report)
    return report


def evaluate_again(folder: pathlib.Path, split: str) -> dict[str, float]:
    """Metrics of a finished run's newest export on one split."""
    from trainers import compose, export, workdir
    from trainers.errors import ArtefactError, UsageError
    from trainers.evaluate import evaluate

    settings, _ = workdir.settings_of(folder)
    versions = export.versions(folder / "export" / settings.model)
    if not versions:
        raise ArtefactError(f"{folder} has exported nothing yet: the same trainers.run command finishes it")
    pipeline = compose.load_pipeline(settings, folder)
    if split not in pipeline.rows:
        raise UsageError(f"--split={split}: the splits are {', '.join(pipeline.rows)}")
    exported = folder / "export" / settings.model / str(versions[-1])
    return evaluate(exported, pipeline, split, batch_size=settings.recipe.batch_size)


def export_again(folder: pathlib.Path, keep: str | None) -> pathlib.Path:
    """Exports a run's newest (or best) checkpoint as the next version; its directory."""
    from trainers import checkpoint, compose, distribute, export, fit, machine, workdir

    settings, facts = workdir.settings_of(folder)
    with workdir.claim(folder):
        newest = checkpoint.load_newest(folder / "checkpoints")
        pipeline = compose.load_pipeline(settings, folder)
        model = fit.compiled(settings, pipeline, distribute.choose(1), machine.policy(facts["precision"]))
        weights = fit.finished_weights(model, folder, newest.meta["progress"], keep or settings.keep)
        served = compose.for_export(settings, pipeline, weights)
        place = folder / "export" / settings.model
        return export.publish(served, pipeline, compose.examples(pipeline), place, compose.card(settings))


def _table(report: dict[str, Any]) -> str:
    """Where things are, what was measured, and what to type next."""
    folder = pathlib.Path(report["workdir"])
    exported = folder / report["export"]
    measured = [
        f"{split:11} " + "  ".join(f"{name} {value:.4f}" for name, value in report[split].items())
        for split in ("validation", "test")
    ]
    rows = [
        *measured,
        f"{'seconds':11} fit {report['seconds']['fit']:.1f}  total {report['seconds']['total']:.1f}",
        f"{'report':11} {folder / 'report.json'}",
        f"{'export':11} {exported}",
        f"{'watch':11} tensorboard --logdir {shlex.quote(str(folder.parent))}",
        f"{'query':11} {shlex.quote(sys.executable)} -m trainers.predict --workdir={shlex.quote(str(folder))} "
        f"{shlex.quote(str(exported / 'assets.extra' / 'request.json'))}",
    ]
    return "\n".join(["", *rows, json.dumps(report)])


if __name__ == "__main__":
    run_command(main)
