"""When a run saves, stops and counts an epoch as its best; and the swap of averaged weights."""

import math
import pathlib
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from trainers import checkpoint
from trainers.checkpoint import Checkpoint
from trainers.setup.errors import InterruptedRunError, NonFiniteError
from trainers.setup.settings import LOWER_IS_BETTER, Settings

NEW_PROGRESS = {"best": None, "best_step": None, "wait": 0, "stopped": False, "seconds": 0.0}


class Saver(keras.callbacks.Callback):
    """Saves after each epoch and every few minutes within; stops on signals, time, patience.

    Args:
        folder: of the checkpoints.
        resumed: the checkpoint that the run continues from, already restored; None: a new run.
        epoch_steps: steps of an epoch.
    """

    def __init__(
        self, folder: pathlib.Path, settings: Settings, resumed: Checkpoint | None, epoch_steps: int
    ):
        super().__init__()
        self._folder = folder
        self._settings = settings
        self._resumed = resumed
        self._epoch_steps = epoch_steps
        self._step = self._saved_step = resumed.step if resumed else 0
        self.progress: dict[str, Any] = dict(resumed.meta["progress"] if resumed else NEW_PROGRESS)
        self._signal = 0
        self._handlers: dict[int, Any] = {}

    def on_train_begin(self, logs=None):
        """Starts the clocks, and takes SIGTERM and SIGINT as requests to save and stop."""
        self._variables = checkpoint.variables_of(self.model)
        self._started = self._last_save = time.monotonic()
        self._seconds_before = self.progress["seconds"]
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._handlers[number] = signal.signal(number, self._on_signal)

    def on_epoch_begin(self, epoch, logs=None):
        """Puts the metrics of a half epoch back: Keras has just reset them."""
        self._epoch = epoch
        if self._resumed and self._step % self._epoch_steps:
            metrics = {k: v for k, v in self._variables.items() if k.startswith("metrics/")}
            checkpoint.restore(metrics, {key: self._resumed.arrays[key] for key in metrics})
        self._resumed = None

    def on_train_batch_end(self, batch, logs=None):
        """At every boundary between executions: is all finite, is it time to save, or to stop?"""
        if not logs:
            return  # taken by an earlier process
        self._step = self._epoch * self._epoch_steps + min(batch + 1, self._epoch_steps)
        for name, value in logs.items():
            if not math.isfinite(value):
                raise NonFiniteError(
                    f"{name} is {value} at step {self._step}; the last good checkpoint is step "
                    f"{self._saved_step}; a smaller --learning_rate or --clip_norm may help"
                )
        if self._step % self._epoch_steps == 0:
            return  # the end of an epoch is saved after validation, with its outcome
        stop = self._reason_to_stop()
        due = self._settings.checkpoint_minutes * 60 <= time.monotonic() - self._last_save
        if stop or due:
            self._save()
        if stop:
            raise InterruptedRunError(*stop)

    def on_epoch_end(self, epoch, logs=None):
        """Compares the epoch with the best one, and saves."""
        self._step = (epoch + 1) * self._epoch_steps
        name = self._settings.recipe.monitor
        value = (logs or {})[f"val_{name}"]
        progress = self.progress
        best = progress["best"]
        if best is None or (value < best if name in LOWER_IS_BETTER else value > best):
            progress |= {"best": value, "best_step": self._step, "wait": 0}
        else:
            progress["wait"] += 1
        patience = self._settings.recipe.early_stopping
        if patience and progress["wait"] >= patience:
            progress["stopped"] = self.model.stop_training = True
        self._save()
        stop = self._reason_to_stop()
        if stop:
            raise InterruptedRunError(*stop)

    def restore_signals(self) -> None:
        """Gives the signals back to whoever had them; also after an exception."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _save(self) -> None:
        if self._step == self._saved_step:
            return
        arrays = {key: np.asarray(variable.numpy()) for key, variable in self._variables.items()}
        for key, array in arrays.items():
            if key.startswith("model/") and not np.isfinite(array.astype(np.float64)).all():
                raise NonFiniteError(
                    f"{key.removeprefix('model/')} is not finite at step {self._step}; the last "
                    f"good checkpoint is step {self._saved_step}"
                )
        now = time.monotonic()
        self.progress["seconds"] = self._seconds_before + now - self._started
        best_step = self.progress["best_step"]
        checkpoint.save(
            self._folder,
            Checkpoint(self._step, arrays, {"progress": self.progress}),
            best_step=best_step,
        )
        self._last_save, self._saved_step = now, self._step

    def _on_signal(self, number: int, frame: Any) -> None:
        if self._signal:  # asked twice: leave at once, without saving
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._signal = number

    def _reason_to_stop(self) -> tuple[str, int] | None:
        again = "the same command continues the run"
        if self._signal:
            name = signal.Signals(self._signal).name
            return f"{name}: saved at step {self._step}; {again}", 128 + self._signal
        minutes = self._settings.max_minutes
        if minutes and time.monotonic() - self._started >= minutes * 60:
            return f"--max_minutes={minutes:g} used: saved at step {self._step}; {again}", 124
        return None


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


def averages(model: keras.Model) -> dict[str, tuple]:
    """(variable, its running average) of every averaged variable, by path; empty without EMA."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not optimizer.use_ema:
        return {}
    pairs = zip(
        optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True
    )
    return {variable.path: (variable, average) for variable, average in pairs}
