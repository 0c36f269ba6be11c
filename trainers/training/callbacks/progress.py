"""How far an epoch is: a bar on a terminal, one line an epoch in a log."""

import sys
import time

import keras

_SECONDS = 0.5  # between two drawings of the bar


class Progress(keras.callbacks.ProgbarLogger):
    """Keras's own bar, drawn twice a second at most."""

    def set_params(self, params):
        """Draws a bar where there is a terminal."""
        super().set_params({**params, "verbose": 1 if sys.stdout.isatty() else 2})

    def on_epoch_begin(self, epoch, logs=None):
        """Starts a bar."""
        super().on_epoch_begin(epoch, logs)
        self._drawn = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        """Draws the bar, unless it just was."""
        if time.monotonic() - self._drawn >= _SECONDS:
            super().on_train_batch_end(batch, logs)
            self._drawn = time.monotonic()
