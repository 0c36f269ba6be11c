"""Trains a model, tests it and exports it, with one command:

    python -m trainers.run --model=cifar_cnn --flagfile=shapes

`train(...)` is the same for notebooks. TensorFlow is imported once the flags are checked.
"""

import json
import pathlib
import shlex
import sys
import time
from collections.abc import Sequence
from typing import Any

from trainers.config import flags
from trainers.config.settings import resolve
from trainers.errors import UsageError, import_tensorflow, run_command


def train(model: str, *, callbacks: Sequence[Any] = (), **changes: Any) -> dict[str, Any]:
    """Trains, tests and exports a model; returns what the command writes to report.json.

    Progress and warnings are logged to the loggers of `trainers` and `pipelines`.

    Args:
        model: a name of `zoo.names()`.
        callbacks: Keras callbacks of your own, for `fit`.
        **changes: fields of Recipe and Settings, as the flags: `epochs=3`, `hparams={"units": 32}`.

    Raises:
        UsageError, DataError, ArtefactError, NonFiniteError, InterruptedRunError: see errors.py.
    """
    settings = resolve(model, changes)
    if settings.dry_run:
        raise UsageError("train() trains; the command trainers.run has --dry_run")
    from trainers.training.run import run

    return run(settings, callbacks=callbacks)


def main(argv: list[str]) -> None:
    """The command."""
    started = time.perf_counter()
    settings = flags.parse(argv)
    if settings is None:  # --help or --list
        return
    import_tensorflow()
    if settings.dry_run:
        from trainers.training import dry_run

        print(dry_run.describe(settings))
        return
    from trainers.training.run import run

    print(_table(run(settings, started)))


def _table(report: dict[str, Any]) -> str:
    """The metrics, the paths of the results, and the commands to type next."""
    folder = pathlib.Path(report["workdir"])
    exported, seconds = folder / report["export"], report["seconds"]
    figures = [
        f"{split:11} " + "  ".join(f"{name} {value:.4f}" for name, value in report[split].items())
        for split in ("validation", "test")
    ]
    if "probe" in report:
        accuracies = report["probe"]["test"].items()
        text = "  ".join(f"{name} {value:.4f}" for name, value in accuracies)
        figures.append(f"{'probe':11} {text}  (test accuracy, labels of {report['probe']['rows']})")
    predict = [sys.executable, "-m", "trainers.predict", f"--workdir={folder}"]
    predict.append(str(exported / "assets.extra" / "request.json"))
    if "judged" in report:
        figures.append(_judged(report["judged"]))
    rows = [
        *figures,
        f"{'seconds':11} fit {seconds['fit']:.1f}  total {seconds['total']:.1f}",
        f"{'report':11} {folder / 'report.html'}",
        f"{'export':11} {exported}",
        f"{'watch':11} tensorboard --logdir {shlex.quote(str(folder.parent))}",
        f"{'query':11} {shlex.join(predict)}",
    ]
    return "\n".join(["", *rows, json.dumps(report)])


def _judged(metrics: dict[str, Any]) -> str:
    """The judge's metrics of generated images, as one line."""
    distance, floor = metrics["frechet_distance"], metrics["floor"]
    return (
        f"{'judge':11} accuracy {metrics['accuracy']:.4f}  frechet_distance {distance:.4g} (floor "
        f"{floor:.4g})  spread {metrics['spread']:.3f}  of {metrics['samples']} images"
    )


if __name__ == "__main__":
    run_command(main)
