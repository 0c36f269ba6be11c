"""Batch size and number of epochs by the number of rows, where a recipe has 0.

Sixty epochs at batch 128 are 60 updates for 230 rows: small tables need small batches and many
epochs, from which early stopping and the lowest held-out loss choose.
"""

import dataclasses
import logging

from trainers.config.settings import Settings

_SMALLEST_BATCH, _LARGEST_BATCH = 16, 256
_BATCHES = 16  # in an epoch, for batch sizes between these two
_UPDATES = 2000  # fewest
_FEWEST_EPOCHS, _MOST_EPOCHS = 40, 500
_PATIENCE = 4  # early stopping waits for a quarter of the epochs: small splits are noisy
_LOG = logging.getLogger(__name__)


def chosen(settings: Settings, num_rows: int) -> Settings:
    """The settings with sizes for `num_rows` training rows; unchanged if none is 0."""
    recipe = settings.recipe
    if recipe.batch_size and recipe.epochs:
        return settings
    batch_size = recipe.batch_size or batch_for(num_rows)
    steps = max(1, num_rows // batch_size)
    sized = with_sizes(settings, batch_size, recipe.epochs or epochs_for(steps))
    early = sized.recipe.early_stopping
    ends = f", or after {early} without improvement" if 0 < early < sized.recipe.epochs else ""
    _LOG.info(
        "for %d training rows: batch size %d, %d epochs of %d steps%s",
        num_rows,
        batch_size,
        sized.recipe.epochs,
        steps,
        ends,
    )
    return sized


def batch_for(num_rows: int) -> int:
    """The largest power of two up to a sixteenth of the rows, from 16 to 256; at most all rows."""
    wanted = max(_SMALLEST_BATCH, min(_LARGEST_BATCH, num_rows // _BATCHES))
    return 2 ** (min(wanted, num_rows).bit_length() - 1)


def epochs_for(steps: int) -> int:
    """Epochs of `steps` steps that make 2000 updates, from 40 to 500."""
    return max(_FEWEST_EPOCHS, min(_MOST_EPOCHS, -(-_UPDATES // steps)))


def with_sizes(settings: Settings, batch_size: int, epochs: int) -> Settings:
    """The settings with these sizes in place of zeros.

    Early stopping, where it is used, waits for at least a quarter of the chosen epochs.
    """
    recipe = settings.recipe
    changes = {"batch_size": recipe.batch_size or batch_size, "epochs": recipe.epochs or epochs}
    if recipe.early_stopping and not recipe.epochs:
        changes["early_stopping"] = max(recipe.early_stopping, epochs // _PATIENCE)
    return dataclasses.replace(settings, recipe=dataclasses.replace(recipe, **changes))
