"""The n-grams of a text as padded ids, in TensorFlow operations only, as an export needs them.

Words are those of `text.words`: lower-case, split at white space, around punctuation and around
each character of scripts without spaces. Characters are those of each run between white space, in
lower case, with a space added before and after, so that no n-gram spans two words.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipelines.core.pipeline import DataError, Form, Part, Rows
from pipelines.core.specs import trace
from pipelines.steps import ngram_tree, text
from pipelines.steps.pieces import rows_of
from zoo.spec import Field

KINDS = {  # value of the option -> how long the n-grams of each kind are
    "words": {"words": 3},
    "characters": {"characters": 5},
    "both": {"words": 3, "characters": 5},
}
_LENGTH = 2048  # of the padded ids of one kind; a film review has 430 distinct ones on average
_MIN_TEXTS = 2  # training texts that a counted n-gram must be in
_SHORT = 4e6  # bytes of training text up to which "auto" adds the characters
_PRIME = 2**31 - 1  # products of two residues fit in 64 bits
_BASE, _SPREAD = 1_103_515_245, 1_664_525  # of the hash, a polynomial modulo the prime


class Units(NamedTuple):
    """The words or characters that n-grams consist of, of a batch's texts one after another."""

    values: tf.Tensor  # (N,): words, or the code points of characters
    end: tf.Tensor  # (N,) int64: index of the first unit after its text, or after its word
    row: tf.Tensor  # (N,) int64: number of its text


def words(texts: tf.Tensor) -> Units:
    """The words of texts (B,)."""
    split = text.words(texts)
    row = rows_of(split.row_splits)
    return Units(split.flat_values, tf.gather(split.row_limits(), row), row)


def characters(texts: tf.Tensor) -> Units:
    """The code points of texts (B,), with a space before and after each run without white space."""
    split = tf.strings.split(text.lower(texts))  # (B, runs)
    points = tf.strings.unicode_decode(tf.strings.join([" ", split.flat_values, " "]), "UTF-8")
    run = rows_of(points.row_splits)
    row = tf.gather(rows_of(split.row_splits), run)
    return Units(points.flat_values, tf.gather(points.row_limits(), run), row)


_CUT = {"words": words, "characters": characters}
_TEXTS = tf.TensorSpec((None,), tf.string)


def fit(train: Rows, field: str, ngrams: str, num_ngrams: int, hashed: bool) -> Part:
    """The n-grams of each kind that are in two training texts or more, the most frequent first.

    Args:
        field: the column of texts.
        ngrams: a key of KINDS, or "auto": both up to 4 MB of text, otherwise words.
        num_ngrams: largest number of each kind.
        hashed: n-grams are not counted: an n-gram's id is its hash.

    Returns:
        `words`, UTF-8 with a line feed after each; `edges_<kind>` of `ngram_tree.count`; and the
        options. With `hashed` the options alone.

    Raises:
        DataError: no n-gram is in two texts.
    """
    read_texts, num_bytes = ngram_tree.sample(train, field)
    if ngrams == "auto":
        ngrams = "both" if num_bytes <= _SHORT else "words"
    options = {
        "ngrams": np.array(ngrams),
        "num_ngrams": np.int64(num_ngrams),
        "hash_ngrams": np.bool_(hashed),
    }
    if hashed:
        return options
    part: dict[str, np.ndarray] = {}
    for kind, longest in KINDS[ngrams].items():
        cut = trace(lambda texts, kind=kind: _distinct(_CUT[kind](texts)), _TEXTS)
        units, known = ngram_tree.joined(cut(tf.constant(chunk)) for chunk in read_texts())
        edges = ngram_tree.count(units, longest=longest, least=_MIN_TEXTS, most=num_ngrams)
        if kind == "words":
            edges, kept = ngram_tree.own_numbers(edges)
            part["words"] = _packed(known[number] for number in kept)
        part[f"edges_{kind}"] = edges
    if not any(len(part[f"edges_{kind}"]) for kind in KINDS[ngrams]):
        raise DataError(f"no n-gram of {ngrams} is in {_MIN_TEXTS} training texts or more")
    return {**part, **options}


class NGrams(tf.Module):
    """`preprocess` of a text field: strings (B,) to `ngrams` (B, length) int32, padded with 0.

    Each id occurs once in a row, in the order in which its n-gram first begins in the text, words
    before characters. Unknown n-grams are left out, as are those beyond the length.

    Args:
        part: from `fit`.
        field: name of the raw field; empty: the only one.
    """

    def __init__(self, part: Part, field: str = ""):
        super().__init__(name="ngrams")
        self._kinds = KINDS[str(part["ngrams"])]
        self._buckets = int(part["num_ngrams"]) if part["hash_ngrams"] else 0
        self._ids, self._length = num_ids(part), length(part)
        self._field, self._words, self._nodes, self._first = field, None, {}, {}
        if self._buckets:
            return
        if "words" in self._kinds:
            known = _unpacked(part["words"])
            self._words = _table(np.array(known, object), np.arange(len(known)), -1, tf.string)
        for kind in self._kinds:
            edges = part[f"edges_{kind}"]
            self._first[kind] = sum(len(part[f"edges_{other}"]) for other in self._nodes)
            self._nodes[kind] = _table(edges, np.arange(1, len(edges) + 1), 0, tf.int64)

    def __call__(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        [texts] = [raw[self._field]] if self._field else raw.values()
        num_rows, parts = tf.size(texts, tf.int64), []
        for kind, longest in self._kinds.items():
            units = _CUT[kind](texts)
            make_ids = self._hashed if self._buckets else self._counted
            ids = tf.reshape(make_ids(units, kind, longest), [-1])  # 0: there is none
            real = ids > 0
            row = tf.boolean_mask(tf.repeat(units.row, longest), real)
            ids = tf.boolean_mask(ids, real)
            parts.append(_by_row(ids, row, num_rows))
        ids = parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)
        # `tf.unique` keeps the first occurrence of each pair, so the pairs stay sorted by row.
        pair, _ = tf.unique(ids.value_rowids() * self._ids + ids.flat_values)
        once = _by_row(tf.cast(pair % self._ids, tf.int32), pair // self._ids, num_rows)
        return {"ngrams": once.to_tensor(shape=(None, self._length))}

    def _counted(self, units: Units, kind: str, longest: int) -> tf.Tensor:
        """The id of the n-gram of each size that begins at each unit: (N, longest) int64."""
        values = units.values
        if kind == "words":
            values = self._words.lookup(values)
        values = tf.cast(values, tf.int64)
        node = self._nodes[kind].lookup(values)  # the root is 0; an unknown word is -1
        nodes = [node]
        for size in range(1, longest):
            follows, inside = _shifted(values, units.end, size)
            known = inside & (node > 0) & (follows >= 0)
            key = tf.where(known, ngram_tree.edge(node, follows), -1)
            node = self._nodes[kind].lookup(key)
            nodes.append(node)
        ids = tf.stack(nodes, axis=1)
        return tf.where(ids > 0, ids + self._first[kind], 0)

    def _hashed(self, units: Units, kind: str, longest: int) -> tf.Tensor:
        """The same with hashes as ids, from 1 to the number of buckets."""
        values = units.values
        if kind == "words":
            values = tf.strings.to_hash_bucket_fast(values, _PRIME - 1)
        values = tf.cast(values, tf.int64) + 1
        salt = tf.constant(1 + list(_CUT).index(kind), tf.int64)
        state = (salt * _BASE + values) % _PRIME
        states, inside = [state], [tf.ones_like(values, tf.bool)]
        for size in range(1, longest):
            follows, fits = _shifted(values, units.end, size)
            state = (state * _BASE + follows) % _PRIME
            states.append(state)
            inside.append(fits)
        bucket = 1 + tf.stack(states, axis=1) * _SPREAD % _PRIME % self._buckets
        return tf.where(tf.stack(inside, axis=1), bucket, 0)


def num_ids(part: Part) -> int:
    """The number of ids: those of n-grams, and the 0 of padding."""
    if part["hash_ngrams"]:
        return int(part["num_ngrams"]) + 1
    return sum(len(part[f"edges_{kind}"]) for kind in KINDS[str(part["ngrams"])]) + 1


def length(part: Part) -> int:
    """The maximum number of ids of a text."""
    return _LENGTH * len(KINDS[str(part["ngrams"])])


def ngrams_form(ngrams: str, num_ngrams: int, hash_ngrams: bool, field: str = "") -> Form:
    """One text field as `ngrams` (B, length): the ids of its n-grams, each once.

    Args:
        ngrams: words (1 to 3), characters within words (1 to 5), both, or auto.
        num_ngrams: largest number of each kind; the number of ids if they are hashes.
        hash_ngrams: n-grams are not counted: an n-gram's id is its hash.
        field: name of the raw field; empty: the only one.

    Raises:
        DataError: `ngrams` is none of these.
    """
    if ngrams not in (*KINDS, "auto"):
        raise DataError(f"ngrams={ngrams}: expected auto, {', '.join(KINDS)}")

    def fitted(train: Rows) -> Part:
        name = field or next(name for name in train.fields if name != train.target)
        return fit(train, name, ngrams, num_ngrams, hash_ngrams)

    def fields(part: Part) -> dict[str, Field]:
        size = length(part)
        return {"ngrams": Field((size,), "int32", ids=num_ids(part), length=size)}

    return Form(fit=fitted, make_preprocess=lambda part: NGrams(part, field), fields=fields)


def _distinct(units: Units) -> tuple[tf.Tensor, Units]:
    """The distinct words of a batch, and the units as indices into them; or characters alone."""
    if units.values.dtype != tf.string:
        return tf.constant([], tf.string), units
    known, number = tf.unique(units.values)
    return known, units._replace(values=number)


def _by_row(values: tf.Tensor, row: tf.Tensor, num_rows: tf.Tensor) -> tf.RaggedTensor:
    # Assertions, and all that they depend on, would run even in a graph that needs no n-grams.
    return tf.RaggedTensor.from_value_rowids(values, row, num_rows, validate=False)


def _shifted(values: tf.Tensor, end: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The unit `size` places after each one, and whether it is in the same text or word."""
    follows = tf.concat([values[size:], tf.zeros_like(values[:size])], axis=0)
    return follows, tf.range(tf.size(values, tf.int64)) + size < end


def _table(keys: np.ndarray, values: np.ndarray, default: int, dtype) -> tf.lookup.StaticHashTable:
    if not len(keys):  # TensorFlow refuses an empty table; this key is never looked up
        keys, values = [b"" if dtype == tf.string else -2], [default]
    initializer = tf.lookup.KeyValueTensorInitializer(
        tf.constant(keys, dtype), tf.constant(values, tf.int64)
    )
    return tf.lookup.StaticHashTable(initializer, default_value=default)


def _packed(words: Iterable[bytes]) -> np.ndarray:
    """Words as bytes (N,): an array of strings would give each the size of the longest."""
    return np.frombuffer(b"".join(word + b"\n" for word in words), np.uint8)


def _unpacked(packed: np.ndarray) -> list[bytes]:
    return packed.tobytes().split(b"\n")[:-1]
