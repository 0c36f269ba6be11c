"""What a run shows while it trains: TensorBoard and metrics.jsonl, each step once.

After a kill the lines and events beyond the resumed checkpoint are taken out of their files.
"""

import functools
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable

import keras
import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event

from pipelines import Pipeline
from trainers.config.settings import Settings
from trainers.devices import keras_patches as distribute
from trainers.tasks.registry import TASKS
from trainers.training.callbacks.picture import predictions_grid

_PROFILED = (3, 6)  # executions between which a profile is taken: after tracing and warming up


def _never_in_the_way(method: Callable) -> Callable:
    """A full disk ends what is shown of a run, in one warning, not the run."""

    @functools.wraps(method)
    def guarded(self, *args, **kwargs):
        if self._broken:
            return
        try:
            method(self, *args, **kwargs)
        except (OSError, tf.errors.OpError) as error:
            self._broken = True
            why = " ".join(str(error).split())[:300]
            print(
                f"warning: no more TensorBoard and metrics.jsonl for this run: {why}",
                file=sys.stderr,
            )

    return guarded


class Monitor(keras.callbacks.Callback):
    """Writes scalars for every execution and epoch, the graph, example images; more if asked."""

    def __init__(
        self,
        folder: pathlib.Path,
        pipeline: Pipeline,
        settings: Settings,
        *,
        step: int,
        epoch_steps: int,
    ):
        super().__init__()
        self._folder = folder / "tensorboard"
        self._lines_path = folder / "metrics.jsonl"
        self._pipeline = pipeline
        self._settings = settings
        self._first_step = step
        self._step = step
        self._epoch_steps = epoch_steps
        self._executions = 0
        self._profiling = False
        self._writers: dict[str, tf.summary.SummaryWriter] = {}
        self._lines = None
        self._broken = False

    @_never_in_the_way
    def on_train_begin(self, logs=None):
        """Takes back what a killed process wrote beyond its last checkpoint; writes the graph."""
        self._lines = _lines_until(self._lines_path, self._first_step)
        for split in ("train", "validation"):
            _cut_events(self._folder / split, self._first_step)
            self._writers[split] = tf.summary.create_file_writer(str(self._folder / split))
        if not self._first_step:
            specs = [tf.TensorSpec(i.shape, i.dtype, name=i.name) for i in self.model.inputs]
            call = tf.function(
                lambda *inputs: self.model(dict(zip(self._names(), inputs, strict=True)))
            )
            with self._writers["train"].as_default(step=0):
                tf.summary.graph(call.get_concrete_function(*specs).graph)
        self._since = time.perf_counter()

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock of the first execution."""
        self._epoch = epoch
        self._since = time.perf_counter()
        self._since_step = self._step

    @_never_in_the_way
    def on_train_batch_end(self, batch, logs=None):
        """One point for each execution: means since the start of the epoch, rate and throughput."""
        step = self._epoch * self._epoch_steps + min(batch + 1, self._epoch_steps)
        if not logs or step <= self._first_step:
            return  # taken by an earlier process
        self._step = step
        self._executions += 1
        now = time.perf_counter()
        examples = (self._step - self._since_step) * self._settings.recipe.batch_size
        values = {
            **{f"running/{name}": value for name, value in logs.items()},
            "running/gradient_norm": distribute.gradients_of(self.model).norm,
            "running/learning_rate": float(self.model.optimizer.learning_rate),
            "running/examples_per_second": examples / (now - self._since),
        }
        self._since, self._since_step = now, self._step
        self._write("train", values)
        if self._settings.profile:
            self._profile()

    @_never_in_the_way
    def on_epoch_end(self, epoch, logs=None):
        """The epoch's training and validation metrics under one name, so that curves overlay."""
        logs = logs or {}
        self._step = (epoch + 1) * self._epoch_steps
        train = {name: value for name, value in logs.items() if not name.startswith("val_")}
        validation = {
            name.removeprefix("val_"): v for name, v in logs.items() if name.startswith("val_")
        }
        self._write("train", {f"epoch/{name}": value for name, value in train.items()})
        self._write("validation", {f"epoch/{name}": value for name, value in validation.items()})
        with self._writers["validation"].as_default(step=self._step):
            self._write_images()
        if self._settings.histograms:
            with self._writers["train"].as_default(step=self._step):
                for variable in self.model.trainable_variables:
                    tf.summary.histogram(variable.path, variable.numpy())
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs=None):
        """Closes the files."""
        self.close()

    @_never_in_the_way
    def close(self) -> None:
        """Closes the files; also after an interruption, where Keras calls nothing."""
        if self._profiling:
            self._stop_profile()
        for writer in self._writers.values():
            writer.close()
        if self._lines is not None:
            self._lines.close()

    def _write(self, split: str, values: dict[str, float]) -> None:
        with self._writers[split].as_default(step=self._step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        self._writers[split].flush()
        rounded = {name: float(f"{value:.6g}") for name, value in values.items()}
        line = {"step": self._step, "epoch": self._epoch + 1, "split": split, **rounded}
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()

    def _write_images(self) -> None:
        rows = self._pipeline.rows["validation"]
        if (
            "image" not in self._pipeline.raw
            or rows.table is None
            or self._pipeline.task not in ("classification", "binary")
        ):
            return
        raw = {name: rows.table[name][:16] for name in self._pipeline.raw}
        logits = self.model(self._pipeline.preprocess(raw), training=False)
        outputs = TASKS[self._pipeline.task].outputs(
            tf.cast(logits, tf.float32), self._pipeline.class_names
        )
        found, target = outputs["class"].numpy(), rows.table[self._pipeline.target][:16]
        names = self._pipeline.class_names
        captions = [(names[int(f)], names[int(t)]) for f, t in zip(found, target, strict=True)]
        tf.summary.image("predictions", predictions_grid(raw["image"], captions)[None])

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


def _lines_until(path: pathlib.Path, step: int):
    """The file, open for more lines, without those of later steps and without a torn last line."""
    kept = []
    if path.exists() and step:
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except ValueError:
                break
    new = path.with_name(f".{path.name}.new")
    new.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    os.replace(new, path)
    return open(path, "a", encoding="utf-8")


def _cut_events(folder: pathlib.Path, step: int) -> None:
    """Takes events of later steps, written before a kill, out of TensorBoard's files.

    A session mark would be simpler, but TensorBoard's own reader does not heed it for the kind of
    events that TensorFlow 2 writes.
    """
    for path in sorted(folder.glob("events.out.tfevents.*")):
        kept = []
        try:
            for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                if Event.FromString(record).step <= step:
                    kept.append(record)
        except tf.errors.DataLossError:
            pass  # the torn end of a file that was being written
        new = path.with_name(".rewriting")
        with tf.io.TFRecordWriter(str(new)) as writer:
            for record in kept:
                writer.write(record)
        os.replace(new, path)
