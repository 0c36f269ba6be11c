"""The weights that a run ends with, read back from its checkpoints and kept as files."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainers.store import arrays, checkpoint, files
from trainers.store.run_folder import Run
from trainers.training.callbacks.averages import averages
from trainers.training.model import TrainedModel
from trainers.ways import registry


def save_weights(
    model: TrainedModel, run: Run, progress: Mapping[str, Any]
) -> tuple[dict[str, int], dict[str, np.ndarray], dict[str, str]]:
    """Writes weights.npz, what is tested and exported, and those of the other step beside it.

    Where the last are kept and another step was the best, that is `weights-best.npz`; where the
    best are kept, the last are `weights-last.npz`.

    Returns:
        The steps that are the last and the best, the values of weights.npz by variable path, and
        the fingerprints of the weights of both steps.
    """
    checkpoints = run.folder / "checkpoints"
    if not checkpoints.is_dir():
        raise FileNotFoundError(f"{run.folder} was removed while a run used it")
    last = checkpoint.steps(checkpoints)[-1]
    steps = {"last": last, "best": progress["best_step"] or last}
    keep = run.settings.keep
    other = "best" if keep == "last" else "last"
    beside = run.folder / f"weights-{other}.npz"
    (run.folder / f"weights-{keep}.npz").unlink(missing_ok=True)
    weights = _weights(model, run, steps[keep])
    fingerprints = dict.fromkeys(steps, files.fingerprint(weights))
    if steps[other] == steps[keep]:
        beside.unlink(missing_ok=True)
    else:
        weights_beside = _weights(model, run, steps[other])
        fingerprints[other] = files.fingerprint(weights_beside)
        arrays.write(beside, weights_beside)
    arrays.write(run.folder / "weights.npz", weights)
    return steps, weights, fingerprints


def _weights(model: TrainedModel, run: Run, step: int) -> dict[str, np.ndarray]:
    """The weights of a checkpoint, by path: averages where the run averages, as its ways end."""
    checkpoints = run.folder / "checkpoints"
    saved = checkpoint.load(checkpoints, step)
    checkpoint.check_run(checkpoints, saved, run.number)
    checkpoint.restore(checkpoint.variables_of(model), saved.arrays)
    values = {variable.path: variable.numpy() for variable in model.weights}
    values |= {path: average.numpy() for path, (_, average) in averages(model).items()}
    return registry.finished(model.ways, values)
