"""Byte-pair encoding's merges, learnt from counted words by Hugging Face's `tokenizers`.

Its BPE trainer gives the same merges for the same words: ties go to the pair learnt first. That
holds only without a prefix, a suffix or a limit of the alphabet, whose order is that of a hash
table.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from pipelines.core.pipeline import DataError, Rows
from pipelines.core.specs import trace
from pipelines.steps import ngram_tree
from pipelines.storage import kept

LONGEST = 32  # symbols of a piece
_MIN_COUNT = 2  # occurrences that a merged pair must have
_SMALLEST = 2**22  # bytes of text that are worth caching: they are learnt in a second or two
_LINE = 10_000  # characters of a line, or copies of a word


def sampled(
    learn: Callable[[Iterable[np.ndarray], int], np.ndarray],
) -> Callable[[Rows, str, int], np.ndarray]:
    """`learn` over a column of training rows; beyond 256 MB of text, over evenly spaced rows.

    The result is cached for other commands: two pipelines with the same texts learn once.
    """

    def of_rows(train: Rows, field: str, vocab_size: int) -> np.ndarray:
        chunks, size = ngram_tree.sample(train, field)
        if size < _SMALLEST:
            return learn(chunks(), vocab_size)
        digest = hashlib.sha256()
        for chunk in chunks():
            for text in chunk.tolist():
                digest.update(len(text).to_bytes(8, "little") + text)
        key = [f"{learn.__module__} {vocab_size}", digest.hexdigest()]
        again = "vocabulary as learnt before from the same texts"
        return kept.by_content(lambda: learn(chunks(), vocab_size), key, "this vocabulary", again)

    return of_rows


def counted(
    texts: Iterable[np.ndarray], words: Callable[[tf.Tensor], tf.RaggedTensor]
) -> dict[str, int]:
    """How often each word occurs, in the order of first occurrence.

    Args:
        texts: arrays (N,) of byte strings.
        words: cuts texts (B,) into words (B, words) of valid UTF-8.
    """
    count = trace(
        lambda batch: tf.unique_with_counts(words(batch).flat_values),
        tf.TensorSpec((None,), tf.string),
    )
    total: Counter[bytes] = Counter()
    for chunk in texts:
        distinct, _, number = count(tf.constant(chunk))
        total.update(dict(zip(distinct.numpy().tolist(), number.numpy().tolist(), strict=True)))
    return {word.decode(): number for word, number in total.items()}


def learn(words: Mapping[str, int], size: int, alphabet: list[str]) -> list[tuple[str, str]]:
    """The merges of these words, in order: at most `size` pairs of pieces.

    A merge is left out if an earlier one makes the same piece from other parts, so that each piece
    is made in one way, and after its parts.

    Args:
        words: word -> how often it occurs; none contains white space.
        size: largest number of merges.
        alphabet: all symbols of the words, one character each.

    Raises:
        DataError: the package `tokenizers` is not installed.
    """
    try:
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    except ImportError as error:
        raise DataError(
            "learning pieces needs the package `tokenizers`, which is not installed: "
            "pip install 'keras-tfds-zoo[text]'"
        ) from error
    if size <= 0:
        return []
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + size,
        min_frequency=_MIN_COUNT,
        initial_alphabet=alphabet,
        max_token_length=LONGEST,
        show_progress=False,
    )
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    learner.train_from_iterator(_lines(words), trainer)
    pairs: dict[str, tuple[str, str]] = {}
    for left, right in json.loads(learner.to_str())["model"]["merges"]:
        pairs.setdefault(left + right, (left, right))
    return list(pairs.values())


def _lines(words: Mapping[str, int]) -> Iterator[str]:
    """Each word as often as it occurs, many on a line: one word per line takes twice as long."""
    line, length = [], 0
    for word, number in words.items():
        for first in range(0, number, _LINE):
            line.append(f"{word} " * min(_LINE, number - first))
            length += len(line[-1])
            if length > _LINE:
                yield "".join(line)
                line, length = [], 0
    yield "".join(line)
