"""What a finished run keeps of its rows: examples, and the predictions for every row."""

from collections.abc import Mapping

import numpy as np

from pipelines.core.prepared import Prepared
from pipelines.core.rows import take
from trainers.evaluation.baselines import Baselines
from trainers.evaluation.evaluate import Evaluation
from trainers.tasks.registry import Task

COMPARED = 8  # rows that an export is compared on
_IMAGES, _OTHERS = 24, 12  # rows that the report shows together

Arrays = Mapping[str, np.ndarray]


def answers_are_of_classes(prepared: Prepared, task: Task) -> bool:
    """Whether the task shows mistakes, and its logits are for one class per row."""
    target = prepared.schema.target
    one_class = bool(prepared.class_names) and target is not None and not target.shape
    return one_class and task.mistakes is not None and task.scored == "logits"


def examples(prepared: Prepared, task: Task, test: Evaluation | None) -> dict[str, np.ndarray]:
    """Rows of the test split as stored: the first ones, and the mistakes that the report shows.

    Args:
        test: answers to the test split; None: only the first rows.

    Returns:
        `row` (n,), `target` where the data has one, and `fields/<name>` of each stored field.
    """
    rows = prepared.rows["test"]
    if prepared.pipeline.arrange is not None:
        rows = prepared.inputs_of("test")
    index = np.arange(min(COMPARED, rows.num_rows))
    if test is not None and task.mistakes is not None:
        shown = test.row[task.mistakes(prepared, test, how_many(prepared)).index]
        index = np.concatenate([index, np.setdiff1d(shown, index)])
    stored = take(rows, index)
    kept = {"row": index}
    if rows.target is not None:
        kept["target"] = np.asarray(stored.pop(rows.target))
    names = prepared.serving_inputs if rows.are_inputs else prepared.raw
    return kept | {f"fields/{name}": np.asarray(stored[name]) for name in names}


def fields(kept: Arrays) -> dict[str, np.ndarray]:
    """The stored fields of examples by name."""
    return {k.removeprefix("fields/"): v for k, v in kept.items() if k.startswith("fields/")}


def predictions(evaluation: Evaluation, baselines: Baselines, split: str) -> dict[str, np.ndarray]:
    """Row numbers, targets and kept outputs of a split, and those of the baselines.

    Returns:
        `row` (N,), `target` where the data has one, `outputs/<name>` (N, ...) of the model, and
        `<key>/<name>` of each baseline: (N, ...), or (1, ...) if it is the same for every row.
    """
    kept = {"row": evaluation.row}
    if evaluation.target is not None:
        kept["target"] = evaluation.target
    kept |= {f"outputs/{name}": value for name, value in evaluation.outputs.items()}
    for one in baselines.answers:
        kept |= {f"{one.key}/{name}": value for name, value in one.outputs[split].items()}
    return kept


def evaluation_of(kept: Arrays, metrics: Mapping[str, float], key: str = "outputs") -> Evaluation:
    """The evaluation that `predictions` kept.

    Args:
        key: "outputs" for the model's, or a baseline's key.
    """
    num_rows = len(kept["row"])
    outputs = {
        name.removeprefix(f"{key}/"): np.broadcast_to(value, (num_rows, *value.shape[1:]))
        for name, value in kept.items()
        if name.startswith(f"{key}/")
    }
    return Evaluation(dict(metrics), kept["row"], kept.get("target"), outputs)


def how_many(prepared: Prepared) -> int:
    """How many rows of this data the report shows together."""
    return _IMAGES if image_field(prepared) else _OTHERS


def image_field(prepared: Prepared) -> str | None:
    """The raw field that holds an image of 1, 3 or 4 channels; None: there is none."""
    for name, field in prepared.raw.items():
        if (
            field.dtype in ("uint8", "uint16")
            and len(field.shape) == 3
            and field.shape[-1] in (1, 3, 4)
        ):
            return name
    return None


def visible(pixels: np.ndarray) -> np.ndarray:
    """Images as uint8 to look at; in images of 16 bits the brightest value becomes white."""
    if pixels.dtype == np.uint8:
        return pixels
    return (pixels * (255.0 / max(int(pixels.max()), 1))).astype(np.uint8)
