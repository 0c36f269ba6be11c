"""MNIST's digits as 784 numbers: odd or even?"""

import numpy as np
import tensorflow as tf

from pipelines import Form, Pipeline, Rows, Schema, classes, mnist
from pipelines.storage.tfds import load

_MEAN, _STD = 0.1307, 0.3081  # of all training pixels, as fractions of 255


def pipeline(*, data_dir: str | None = None, augment: bool = False) -> Pipeline:
    """The rows of `mnist` in the same splits; the target is the digit modulo 2.

    Args:
        data_dir: TFDS's data folder.
        augment: as in `mnist`.
    """
    digits = mnist.pipeline(augment=augment)
    own = classes(digits.schema.raw, ("even", "odd"))

    def read() -> tuple[dict[str, Rows], Schema]:
        exact, rows, _ = load(digits, data_dir=data_dir)
        relabelled = {split: parity(part) for split, part in rows.items()}
        return relabelled, own._replace(source=exact.source)

    return Pipeline(
        name="mnist_parity",
        source=digits.source,
        dataset=digits.source,
        schema=own,
        read=read,
        forms={"vector": Form(preprocess=standardize)},
        augment=digits.augment,
    )


def parity(rows: Rows) -> Rows:
    """The same rows with 0 for even and 1 for odd digits."""
    label = np.asarray(rows.table[rows.target]) % 2
    return rows._replace(table={**rows.table, rows.target: label})


def standardize(raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """`image` (B, 28, 28, 1) uint8 to `features` (B, 784) of mean 0 and std 1 over MNIST."""
    pixels = tf.cast(tf.reshape(raw["image"], (-1, 784)), tf.float32)
    return {"features": pixels * (1 / (255 * _STD)) - _MEAN / _STD}
