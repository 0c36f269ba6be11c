"""Running averages of the weights (EMA), which are validated, tested and exported."""

import logging
from collections.abc import Mapping

import keras

from trainers.devices import keras_patches
from trainers.training import loss_scale

_LOG = logging.getLogger(__name__)
_SHARE = 0.05  # largest share of the first step in the final averages, relative to the last


class AveragedWeights(keras.callbacks.Callback):
    """Validates the averaged weights: they are what is tested and exported.

    Keras's SwapEMAWeights swaps by additions in float32, which change the last bits of both; a
    copy does not.
    """

    def on_test_begin(self, logs=None):
        """Puts the averages into the model."""
        self._trained = {path: variable.numpy() for path, (variable, _) in self._pairs().items()}
        for variable, average in self._pairs().values():
            variable.assign(average.numpy())

    def on_test_end(self, logs=None):
        """Puts the trained weights back."""
        for path, (variable, _) in self._pairs().items():
            variable.assign(self._trained[path])

    def _pairs(self) -> Mapping[str, tuple]:
        return averages(self.model)


def warn_if_short(decay: float, steps: int) -> None:
    """Warns if a run is so short that the poor weights of its first steps stay in the averages."""
    if decay**steps > _SHARE:
        rest = float(f"{1 - 0.01 ** (1 / steps):.1g}")  # a decay near 1 would be rounded to it
        _LOG.warning(
            "--ema=%g is long for %d steps: the weights that are tested and exported are averages "
            "over all of them; --ema=%.12g would be over the last quarter",
            *(decay, steps, 1 - rest),
        )


def averages(model: keras.Model) -> dict[str, tuple]:
    """(variable, its running average) of every averaged variable, by path; empty without EMA."""
    optimizer = loss_scale.unwrapped(model.optimizer)
    if not optimizer.use_ema:
        return {}
    variables = keras_patches.variables_of(optimizer)
    pairs = zip(variables, keras_patches.averages_of(optimizer), strict=True)
    return {variable.path: (variable, average) for variable, average in pairs}
