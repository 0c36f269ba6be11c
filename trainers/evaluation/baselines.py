"""What the model has to beat on the same rows: a constant answer, and a linear model."""

import dataclasses
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from pipelines import Pipeline
from pipelines.core.stream import num_steps, stream
from trainers.config.settings import Settings
from trainers.tasks.registry import TASKS, Task
from trainers.training import compile as assembly
from trainers.training.data import take

_MOST_TARGETS, _CHUNK = 5000, 250  # rows read for the constant where they are not in memory
_PASSES, _FEWEST_STEPS, _MOST_STEPS = 10, 1000, 3000  # of the linear model's training
_RATES = (1e-2, 1e-3)  # of Adam: the first suits tens of numbers a row, the second thousands
_BATCH_SIZE = 128
_STEPS_PER_EXECUTION = 10


class Baseline(NamedTuple):
    """A simpler model's answers on the test split."""

    key: str  # in report.json
    name: str
    meaning: str
    outputs: dict[str, np.ndarray]  # the task's, (N, ...) each, in stored order


def constant(pipeline: Pipeline) -> Baseline:
    """The same answer for every row: the shares of the training classes, or the mean."""
    target = _training_targets(pipeline)
    if pipeline.task == "regression":
        answer, name = np.array([target.mean(dtype=np.float64)]), "mean of training"
        meaning = "answers every row with the mean of the training targets"
    elif pipeline.task == "multi_label":
        share = (target.sum(axis=0) + 1) / (len(target) + 2)
        answer, name = np.log(share / (1 - share)), "training shares"
        meaning = "gives every row the labels' training shares as probabilities"
    else:
        # One row more than there are in each class: no class is impossible (Laplace).
        counts = np.bincount(target, minlength=len(pipeline.class_names)) + 1
        answer, name = np.log(counts / counts.sum()), "most frequent class"
        often = pipeline.class_names[counts.argmax()]
        meaning = f"always {often!r}, with the training shares as probabilities"
        if pipeline.task == "binary":
            answer = answer[1:] - answer[:1]  # one logit
    num_rows = pipeline.rows["test"].num_rows
    return Baseline("constant", name, meaning, _outputs(pipeline, np.tile(answer, (num_rows, 1))))


def linear(settings: Settings, pipeline: Pipeline) -> Baseline:
    """The zoo's linear model, trained for a few seconds on the same training rows.

    Without augmentation, from zero, once with each of a few learning rates: how large a rate should
    be depends on how many numbers a row has. The validation loss decides between the rates and
    between the passes of each.

    Raises:
        UsageError: the linear model does not take this data.
    """
    asked = dataclasses.replace(settings, model="linear", hparams={})
    pipeline = dataclasses.replace(pipeline, augment=None)
    seed, num_rows = settings.recipe.seed, pipeline.rows["test"].num_rows
    batch_size = min(_BATCH_SIZE, pipeline.rows["train"].num_rows)
    passes = _PASSES * num_steps(pipeline, "train", batch_size=batch_size, training=True)
    steps = min(max(passes, _FEWEST_STEPS), _MOST_STEPS)
    model = assembly.build(asked, pipeline, "float32")
    data = {
        "train": stream(pipeline, "train", batch_size=batch_size, training=True, seed=seed),
        "validation": stream(pipeline, "validation", batch_size=512, training=False, seed=seed),
    }
    tried = [_trained(model, data, rate, steps, TASKS[pipeline.task]) for rate in _RATES]
    model.set_weights(min(tried, key=lambda found: found[0])[1])
    batches = stream(pipeline, "test", batch_size=512, training=False, seed=seed)
    logits = np.concatenate([model.predict_on_batch(x) for x, _, _ in batches])[:num_rows]
    kind = "linear" if pipeline.task == "regression" else "logistic"
    meaning = f"{kind} regression on the same rows, without augmentation"
    return Baseline("linear", "linear model", meaning, _outputs(pipeline, logits))


def _trained(model, data, rate: float, steps: int, task: Task) -> tuple[float, list[np.ndarray]]:
    """The lowest validation loss with this learning rate, and its weights."""
    for variable in model.trainable_variables:
        variable.assign(np.zeros(variable.shape))
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps)),
        task.loss(0.0),
        steps_per_execution=_STEPS_PER_EXECUTION,
        jit_compile=False,
    )
    history = model.fit(
        data["train"],
        validation_data=data["validation"],
        epochs=_PASSES,
        # A multiple of the steps per execution: Keras would overshoot otherwise.
        steps_per_epoch=-(-steps // (_PASSES * _STEPS_PER_EXECUTION)) * _STEPS_PER_EXECUTION,
        callbacks=[
            keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True)
        ],
        shuffle=False,
        verbose=0,
    )
    return min(history.history["val_loss"]), model.get_weights()


def _training_targets(pipeline: Pipeline) -> np.ndarray:
    rows = pipeline.rows["train"]
    if rows.table is not None:
        return rows.table[pipeline.target]
    number = min(rows.num_rows, _MOST_TARGETS)
    index = np.linspace(0, rows.num_rows - 1, number).astype(np.int64)
    chunks = (index[first : first + _CHUNK] for first in range(0, number, _CHUNK))
    return np.concatenate([take(pipeline, "train", chunk)[pipeline.target] for chunk in chunks])


def _outputs(pipeline: Pipeline, logits: np.ndarray) -> dict[str, np.ndarray]:
    outputs = TASKS[pipeline.task].outputs(tf.constant(logits, tf.float32), pipeline.class_names)
    return {k: v.numpy() for k, v in outputs.items() if v.dtype != tf.string}
