"""MNIST's digits as 784 numbers: odd or even?"""

import numpy as np
import tensorflow as tf

from pipelines import Pipeline, Rows, mnist
from pipelines.storage import tfds as source

_MEAN, _DEVIATION = 0.1307, 0.3081  # of all training pixels, as parts of 255


def pipeline(*, data_dir: str | None = None, augment: bool = False) -> Pipeline:
    """The rows of `mnist` in the same splits; the target is the remainder of the digit by two.

    Args:
        data_dir: TFDS's data folder.
        augment: as `mnist` does.
    """
    digits = mnist.pipeline(augment=augment)

    def read() -> dict[str, Rows]:
        _, rows = source.load(digits, data_dir=data_dir)
        return {split: parity(part) for split, part in rows.items()}

    return Pipeline(
        name="mnist_parity",
        source=digits.source,
        splits=digits.splits,
        task="binary",
        target="label",
        class_names=("even", "odd"),
        raw=digits.raw,
        read=read,
        augment=digits.augment,
        preprocess=standardise,
    )


def parity(rows: Rows) -> Rows:
    """The same rows with 0 for even and 1 for odd digits."""
    label = np.asarray(rows.table[rows.target]) % 2
    return rows._replace(table={**rows.table, rows.target: label})


def standardise(raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """`image` (B, 28, 28, 1) uint8 to `features` (B, 784) of mean 0 and deviation 1 over MNIST."""
    pixels = tf.cast(tf.reshape(raw["image"], (-1, 784)), tf.float32)
    return {"features": pixels * (1 / (255 * _DEVIATION)) - _MEAN / _DEVIATION}
