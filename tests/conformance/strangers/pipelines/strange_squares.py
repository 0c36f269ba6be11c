"""Points in a square, by which quarter they are in."""

import tensorflow as tf

from pipelines import Form, Pipeline, classes
from zoo.spec import Field


def pipeline() -> Pipeline:
    """Two coordinates a point."""
    raw = {"x": Field((), "float32"), "y": Field((), "float32")}
    position = Form(preprocess=lambda raw: {"position": tf.stack([raw["x"], raw["y"]], axis=1)})
    return Pipeline(
        name="strange_squares",
        source="strange_squares:1.0.0",
        splits={"train": "train", "validation": "validation", "test": "test"},
        schema=classes(raw, ("a", "b", "c", "d"), target="quarter"),
        forms={"position": position},
    )
