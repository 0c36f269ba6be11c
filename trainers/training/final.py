"""The final weights of a run, read back from its checkpoints and written to files."""

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
    """Writes weights.npz, which is tested and exported, and a second file for the other step.

    If the last step's weights are kept, those of the best step are in `weights-best.npz`; if the
    best are kept, those of the last are in `weights-last.npz`. If both are one step, there is none.

    Returns:
        The last and the best step, the values of weights.npz by variable path, and the
        fingerprints of the weights of both steps.
    """
    checkpoints = run.folder / "checkpoints"
    if not checkpoints.is_dir():
        raise FileNotFoundError(f"{run.folder} was removed while a run used it")
    last = checkpoint.steps(checkpoints)[-1]
    steps = {"last": last, "best": progress["best_step"] or last}
    keep = run.settings.keep
    other = "best" if keep == "last" else "last"
    other_path = run.folder / f"weights-{other}.npz"
    (run.folder / f"weights-{keep}.npz").unlink(missing_ok=True)
    weights = _weights(model, run, steps[keep])
    fingerprints = dict.fromkeys(steps, files.fingerprint(weights))
    if steps[other] == steps[keep]:
        other_path.unlink(missing_ok=True)
    else:
        other_weights = _weights(model, run, steps[other])
        fingerprints[other] = files.fingerprint(other_weights)
        arrays.write(other_path, other_weights)
    arrays.write(run.folder / "weights.npz", weights)
    return steps, weights, fingerprints


def _weights(model: TrainedModel, run: Run, step: int) -> dict[str, np.ndarray]:
    """A checkpoint's weights by path: averages if the run keeps them, finished by its ways."""
    checkpoints = run.folder / "checkpoints"
    saved = checkpoint.load(checkpoints, step)
    checkpoint.check_run(checkpoints, saved, run.number)
    checkpoint.restore(checkpoint.variables_of(model), saved.arrays)
    values = {variable.path: variable.numpy() for variable in model.weights}
    values |= {path: average.numpy() for path, (_, average) in averages(model).items()}
    return registry.finished(model.ways, values)
