"""The progress of each epoch on stderr: a bar on a terminal, one line per epoch in a log."""

import contextlib
import sys
import time

import keras

_SECONDS = 0.5  # between two drawings of the bar


class Progress(keras.callbacks.ProgbarLogger):
    """Keras's progress bar, drawn at most twice a second, on stderr: stdout is for results."""

    def set_params(self, params):
        """Draws a bar where there is a terminal."""
        super().set_params({**params, "verbose": 1 if sys.stderr.isatty() else 2})

    def on_epoch_begin(self, epoch, logs=None):
        """Starts a bar."""
        with contextlib.redirect_stdout(sys.stderr):
            super().on_epoch_begin(epoch, logs)
        self._drawn = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        """Draws the bar, unless it was drawn less than half a second ago."""
        if time.monotonic() - self._drawn >= _SECONDS:
            with contextlib.redirect_stdout(sys.stderr):
                super().on_train_batch_end(batch, logs)
            self._drawn = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """Ends a bar."""
        with contextlib.redirect_stdout(sys.stderr):
            super().on_epoch_end(epoch, logs)
