"""One number for each row, in the unit of the target."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from trainers.errors import UsageError
from trainers.evaluation import baselines, statistics
from trainers.reports import charts, html
from trainers.serving import signatures
from trainers.tasks.registry import Constant, Mistakes, Task

METRICS = ("loss", "mean_absolute_error", "root_mean_squared_error", "r2")
LOWER_IS_BETTER = ("loss", "mean_absolute_error", "root_mean_squared_error")
MAIN_METRIC = "mean_absolute_error"
_ROUNDING = 1e-9  # of the mean square of centred targets: less variance counts as none


class R2(keras.metrics.R2Score):
    """Fraction of the targets' variance that is explained; targets (B,), predictions (B, 1)."""

    def __init__(self):
        # Sums of squares in float32 lose the digits of targets that lie far from zero.
        super().__init__(name="r2", dtype="float64")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch."""
        super().update_state(tf.reshape(y_true, tf.shape(y_pred)), y_pred, sample_weight)


def over(pipeline, schema):
    """The pipeline with one output; fits the target's mean and standard deviation if need be.

    A target in float64 or of whole numbers, which float32 would round, is trained as its distance
    from the mean.

    Raises:
        UsageError: the target is not one number.
    """
    target = schema.target
    if target is None or target.shape or schema.class_names or target.dtype == "string":
        raise UsageError(
            f"task regression takes data whose target is one number; {pipeline.name} has task "
            f"{schema.task}, target {target} and {len(schema.class_names)} class names"
        )
    if pipeline.fit_target is None and pipeline.encode is not None:
        pipeline = dataclasses.replace(pipeline, fit_target=fit_unit)
    elif pipeline.fit_target is None:
        # What is fitted before the training would take whole numbers for classes.
        wide = target.dtype not in ("float16", "float32")
        encode = centred if wide else None
        pipeline = dataclasses.replace(pipeline, fit_target=fit_target, encode=encode)
    return pipeline, schema._replace(task="regression", outputs=1)


def fit_target(train) -> dict[str, np.ndarray]:
    """Mean and standard deviation of the training targets; 1 where they are all equal.

    `origin` is the mean once more, where `centred` subtracts it.
    """
    target = baselines.targets(train)
    wide, target = target.dtype not in (np.float16, np.float32), target.astype(np.float64)
    fitted = {"mean": target.mean(), "std": target.std() or np.float64(1.0)}
    return {**fitted, "origin": fitted["mean"]} if wide else fitted


def fit_unit(train) -> dict[str, np.ndarray]:
    """`fit_target` without an origin, for a pipeline that encodes its targets itself."""
    return {name: value for name, value in fit_target(train).items() if name != "origin"}


def centred(part):
    """`encode`: targets in float64 or of whole numbers to their distance from the origin."""

    def encode(target: tf.Tensor) -> tf.Tensor:
        if "origin" not in part and not target.dtype.is_floating:
            return target  # the run was begun by an earlier version
        return tf.cast(tf.cast(target, tf.float64) - part.get("origin", 0.0), tf.float32)

    return encode


def origin(prepared) -> float:
    """What outputs and stored targets are relative to: 0 unless they are `centred`."""
    return float(prepared.state["target"].get("origin", 0.0))


def head(model: keras.Model, prepared) -> keras.Model:
    """The model with its output in the target's unit: the network's own is around zero."""
    mean, std = units(prepared)
    rescale = keras.layers.Rescaling(std, mean - origin(prepared), dtype="float32", name="units")
    return keras.Model(model.input, rescale(model.output), name=model.name)


def combine(values):
    """The mean of the members' outputs: (B, members, 1) to (B, 1)."""
    return ops.mean(values, axis=1)


def units(prepared) -> tuple[float, float]:
    """Mean and standard deviation of the training targets."""
    state = prepared.state["target"]
    return float(state["mean"]), float(state["std"])


def loss(prepared) -> keras.losses.Loss:
    """Squared error in the target's unit, outputs (B, 1)."""
    del prepared
    return keras.losses.MeanSquaredError(reduction=None)


def loss_scale(prepared) -> float:
    """Divides errors by the target's standard deviation: rates do not depend on its unit."""
    return units(prepared)[1] ** -2


def metrics(prepared) -> list[keras.metrics.Metric]:
    """Errors in the target's unit, and the explained fraction of its variance."""
    del prepared
    return [
        keras.metrics.MeanAbsoluteError(name="mean_absolute_error"),
        keras.metrics.RootMeanSquaredError(name="root_mean_squared_error"),
        R2(),
    ]


def outputs(logits: tf.Tensor, class_names: tuple[str, ...]) -> dict[str, tf.Tensor]:
    """What the export returns for outputs (B, 1)."""
    del class_names
    return {"logits": logits, "value": tf.squeeze(logits, axis=-1)}


def served(entry, hparams, model, prepared) -> dict:
    """`serving_default`; `value` is float64 where targets are `centred`."""
    offset = origin(prepared)

    def from_origin(logits: tf.Tensor, class_names: tuple[str, ...]) -> dict[str, tf.Tensor]:
        answer = outputs(logits, class_names)
        return {**answer, "value": tf.cast(answer["value"], tf.float64) + offset}

    made = signatures.from_raw(from_origin if offset else outputs)
    return made(entry, hparams, model, prepared)


def measured(answers, target: np.ndarray) -> statistics.Statistics:
    """Every metric from means of errors and of the centred target."""
    error = np.asarray(answers["logits"], np.float64)[:, 0] - target
    centred = target - target.mean(dtype=np.float64)  # squares of large numbers lose digits
    columns = np.stack([error**2, np.abs(error), centred, centred**2], axis=1)
    return statistics.Statistics(columns, np.zeros(len(error), np.int64), _from_means)


def constant(prepared, target: np.ndarray) -> Constant:
    """The mean of the training targets."""
    del prepared
    return Constant(
        "training mean",
        "predicts the mean of the training targets for every row",
        {"logits": np.array([[target.mean(dtype=np.float64)]], np.float32)},
    )


def drawn(prepared, test) -> list:
    """Predictions against true values, and a histogram of the errors."""
    value, target = _values(prepared, test)
    error = value - target
    counts, edges = np.histogram(error, bins=min(40, max(5, int(np.sqrt(len(error))))))
    low, high = np.quantile(np.abs(error), [0.5, 0.9])
    figures = html.figures(
        html.figure(
            charts.scatter(target, value, f"true {prepared.schema.target_name}", "predicted"),
            "Predicted against true values; predictions on the dashed line are right.",
        ),
        html.figure(
            charts.histogram(edges, counts, "predicted - true", "test rows"),
            f"Half of the absolute errors are below {html.number(low)}, 90 % below "
            f"{html.number(high)}.",
        ),
    )
    return [html.section("Errors", figures)]


def mistakes(prepared, test, number: int) -> Mistakes:
    """The rows of the largest absolute errors."""
    value, target = _values(prepared, test)
    error = value - target
    index = statistics.worst(np.abs(error), np.full(len(error), True), number)
    offset, dtype = origin(prepared), prepared.schema.target.dtype
    fine = offset and (dtype == "float64" or abs(offset) >= 1e7)
    shown = "{:.12g}".format if fine else html.number  # digits that float32 lacks
    entries = [
        (shown(value[i]), shown(target[i]), html.signed(error[i], target[i] - origin(prepared)))
        for i in index
    ]
    return Mistakes("Largest errors", "", index, ("predicted", "true", "error"), entries)


def _values(prepared, test) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and targets, in float64."""
    offset = origin(prepared)
    predicted = test.outputs["logits"][:, 0].astype(np.float64)
    target = test.target.astype(np.float64) + offset
    whole = np.dtype(prepared.schema.target.dtype).kind in "iu"
    return predicted + offset, np.rint(target) if whole else target  # float32 holds the distance


def _from_means(means: np.ndarray, fractions: np.ndarray) -> dict[str, np.ndarray]:
    del fractions
    squared, absolute, mean, square = means.T
    variance = square - mean**2
    varies = variance > _ROUNDING * square
    return {
        "loss": squared,
        "mean_absolute_error": absolute,
        "root_mean_squared_error": np.sqrt(squared),
        # Undefined where targets do not vary: NaN, as the AUC of one class.
        "r2": np.where(varies, 1 - statistics.ratio(squared, variance), np.nan),
    }


TASK = Task(
    over=over,
    loss=loss,
    loss_scale=loss_scale,
    metrics=metrics,
    head=head,
    combine=combine,
    signatures=served,
    statistics=measured,
    constant=constant,
    baselines=(baselines.linear("linear regression"),),
    sections=drawn,
    mistakes=mistakes,
)
