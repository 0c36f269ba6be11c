"""Whether a run can be continued under other settings, and whether it is complete under them."""

import pathlib
from collections.abc import Mapping
from typing import Any

from trainers.errors import ArtefactError
from trainers.store import checkpoint
from trainers.training.model import TrainedModel
from zoo.spec import Recipe


def check(model: TrainedModel, folder: pathlib.Path, epoch_steps: int) -> None:
    """Compares the newest checkpoint of a run with a compiled model.

    Raises:
        ArtefactError: it is of another model or optimizer, or its epochs have another number of
            steps, so that the number of completed epochs is not known.
    """
    newest = checkpoint.load_newest(folder / "checkpoints")
    if newest is None:
        return
    checkpoint.check_fits(checkpoint.variables_of(model), newest.arrays)
    before = newest.meta.get("epoch_steps", epoch_steps)
    if newest.step and before != epoch_steps:
        raise ArtefactError(
            f"{folder} has epochs of {before} steps, these settings of {epoch_steps}: keep the "
            f"batch size and the data, or begin with its weights, --init_from={folder}, in another "
            "--workdir"
        )


def is_over(folder: pathlib.Path, report: Mapping[str, Any], recipe: Recipe) -> bool:
    """Whether a run is complete under a recipe with as many epochs as its report.

    A run that stopped early is not complete if --resume_with_changes brought another patience or
    metric: now, or in an earlier process that continued and died before it wrote a new report.
    """
    folder = folder / "checkpoints"
    last = max(checkpoint.steps(folder), default=None)
    meta = None if last is None else checkpoint.meta_of(folder, last)
    if meta is None or "steps" not in report or "epoch_steps" not in meta:
        return True  # nothing says otherwise
    if last > report["steps"]["last"]:
        return False
    at_end = last >= meta["epoch_steps"] * recipe.epochs
    # A run that was ended by a user's callback has not `stopped`: it stays complete.
    return at_end or not meta["progress"]["stopped"] or has_stopped(meta, recipe)


def has_stopped(meta: Mapping[str, Any], recipe: Recipe) -> bool:
    """Whether a run stopped early, by its checkpoint's `meta`, and would under this recipe too."""
    progress = meta["progress"]
    # `wait` counts epochs since the best value of the metric that was monitored then.
    same = meta.get("monitor", recipe.monitor) == recipe.monitor
    return progress["stopped"] and same and 0 < recipe.early_stopping <= progress["wait"]
