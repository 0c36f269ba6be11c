"""Masked pre-training compared with Keras's published recipes: text tokens per second, in turn.

    TFDS_DATA_DIR=... python benchmarks/masked_speed.py [--rounds=3]

The same texts (IMDB without labels), vocabulary, depth, width and batch on every side, in float32:

    ours        the trainer's model, step and packed rows; logits of masked tokens only
    keras_io    the recipe of keras.io's "End-to-end Masked Language Modeling with BERT": Keras's
                own attention, padded rows, logits of every position
    keras_hub   KerasHub's BertBackbone and MaskedLMHead over the masked tokens, padded rows

Each side takes a few steps in every round, in another order; a ratio is taken within a round.
Padding is not counted as tokens. KerasHub is an extra: pip install keras-hub.
"""

import functools
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

from absl import app, flags

from trainers.errors import import_tensorflow

_ROUNDS = flags.DEFINE_integer("rounds", 3, "Turns per side.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 4, "Steps per turn.", lower_bound=1)
_BATCH = flags.DEFINE_integer("batch_size", 32, "Rows per step.", lower_bound=1)
_LENGTH = flags.DEFINE_integer("max_length", 256, "Tokens per row.", lower_bound=8)
_VOCABULARY = flags.DEFINE_integer(
    "vocab_size", 30_522, "Maximum vocabulary size.", lower_bound=100
)
_WIDTH = flags.DEFINE_integer(
    "width", 256, "Width of the network; its MLPs are four times as wide."
)
_LAYERS = flags.DEFINE_integer("num_layers", 4, "Layers of the network.", lower_bound=1)
_HEADS = flags.DEFINE_integer("num_heads", 4, "Attention heads per layer.", lower_bound=1)
_MASK_RATE = 0.15


class Side(NamedTuple):
    """One implementation of the training."""

    train: Callable[[int], None]  # takes this number of steps
    tokens: float  # of text, per step


def prepared(*, packed: bool):
    """IMDB's texts as the trainer prepares them for the task."""
    from trainers.config.settings import resolve
    from trainers.training import data

    settings = resolve(
        "transformer_encoder",
        {
            "pipeline": "imdb",
            "task": "masked_lm",
            "task_options": {"mask_rate": _MASK_RATE, "packed": packed},
            "pipeline_options": {
                "max_length": _LENGTH.value,
                "vocab_size": _VOCABULARY.value,
            },
            "batch_size": _BATCH.value,
            "epochs": 1,
            "precision": "float32",
            "hparams": {
                "width": _WIDTH.value,
                "num_layers": _LAYERS.value,
                "num_heads": _HEADS.value,
                "mlp_dim": 4 * _WIDTH.value,
                "dropout": 0.1,
                "word_dropout": 0.0,
            },
        },
    )
    return settings, data.load(settings, None)


def ours() -> Side:
    """The trainer's model and training step over its stream of packed rows."""
    import tensorflow as tf

    from pipelines.core.stream import stream
    from trainers.training import compile as compiling

    settings, rows = prepared(packed=True)
    model = compiling.compiled(settings, rows, tf.distribute.get_strategy(), "float32")
    batches = stream(rows, "train", batch_size=_BATCH.value, training=True, seed=0)
    iterator = iter(batches)
    step = tf.function(model.train_step, autograph=False)

    def train(steps: int) -> None:
        for _ in range(steps):
            step(next(iterator))
        model.gradient_norm.numpy()  # waits for the last step

    return Side(train, _BATCH.value * _LENGTH.value)


@functools.cache
def padded_rows(steps: int):
    """Batches (x, y, weight) of masked texts, one per row, at full length; tokens per batch."""
    import numpy as np
    import tensorflow as tf

    from pipelines.core.keys import Keys
    from pipelines.core.rows import take

    _, rows = prepared(packed=False)
    inputs, batches, tokens = rows.inputs_of("train"), [], 0
    for i in range(steps):
        index = np.random.default_rng(i).integers(0, inputs.num_rows, _BATCH.value)
        taken = {"tokens": tf.constant(take(inputs, index)["tokens"])}
        tokens += int(tf.math.count_nonzero(taken["tokens"]))
        zero = tf.constant(0, tf.int64)
        batches.append(rows.example(taken, None, Keys(zero, zero, tf.constant(index))))
    return rows, batches, tokens / steps


def keras_io() -> Side:
    """Logits of every position; only masked tokens have a weight."""
    import keras
    import tensorflow as tf

    rows, batches, tokens = padded_rows(8)
    ids, width, length = rows.spec.num_outputs, _WIDTH.value, _LENGTH.value
    inputs = keras.Input((length,), dtype="int32")
    positions = keras.ops.arange(length)
    x = keras.layers.Embedding(ids, width)(inputs)
    x = x + keras.layers.Embedding(length, width)(
        keras.ops.broadcast_to(positions, (1, length)) + 0 * inputs[:1, :]
    )
    for _ in range(_LAYERS.value):
        attend = keras.layers.MultiHeadAttention(_HEADS.value, width // _HEADS.value)
        x = keras.layers.LayerNormalization(epsilon=1e-6)(
            x + keras.layers.Dropout(0.1)(attend(x, x, x))
        )
        y = keras.layers.Dense(4 * width, activation="relu")(x)
        y = keras.layers.Dropout(0.1)(keras.layers.Dense(width)(y))
        x = keras.layers.LayerNormalization(epsilon=1e-6)(x + y)
    model = keras.Model(inputs, keras.layers.Dense(ids, activation="softmax")(x))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(reduction="sum"))

    def everywhere(x, y, weight):
        size = (_BATCH.value, length)
        row = tf.broadcast_to(tf.range(size[0])[:, None], tf.shape(y))
        index = tf.stack([row, x["masked_positions"]], axis=-1)
        return x["tokens"], tf.scatter_nd(index, y, size), tf.scatter_nd(index, weight, size)

    data = [everywhere(*batch) for batch in batches]
    return Side(_fitting(model, data), tokens)


def keras_hub() -> Side:
    """Logits of masked tokens, by KerasHub's layers."""
    import keras
    import keras_hub

    rows, batches, tokens = padded_rows(8)
    ids, width = rows.spec.num_outputs, _WIDTH.value
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=ids,
        num_layers=_LAYERS.value,
        num_heads=_HEADS.value,
        hidden_dim=width,
        intermediate_dim=4 * width,
        max_sequence_length=_LENGTH.value,
    )
    positions = keras.Input((None,), dtype="int32", name="mask_positions")
    head = keras_hub.layers.MaskedLMHead(
        vocabulary_size=ids, token_embedding=backbone.token_embedding
    )
    logits = head(backbone.output["sequence_output"], mask_positions=positions)
    model = keras.Model({**backbone.input, "mask_positions": positions}, logits)
    model.compile(
        "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    )
    data = []
    for x, y, weight in batches:
        seen = keras.ops.cast(x["tokens"] != 0, "int32")
        named = {"token_ids": x["tokens"], "segment_ids": 0 * seen, "padding_mask": seen}
        data.append(({**named, "mask_positions": x["masked_positions"]}, y, weight))
    return Side(_fitting(model, data), tokens)


def _fitting(model, batches) -> Callable[[int], None]:
    """`model.fit` over these batches, which are repeated."""
    import tensorflow as tf

    stacked = tf.nest.map_structure(lambda *parts: tf.stack(parts), *batches)
    data = tf.data.Dataset.from_tensor_slices(stacked).repeat().prefetch(2)
    return lambda steps: model.fit(data, steps_per_epoch=steps, epochs=1, verbose=0)


SIDES = {"ours": ours, "keras_io": keras_io, "keras_hub": keras_hub}


def main(argv: list[str]) -> None:
    """Prints tokens per second of each side, and ratios within rounds."""
    del argv
    import_tensorflow()
    sides = {name: make() for name, make in SIDES.items()}
    for side in sides.values():
        side.train(2)  # traces and compiles
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for i in range(_ROUNDS.value):
        names = list(sides)
        for name in names[i % len(names) :] + names[: i % len(names)]:
            begun = time.perf_counter()
            sides[name].train(_STEPS.value)
            rates[name].append(_STEPS.value * sides[name].tokens / (time.perf_counter() - begun))
    for name, values in rates.items():
        ratios = [a / b for a, b in zip(rates["ours"], values, strict=True)]
        middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
        rate = f"{statistics.median(values):8.0f} tokens/s"
        print(f"{name:10} {rate}; ours is {middle:.2f} times as fast ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    app.run(main)
