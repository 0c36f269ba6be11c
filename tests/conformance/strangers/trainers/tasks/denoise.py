"""Vectors without the noise that was added to them; the data's own target is not used."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from pipelines.core import specs
from pipelines.core.keys import uniform
from trainers.errors import UsageError
from trainers.evaluation.statistics import of_means
from trainers.reports import html
from trainers.tasks.registry import Signature, Task

METRICS = ("loss", "largest_error")
LOWER_IS_BETTER = ("loss", "largest_error")
MAIN_METRIC = "largest_error"


def over(pipeline, schema):
    """The pipeline with a noisy vector as x and the vector itself as y.

    Raises:
        UsageError: the data's default form is not one vector of numbers.
    """
    name, form = next(iter(pipeline.forms.items()))
    if name != "vector":
        raise UsageError(f"task denoise takes rows as one vector; {pipeline.name} has form {name}")

    def example(inputs, target, keys):
        del target
        [(name, clean)] = inputs.items()
        noise = [uniform(keys.named("noise"), draw) - 0.5 for draw in range(clean.shape[1])]
        return {name: clean + tf.stack(noise, axis=1)}, clean, tf.ones_like(clean[:, 0])

    def outputs(state):
        preprocess = form.preprocess or form.make_preprocess(state["inputs/vector"])
        traced = specs.preprocess_function(preprocess, tuple(schema.raw.items()))
        [vector] = specs.fields_of(traced.structured_outputs).values()
        return vector.shape[0]

    pipeline = dataclasses.replace(pipeline, example=example)
    return pipeline, schema._replace(task="denoise", target=None, class_names=(), outputs=outputs)


def loss(prepared):
    """Mean squared error of each vector."""
    del prepared
    return keras.losses.MeanSquaredError(reduction=None)


def largest_error(clean, restored):
    """The largest absolute error within each vector: (B,)."""
    return tf.reduce_max(tf.abs(restored - clean), axis=1)


def metrics(prepared):
    """The mean over vectors of their largest error; the loss is added to it."""
    del prepared
    return [keras.metrics.MeanMetricWrapper(largest_error, name="largest_error")]


def signatures(entry, hparams, model, prepared):
    """`denoise` takes raw rows, for clients; `score` takes noisy vectors, for evaluation."""
    del entry, hparams
    [(name, field)] = prepared.spec.inputs.items()

    def denoise(**raw):
        restored = model(prepared.preprocess(raw), training=False)
        return {"restored": restored, "sign": tf.where(restored > 0, "+", "-")}

    def score(noisy, clean):
        restored = model({name: noisy}, training=False)
        squared = tf.reduce_mean(tf.square(restored - clean), axis=1)
        largest = largest_error(clean, restored)
        return {"restored": restored, "squared": squared, "largest": largest}

    def raw_fields(batch):
        return batch.raw

    def noisy_and_clean(batch):
        return {"noisy": batch.x[name], "clean": batch.y}

    return {
        "denoise": Signature(denoise, dict(prepared.raw), raw_fields, exact=True),
        "score": Signature(score, {"noisy": field, "clean": field}, noisy_and_clean),
    }


def statistics(outputs, target):
    """The metrics again, as means over rows, for intervals."""
    del target
    return of_means({"loss": outputs["squared"], "largest_error": outputs["largest"]})


def sections(prepared, test):
    """A sentence for the report."""
    del prepared
    half = html.number(float(np.median(test.outputs["largest"])))
    return [html.section("Restored", html.note(f"Half of the largest errors are below {half}."))]


TASK = Task(
    over=over,
    loss=loss,
    metrics=metrics,
    signatures=signatures,
    measured="score",
    scored="restored",
    kept=("squared", "largest"),
    statistics=statistics,
    sections=sections,
)
