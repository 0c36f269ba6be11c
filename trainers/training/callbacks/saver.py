"""Decides when a run saves, stops or lowers its learning rate, and which epoch is its best."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from trainers.devices import keras_patches
from trainers.errors import InterruptedRunError, NonFiniteError
from trainers.store import checkpoint
from trainers.store.checkpoint import Checkpoint
from trainers.store.run_folder import Run
from trainers.tasks.registry import lower_is_better
from trainers.training import optimizers
from trainers.training.callbacks.averages import AveragedWeights
from trainers.training.callbacks.signals import CONTINUES, Request

# A run's progress besides its variables; a checkpoint's meta.json holds it.
NEW_PROGRESS = {
    "best": None,  # value of the monitored metric
    "best_step": None,
    "wait": 0,  # epochs since the best, for early stopping
    "slow_wait": 0,  # epochs since the best or the last lowering of the rate
    "rate_factor": 1.0,  # on the learning rate
    "rollbacks": [],  # non-finite steps, each with the step that the run was rolled back to
    "stopped": False,  # early
    "validated": True,  # False: saved between the last step of an epoch and its validation
    "seconds": 0.0,  # from the first step to the last
    "saving_seconds": 0.0,  # of these, spent on saving
}


class Saver(keras.callbacks.Callback):
    """Saves after each epoch and every few minutes; stops on a signal, the time limit, patience.

    Args:
        run: the folder of its checkpoints exists.
        start: what the run continues from, already in the model.
        request: whether a signal asked the run to stop.
        flush: writes out what was logged so far, since a run continues its log from a checkpoint.
        epoch_steps: steps of an epoch.
        averaged: puts averaged weights into the model for validation, where there are any.
        began: when the process began to train, for its time budget; None: now.
    """

    def __init__(
        self,
        run: Run,
        start: Checkpoint,
        request: Request,
        flush: Callable[[], None],
        *,
        epoch_steps: int,
        averaged: Sequence[AveragedWeights],
        began: float | None = None,
    ):
        super().__init__()
        self._folder = run.folder / "checkpoints"
        self._settings = run.settings
        self._start = start
        self._epoch_steps = epoch_steps
        self._averaged = averaged
        self._request = request
        self._flush = flush
        self._step = start.step
        self._began = time.monotonic() if began is None else began
        self.progress: dict[str, Any] = dict(start.meta["progress"])
        monitor = run.settings.recipe.monitor
        if start.meta.get("monitor", monitor) != monitor:  # --resume_with_changes
            self.progress |= {"best": None, "wait": 0, "slow_wait": 0}
        self._saved = (start.step, self.progress["validated"]) if start.arrays else None

    def on_train_begin(self, logs=None):
        """Starts the clocks."""
        self._variables = checkpoint.variables_of(self.model)
        self._started = self._last_save = time.monotonic()
        self._seconds_before = self.progress["seconds"]
        if self._settings.recover_tries and self._saved is None:
            self.save()  # there is always something to go back to

    def on_epoch_begin(self, epoch, logs=None):
        """Restores the metrics of an epoch that was interrupted: Keras has just reset them."""
        self._epoch = epoch
        if self._step > epoch * self._epoch_steps:
            metrics, saved = self._metrics(), self._start.arrays
            checkpoint.restore(metrics, {key: saved[key] for key in metrics})
            for key, variable in metrics.items():
                shares = keras_patches.shares_of(variable)
                values = saved.get(checkpoint.SHARES + key, ())
                if len(values) == len(shares):  # as many replicas as before
                    for share, value in zip(shares, values, strict=True):
                        share.assign(value)

    def on_train_batch_end(self, batch, logs=None):
        """Between executions: checks for non-finite numbers, and whether to save or to stop."""
        if not logs:
            return  # done by an earlier process
        self._step = self._epoch * self._epoch_steps + min(batch + 1, self._epoch_steps)
        gradients = self.model.last_gradients()
        if gradients.bad_step is not None:
            raise self._not_finite(f"the gradient of {gradients.bad_path}", gradients.bad_step)
        self._check_loss("loss", logs)
        if self._step % self._epoch_steps == 0:
            return  # the end of an epoch is saved after validation, with its outcome
        stop = self._reason_to_stop()
        due = self._settings.checkpoint_minutes * 60 <= time.monotonic() - self._last_save
        if stop or due:
            self.save()
        if stop:
            raise InterruptedRunError(*stop)

    def on_test_begin(self, logs=None):
        """Keeps the epoch's training metrics: validation is about to use their variables."""
        self._epoch_metrics = self._metric_values()

    def on_test_batch_end(self, batch, logs=None):
        """Stops during a validation if asked; the next process starts the validation again."""
        stop = self._reason_to_stop()
        if not stop:
            return
        for averaged in self._averaged:
            averaged.on_test_end()
        self.progress["validated"] = False
        self.save(self._epoch_metrics)
        raise InterruptedRunError(*stop)

    def on_epoch_end(self, epoch, logs=None):
        """Compares the epoch with the best one, and saves."""
        self._step = (epoch + 1) * self._epoch_steps
        self._check_loss("val_loss", logs)
        recipe, progress = self._settings.recipe, self.progress
        value, best = (logs or {})[f"val_{recipe.monitor}"], progress["best"]
        lower = lower_is_better(recipe.monitor)
        better = best is None or math.isnan(best) or (value < best if lower else value > best)
        if better:
            progress |= {"best": value, "best_step": self._step, "wait": 0, "slow_wait": 0}
        else:
            progress |= {"wait": progress["wait"] + 1, "slow_wait": progress["slow_wait"] + 1}
        if recipe.plateau and progress["slow_wait"] >= recipe.plateau:
            progress |= {"rate_factor": progress["rate_factor"] / 2, "slow_wait": 0}
            optimizers.set_rate_factor(self.model.optimizer, progress["rate_factor"])
        if recipe.early_stopping and progress["wait"] >= recipe.early_stopping:
            progress["stopped"] = self.model.stop_training = True
        progress["validated"] = True
        self.save()
        stop = self._reason_to_stop()
        if stop:
            raise InterruptedRunError(*stop)

    def save(self, metrics: Mapping[str, np.ndarray] | None = None) -> None:
        """Saves the current state of the run, unless it is saved already.

        Args:
            metrics: values by key, to save instead of those in the metrics' variables.

        Raises:
            NonFiniteError: a weight is not finite.
            OSError: disk full, or the folder of the run is gone.
        """
        if (self._step, self.progress["validated"]) == self._saved:
            return
        started = time.monotonic()
        arrays = {key: np.asarray(variable.numpy()) for key, variable in self._variables.items()}
        for key, array in arrays.items():
            if key.startswith("model/") and not np.isfinite(array.astype(np.float64)).all():
                raise self._not_finite(key.removeprefix("model/"), self._step)
        self.progress["seconds"] = self._seconds_before + started - self._started
        kept = {name: self._start.meta[name] for name in ("run", "order")}
        recorded = {"epoch_steps": self._epoch_steps, "monitor": self._settings.recipe.monitor}
        meta = {**kept, **recorded, "progress": self.progress}
        state = Checkpoint(self._step, arrays | (metrics or self._metric_values()), meta)
        self._flush()
        try:
            checkpoint.save(self._folder, state, best_step=self.progress["best_step"])
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{self._folder} was removed while a run used it") from error
        self._last_save = time.monotonic()
        self.progress["saving_seconds"] += self._last_save - started
        self._saved = (self._step, self.progress["validated"])

    def _check_loss(self, name: str, logs: Mapping[str, float]) -> None:
        # Only the loss: other metrics may be undefined where a class is missing.
        if not math.isfinite(logs[name]):
            raise self._not_finite(f"{name} ({logs[name]})", self._step)

    def _not_finite(self, what: str, step: int) -> NonFiniteError:
        last = f"step {self._saved[0]}" if self._saved else "none yet"
        return NonFiniteError(
            f"{what} is not finite at step {step}; the last good checkpoint is {last}; a smaller "
            "--learning_rate or --clip_norm may help, or --recover_tries=2, which goes back to the "
            "checkpoint and halves the rate",
            step,
        )

    def _metrics(self) -> dict[str, Any]:
        return {k: v for k, v in self._variables.items() if k.startswith("metrics/")}

    def _metric_values(self) -> dict[str, np.ndarray]:
        """The metrics' variables to save, and under several replicas the share of each."""
        values = {}
        for key, variable in self._metrics().items():
            values[key] = np.asarray(variable.numpy())
            shares = keras_patches.shares_of(variable)
            if len(shares) > 1:
                values[checkpoint.SHARES + key] = np.stack([share.numpy() for share in shares])
        return values

    def _reason_to_stop(self) -> tuple[str, int] | None:
        if self._request.number:
            return self._request.message_and_code(f"saved at step {self._step}")
        minutes = self._settings.max_minutes
        if minutes and time.monotonic() - self._began >= minutes * 60:
            return f"--max_minutes={minutes:g} used: saved at step {self._step}; {CONTINUES}", 124
        return None
