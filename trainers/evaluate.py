"""Metrics of an exported model: computed by the file that a server would load, from raw inputs.

    python -m trainers.evaluate --workdir=runs/... [--split=validation]
"""

import pathlib

import numpy as np
import tensorflow as tf

from pipelines import Pipeline
from pipelines.plan import evaluation_plan
from trainers.tasks import TASKS, reported_loss


def evaluate(exported: pathlib.Path, pipeline: Pipeline, split: str, *, batch_size: int) -> dict[str, float]:
    """The task's metrics of a SavedModel over every example of a split.

    Args:
        exported: a version's directory.
        pipeline: prepared; its rows are sent raw, as a client would.
    """
    task, rows = TASKS[pipeline.task], pipeline.rows[split]
    metrics = [reported_loss(task), *task.metrics(pipeline.spec.num_outputs)]
    model = tf.saved_model.load(str(exported))  # owns the variables that its signature reads
    serve = model.signatures["serving_default"]
    for index in evaluation_plan(rows.num_rows, batch_size=batch_size):
        index = index[index >= 0]
        batch = take(pipeline, split, index)
        logits = serve(**{name: tf.constant(batch[name]) for name in pipeline.raw})["logits"]
        for metric in metrics:
            metric.update_state(batch[pipeline.target], logits)
    return {metric.name: float(metric.result()) for metric in metrics}


def take(pipeline: Pipeline, split: str, index: np.ndarray) -> dict[str, np.ndarray]:
    """Raw fields and target of some rows."""
    rows = pipeline.rows[split]
    if rows.table is None:
        return dict(rows.read(index))
    return {name: column[index] for name, column in rows.table.items()}


def main(argv: list[str]) -> None:
    """The command: metrics of a finished run's newest export as one JSON line."""
    import json

    from absl import flags

    from trainers import run
    from trainers.recipe_flags import read

    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "folder of the run", flag_values=values, required=True)
    flags.DEFINE_string("split", "test", "train, validation or test", flag_values=values)
    flags.DEFINE_boolean("debug", False, "print tracebacks", flag_values=values)
    read(values, argv)
    found = run.evaluate_again(pathlib.Path(values["workdir"].value), values["split"].value)
    print(json.dumps({values["split"].value: found}))


if __name__ == "__main__":
    from trainers.errors import run_command

    run_command(main)
