"""Logs a run to TensorBoard and metrics.jsonl while it trains, each step once.

Lines are written at fixed steps, at most about fifty per epoch, so that a run that was killed and
continued has the same log. The files are flushed at intervals and before each checkpoint. When a
run continues, lines and events later than its checkpoint are removed.
"""

import functools
import json
import logging
import os
import pathlib
import time
from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.scalar.summary_v2 import scalar_pb

from trainers.evaluation.records import image_field, visible
from trainers.store import files, logs
from trainers.store.run_folder import Run
from trainers.tasks import registry as tasks
from trainers.training.callbacks.picture import predictions_grid
from trainers.training.callbacks.samples import sampler

_LOG = logging.getLogger(__name__)
_IMAGES = 16  # of validation, shown after each epoch
_LINES = 50  # per epoch, at most
_FLUSHED = 1.0  # seconds between two flushes of the files
_PROFILED = (3, 6)  # executions between which a profile is taken: after tracing and warming up


def _disable_on_write_error(method: Callable) -> Callable:
    """A full disk ends only the run's logging, with one warning, not the run."""

    @functools.wraps(method)
    def guarded(self, *args, **kwargs):
        if self._broken:
            return
        try:
            method(self, *args, **kwargs)
        except (OSError, tf.errors.OpError) as error:
            self._broken = True
            why = " ".join(str(error).split())[:300]
            _LOG.warning("no more TensorBoard and metrics.jsonl for this run: %s", why)

    return guarded


class Monitor(keras.callbacks.Callback):
    """Writes scalars, the graph and example images; histograms and a profile if asked."""

    def __init__(self, run: Run, *, step: int, validated: bool, epoch_steps: int):
        super().__init__()
        self._folder = run.folder / "tensorboard"
        self._lines_path = run.folder / "metrics.jsonl"
        self._run = run
        self._prepared = run.prepared
        self._settings = run.settings
        self._first_step = step
        self._validated = validated
        self._step = step
        self._epoch_steps = epoch_steps
        self._executions = 0
        self._profiling = False
        self._flushed = 0.0
        self._writers: dict[str, tf.summary.SummaryWriter] = {}
        self._lines = None
        self._broken = False

    @_disable_on_write_error
    def on_train_begin(self, logs=None):
        """Removes what a killed process wrote after its last checkpoint; writes the graph."""
        self._lines = _lines_until(self._lines_path, self._first_step, self._validated)
        for split in ("train", "validation"):
            _cut_events(self._folder / split, self._first_step, self._validated)
            self._writers[split] = tf.summary.create_file_writer(str(self._folder / split))
        if not self._first_step:
            specs = [tf.TensorSpec(i.shape, i.dtype, name=i.name) for i in self.model.inputs]
            call = tf.function(
                lambda *inputs: self.model(dict(zip(self._names(), inputs, strict=True)))
            )
            with self._writers["train"].as_default(step=0):
                tf.summary.graph(call.get_concrete_function(*specs).graph)
        self._sampler = sampler(self._run, self.model)
        self._since = time.perf_counter()

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock of the first execution."""
        self._epoch = epoch
        self._since = time.perf_counter()
        self._since_step = self._step

    @_disable_on_write_error
    def on_train_batch_end(self, batch, logs=None):
        """Writes a point: the epoch's means so far, the last execution's loss, rate and speed."""
        position = min(batch + 1, self._epoch_steps)
        step = self._epoch * self._epoch_steps + position
        if not logs or step <= self._first_step:
            return  # done by an earlier process
        self._step = step
        self._executions += 1
        if self._settings.profile:
            self._profile()
        if not is_logged(position, self._epoch_steps, self.model.steps_per_execution):
            return
        now = time.perf_counter()
        examples = (self._step - self._since_step) * self._settings.recipe.batch_size
        values = {
            **{f"running/{name}": value for name, value in logs.items()},
            "running/execution_loss": float(self.model.execution_loss.numpy()),
            "running/gradient_norm": self.model.last_gradients().norm,
            "running/learning_rate": float(self.model.optimizer.learning_rate),
            "running/examples_per_second": examples / (now - self._since),
        }
        self._since, self._since_step = now, self._step
        self._write("train", values)

    @_disable_on_write_error
    def on_test_begin(self, logs=None):
        """Writes predictions or samples of the validated weights: the averages, if any."""
        with self._writers["validation"].as_default(step=self._step):
            self._write_images()
            if self._sampler is not None:
                tf.summary.image("samples", self._sampler()[None])

    @_disable_on_write_error
    def on_epoch_end(self, epoch, logs=None):
        """Writes training and validation metrics under the same names, so that curves overlay."""
        logs = logs or {}
        self._step = (epoch + 1) * self._epoch_steps
        train = {name: value for name, value in logs.items() if not name.startswith("val_")}
        validation = {
            name.removeprefix("val_"): v for name, v in logs.items() if name.startswith("val_")
        }
        self._write("train", {f"epoch/{name}": value for name, value in train.items()})
        self._write("validation", {f"epoch/{name}": value for name, value in validation.items()})
        if self._settings.histograms:
            with self._writers["train"].as_default(step=self._step):
                for variable in self.model.trainable_variables:
                    tf.summary.histogram(variable.path, variable.numpy())
        self.flush()

    def on_train_end(self, logs=None):
        """Closes the files."""
        self.close()

    @_disable_on_write_error
    def close(self) -> None:
        """Closes the files; also after an interruption, where Keras calls nothing."""
        if self._profiling:
            self._stop_profile()
        for writer in self._writers.values():
            writer.close()
        if self._lines is not None:
            self._lines.close()

    def _write(self, split: str, values: dict[str, float]) -> None:
        points = [scalar_pb(name, value).value[0] for name, value in values.items()]
        with self._writers[split].as_default():
            # One operation for all of them: an operation for each takes a millisecond.
            tf.summary.experimental.write_raw_pb(
                Summary(value=points).SerializeToString(), step=self._step
            )
        rounded = {name: float(f"{value:.6g}") for name, value in values.items()}
        line = {"step": self._step, "epoch": self._epoch + 1, "split": split, **rounded}
        self._lines.write(json.dumps(line) + "\n")
        if time.monotonic() - self._flushed >= _FLUSHED:
            self.flush()

    @_disable_on_write_error
    def flush(self) -> None:
        """Writes out what was logged so far."""
        for writer in self._writers.values():
            writer.flush()
        self._lines.flush()
        self._flushed = time.monotonic()

    def _write_images(self) -> None:
        prepared, rows = self._prepared, self._prepared.rows["validation"]
        captions, image = tasks.get(prepared.task).captions, image_field(prepared)
        if captions is None or image is None or rows.table is None:
            return
        raw = {name: rows.table[name][:_IMAGES] for name in prepared.raw}
        # Tensors, as everywhere else: a step may use attributes that NumPy arrays lack.
        tensors = {name: tf.constant(values) for name, values in raw.items()}
        outputs = self.model(prepared.preprocess(tensors), training=False)
        answers = self.model.objective.answer(outputs)
        target = rows.table[rows.target][:_IMAGES]
        texts = captions(prepared, np.asarray(answers, np.float32), target)
        if texts is not None:
            tf.summary.image("predictions", predictions_grid(visible(raw[image]), texts)[None])

    def _profile(self) -> None:
        if self._executions == _PROFILED[0]:
            tf.profiler.experimental.start(str(self._folder))
            self._profiling = True
        elif self._executions == _PROFILED[1]:
            self._stop_profile()

    def _stop_profile(self) -> None:
        tf.profiler.experimental.stop()
        self._profiling = False

    def _names(self) -> list[str]:
        return [tensor.name for tensor in self.model.inputs]


def is_logged(position: int, epoch_steps: int, per_execution: int) -> bool:
    """Whether a line is written after the execution that ends at `position` of an epoch.

    It depends on the step alone: a run that was killed and continued has the same lines.
    """
    every = -(-epoch_steps // (per_execution * _LINES))  # executions per line
    return position == epoch_steps or position % (per_execution * every) == 0


def _lines_until(path: pathlib.Path, step: int, validated: bool):
    """Removes lines of later steps and damaged lines, and opens the file for appending."""
    earlier = logs.lines(path) if step else logs.Log([], 0)
    _warn_of_damage(path, earlier)
    kept = [
        json.dumps(line) + "\n"
        for line in earlier.entries
        if _is_kept(line["step"], line, step, validated)
    ]
    files.replace_whole(path, "".join(kept).encode())
    return open(path, "a", encoding="utf-8")


def _cut_events(folder: pathlib.Path, step: int, validated: bool) -> None:
    """Removes events of later steps, written before a kill, from TensorBoard's files.

    A session mark (`SessionLog.START`) would be simpler, but TensorBoard's own reader ignores it
    for the kind of events that TensorFlow 2 writes.
    """
    files.clear(folder)
    for path in sorted(folder.glob("events.out.tfevents.*")):
        if not step:  # a run that begins anew also writes a new graph
            path.unlink()
            continue
        earlier = logs.events(path)
        _warn_of_damage(path, earlier)
        new = files.temporary_path(path)
        with tf.io.TFRecordWriter(str(new)) as writer:
            for record in earlier.entries:
                if _is_kept(logs.step_of(record), logs.tags_of(record), step, validated):
                    writer.write(record)
        os.replace(new, path)


def _is_kept(written: int, names: Iterable[str], step: int, validated: bool) -> bool:
    """Whether the checkpoint of `step` covers what was written at a step under these names.

    If it was saved before its epoch's validation, then what was written at the end of that epoch is
    later, although its step is the same: a process wrote it and was killed before the next save.
    """
    if written != step or validated:
        return written <= step
    return any(name.startswith("running/") for name in names)


def _warn_of_damage(path: pathlib.Path, log: logs.Log) -> None:
    if log.damaged:
        _LOG.warning("%s: %d damaged entries are left out", path, log.damaged)
