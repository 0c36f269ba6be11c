"""Masked tokens as targets (Devlin et al. 2019, section 3.1), over any text."""

from collections.abc import Callable, Mapping

import tensorflow as tf

from pipelines.core.keys import Keys, integers, uniform
from pipelines.core.pipeline import Example, Part, Tensors
from pipelines.steps.text import SPECIAL
from zoo.spec import Field

_MASK = SPECIAL.index("[MASK]")
_MASKED, _RANDOM = 0.8, 0.1  # fractions of the chosen tokens; the rest stay unchanged


def masked(mask_rate: float) -> Callable[[Mapping[str, Field], Part], Example]:
    """A pipeline's `make_example`: some tokens are hidden, and the targets are the original ones.

    In each row a fraction of the tokens is chosen, rounded and at least one, never special ones.
    Four fifths of the chosen become [MASK], a tenth a random piece, and a tenth stay. The choice
    depends only on the row and the epoch.

    x gains `masked_positions` (B, M) int32 and y is (B, M) int32, the original tokens there, with
    weight 0 where a row has fewer than M = ceil(mask_rate T).
    """

    def make_example(fields: Mapping[str, Field], part: Part) -> Example:
        del part
        ids = fields["tokens"].ids

        def example(inputs: Tensors, target: None, keys: Keys) -> tuple:
            del target
            tokens = inputs["tokens"]  # (B, T)
            positions, weight = draw_positions(tokens, keys, mask_rate)
            y = tf.gather(tokens, positions, batch_dims=1)  # (B, M)
            drawn = hidden(y, positions, keys, ids)
            changed = tf.where(weight > 0, drawn, y)
            row = tf.broadcast_to(tf.range(tf.shape(tokens)[0])[:, None], tf.shape(positions))
            indices = tf.stack([row, positions], axis=-1)  # (B, M, 2)
            tokens = tf.tensor_scatter_nd_update(tokens, indices, changed)
            return {**inputs, "tokens": tokens, "masked_positions": positions}, y, weight

        return example

    return make_example


def draw_positions(tokens: tf.Tensor, keys: Keys, mask_rate: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Distinct positions of each row's tokens (B, T), and 1 for those that are targets: (B, M)."""
    length = tf.shape(tokens)[1]
    draw = uniform(keys.named("mask").per_position(), tf.range(length)[None])  # (B, T)
    usable = tokens >= len(SPECIAL)
    count = tf.reduce_sum(tf.cast(usable, tf.float32), axis=1)
    wanted = tf.minimum(tf.maximum(tf.round(mask_rate * count), 1.0), count)  # (B,)
    most = tf.cast(tf.math.ceil(mask_rate * tf.cast(length, tf.float32)), tf.int32)
    # The lowest draws; those of special tokens come last.
    _, positions = tf.math.top_k(-tf.where(usable, draw, draw + 1.0), most)  # (B, M)
    weight = tf.cast(tf.range(most), tf.float32)[None] < wanted[:, None]
    return positions, tf.cast(weight, tf.float32)


def hidden(tokens: tf.Tensor, positions: tf.Tensor, keys: Keys, ids: int) -> tf.Tensor:
    """What replaces these tokens (B, M) at their positions (B, M)."""
    keys = keys.per_position()
    kind = uniform(keys.named("kind"), positions)
    other = len(SPECIAL) + integers(keys.named("other"), positions, ids - len(SPECIAL))
    tokens = tf.where(kind < _MASKED + _RANDOM, other, tokens)
    return tf.where(kind < _MASKED, _MASK, tokens)
