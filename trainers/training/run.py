"""One run, from its settings to its report: data in, an exported and tested model out."""

import time
from typing import Any

from trainers.config.settings import Settings
from trainers.errors import data_errors


def run(settings: Settings, started: float | None = None) -> dict[str, Any]:
    """One run, from the settings to the report; continues it where it was interrupted.

    Args:
        started: `time.perf_counter()` when the command began; None: now.
    """
    from trainers.devices import precision as machine
    from trainers.training.callbacks import signals

    if settings.deterministic:
        machine.refuse_chance()
    with signals.raised(), data_errors():
        return _run(settings, time.perf_counter() if started is None else started)


def _run(settings: Settings, started: float) -> dict[str, Any]:
    from trainers.devices import keras_patches as distribute
    from trainers.devices import precision as machine
    from trainers.evaluation.evaluate import evaluate
    from trainers.reports.write import finish
    from trainers.serving import export
    from trainers.store import run_folder
    from trainers.training import compile as assembly
    from trainers.training import data, fit, kernels

    recipe = settings.recipe
    strategy = distribute.choose(settings.replicas)  # before there is a tensor
    distribute.check_batch_size(recipe.batch_size, strategy)
    precision, why = machine.choose_precision(recipe.precision)

    with run_folder.claim(settings.run_dir) as folder:
        run_folder.check_identity(folder, settings, precision)
        report = run_folder.finished_report(folder, settings)
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
        run_number = run_folder.record(folder, settings, pipeline, precision, facts)
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
        run_folder.write_json(folder / "report.json", report)  # from here on the run is finished
        return finish(folder, settings, pipeline, report, evaluations, started)
