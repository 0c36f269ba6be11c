"""Skip-grams with negative sampling (Mikolov et al. 2013, section 2) from rows of running words.

All draws are keyed by row and epoch, and negatives are shared within a row: no number depends on
the other rows of a batch, or on how many there are.
"""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from pipelines.core.keys import Keys, bits, integers, uniform
from pipelines.core.pipeline import Example, Part, Tensors
from zoo.spec import Field

_POWER = 0.75  # exponent of a word's count in the distribution of negatives (section 2.2)
_MULTIPLE = 16  # widths of rows are multiples of it: a kernel is recompiled for each width


def skip_grams(
    *, window: int, negatives: int, negatives_per_pair: float, subsample: float
) -> Callable[[Mapping[str, Field], Part], Example]:
    """A pipeline's `make_example`: pairs of words that occur near each other, and random negatives.

    Some frequent words of each row (B, T) are left out (`kept`). Each remaining word is a centre
    with a window of 1 to `window` words on each side, within its text.

    x is `words` (B, T') and `negatives` (B, negatives). y and weight are (B, T', 2 window +
    negatives): first those of the words before and after each centre, with y = 1, and weight 1
    within its window; then those of the row's negatives, with y = 0. If a centre has the contexts
    o, negative n has the weight

        negatives_per_pair / negatives * (number of o other than n),

    so that each pair has `negatives_per_pair` negatives in expectation, and none that is its o.
    """

    def make_example(fields: Mapping[str, Field], part: Part) -> Example:
        del fields
        counts = part["counts"]
        probability = tf.constant(keep_probability(counts, subsample), tf.float32)
        cumulative = tf.constant(np.cumsum(counts**_POWER) / np.sum(counts**_POWER), tf.float64)

        def example(inputs: Tensors, target: None, keys: Keys) -> tuple:
            del target
            words = kept(inputs["words"], probability, keys)  # (B, T)
            contexts, real = contexts_of(words, window, keys)  # (B, T, 2 window)
            drawn = noise(cumulative, negatives, keys)  # (B, N)
            pairs = tf.reduce_sum(tf.cast(real, tf.float32), axis=2, keepdims=True)  # (B, T, 1)
            share = negatives_per_pair / negatives
            weight = share * (pairs - number_equal(contexts, real, drawn))  # (B, T, N)
            weight = tf.concat([tf.cast(real, tf.float32), weight], axis=2)
            y = tf.concat([tf.ones([2 * window]), tf.zeros([negatives])], axis=0)
            y = tf.broadcast_to(y, tf.shape(weight))
            return {"words": words, "negatives": drawn}, y, weight

        return example

    return make_example


def keep_probability(counts: np.ndarray, subsample: float) -> np.ndarray:
    """Probability to keep each word, by id: (sqrt(f / t) + 1) t / f for frequency f (word2vec.c).

    Args:
        counts: (words,).
        subsample: t; 0 keeps all.

    Returns:
        (words + 1,); 1 for the 0 between texts.
    """
    if not subsample:
        return np.ones(len(counts) + 1)
    ratio = counts / counts.sum() / subsample
    return np.append(1.0, np.minimum(1.0, (np.sqrt(ratio) + 1) / ratio))


def kept(words: tf.Tensor, probability: tf.Tensor, keys: Keys) -> tf.Tensor:
    """The words (B, T) that are randomly kept, without gaps: (B, T'), padded with 0."""
    position = tf.range(tf.shape(words)[1])[None]
    draw = uniform(keys.named("keep").per_position(), position)
    remaining = tf.ragged.boolean_mask(words, draw < tf.gather(probability, words))
    longest = tf.maximum(remaining.bounding_shape()[1], 1)
    width = tf.minimum(-(-longest // _MULTIPLE) * _MULTIPLE, tf.shape(words, tf.int64)[1])
    return remaining.to_tensor(shape=tf.stack([tf.shape(words, tf.int64)[0], width]))


def contexts_of(words: tf.Tensor, window: int, keys: Keys) -> tuple[tf.Tensor, tf.Tensor]:
    """The words around each of (B, T), and which are in its window: (B, T, 2 window) each.

    Those before it come first, in the order of the text. A window has 1 to `window` words on each
    side, all equally likely, and no words of another text; the 0 between texts has no window.
    """
    length = tf.shape(words)[1]
    size = 1 + integers(keys.named("window").per_position(), tf.range(length)[None], window)
    offset = tf.constant([*range(-window, 0), *range(1, window + 1)])
    position = tf.range(length)[:, None] + offset  # (T, 2 window)
    inside = (position >= 0) & (position < length)
    position = tf.clip_by_value(position, 0, length - 1)
    text = tf.cumsum(tf.cast(words == 0, tf.int32), axis=1)  # number of each word's text
    contexts = tf.gather(words, position, axis=1)
    real = inside & (tf.abs(offset) <= size[..., None])
    real &= (words > 0)[..., None] & (contexts > 0)
    return contexts, real & (tf.gather(text, position, axis=1) == text[..., None])


def noise(cumulative: tf.Tensor, negatives: int, keys: Keys) -> tf.Tensor:
    """Words drawn from a cumulative distribution (words,) of ids from 1: (B, negatives) int32."""
    keys = keys.named("negatives").per_position()
    # 53 bits: the rarest of many words have probabilities below the 2^-24 of `uniform`.
    draw = tf.bitwise.right_shift(bits(keys, tf.range(negatives)[None]), tf.constant(11, tf.uint64))
    draw = tf.reshape(tf.cast(draw, tf.float64) / 2.0**53, [-1])
    index = tf.minimum(tf.searchsorted(cumulative, draw, side="right"), tf.size(cumulative) - 1)
    return tf.reshape(1 + index, [-1, negatives])


def number_equal(contexts: tf.Tensor, real: tf.Tensor, drawn: tf.Tensor) -> tf.Tensor:
    """How many real contexts (B, T, C) of each centre equal each negative (B, N): (B, T, N)."""
    contexts = tf.where(real, contexts, -1)
    columns = tf.unstack(contexts, axis=2)  # one at a time: all together take C times the memory
    return tf.add_n([tf.cast(c[..., None] == drawn[:, None], tf.float32) for c in columns])
