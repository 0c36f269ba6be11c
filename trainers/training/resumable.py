"""Whether a run can be continued under other settings, before these are written down."""

import pathlib

from trainers.errors import ArtefactError
from trainers.store import checkpoint
from trainers.training.model import TrainedModel


def check(model: TrainedModel, folder: pathlib.Path, epoch_steps: int) -> None:
    """Compares the newest checkpoint of a run with a compiled model.

    Raises:
        ArtefactError: it is of another model or optimizer, or its epochs have another number of
            steps: how many of the new ones are over is then not known.
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
