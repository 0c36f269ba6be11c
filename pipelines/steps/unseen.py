"""Values of a table that did not occur in training: other spellings of known ones, or unknown.

A text that differs from exactly one training value in case, spaces, a final ".0", or leading zeros
where the column allows it, is taken as that value. Other texts are unknown; a number or date that
cannot be read is unreadable. Training rows do not change: each of their values matches only itself,
or several values, and is then left unchanged.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from pipelines.core.pipeline import Part, Unseen
from pipelines.files.shown import shown
from pipelines.steps import cells
from pipelines.steps.characters import in_lower_case
from pipelines.steps.dates import FORMS

_SHOWN, _LONGEST = 10, 40  # values of a column in a message, and characters of one
_DESCRIBED = 1000  # columns whose values are described beside an export
_BUCKETS = 2**63 - 1  # of hashes: a new value collides with one of a million others 1 time in 10^13
_WORDS, _WHOLES, _CODES = range(3)  # what is in a column: see `_holds`
_WHOLE = re.compile(rb"[+-]?[0-9]+(\.0*)?")
_PADDED = re.compile(rb"[+-]?0[0-9]+(\.0*)?")


def recorded(texts: Sequence[np.ndarray], known: Sequence[Sequence[bytes]]) -> Part:
    """The part of the state that says which values training had besides the known categories.

    Args:
        texts: the training cells (N,) of each column, stripped; b"": missing.
        known: the known categories of each column.
    """
    holds, seen, plain, category = [], [], [], []
    first = 0  # index of the column's first category among those of all columns
    for i, (column, categories) in enumerate(zip(texts, known, strict=True)):
        values = sorted({*column.tolist()} - {b""})
        holds.append(_holds(values))
        forms, keys, plain_keys = _in_numpy(i, values, holds[-1])
        times = Counter(forms)
        number = {value: first + k for k, value in enumerate(categories)}
        for value, form, key in zip(values, forms, plain_keys, strict=True):
            if times[form] == 1 and "\ufffd".encode() not in form:
                plain.append(key)
                category.append(number.get(value, -1))
        seen += keys
        first += len(categories)
    order = np.argsort(np.array(plain, np.int64), kind="stable")
    return {
        "holds": np.array(holds, np.int64),
        "seen": np.sort(np.array(seen, np.int64)),  # hashes of column and value
        "plain": np.array(plain, np.int64)[order],  # of column and form, if only one value has it
        "plain_category": np.array(category, np.int64)[order],  # -1: not a known category
    }


def as_in_training(part: Part, texts: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """The texts (B,) of each column, each spelled as the one known category that it matches."""
    if "plain" not in part or not texts:  # of an earlier format
        return list(texts)
    return tf.unstack(_looked_up(part, tf.stack(list(texts)))[0])


def unseen(part: Part) -> Unseen:
    """Which values of raw columns are unknown to training, and which cannot be read."""
    part = cells.current(part)
    known = _by_column(part)
    # Calendar parts come from dates, whose own cells are checked.
    names = {i: str(name) for i, name in enumerate(part["texts"]) if " " not in str(name)}

    def find(raw: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        read = cells.read(part, raw)
        seen = _seen(part, read.texts, known)
        unknown = {name: ~seen[i] for i, name in names.items()}
        all_false = tf.zeros(tf.shape(next(iter(raw.values())))[:1], tf.bool)
        return tuple(
            tf.stack([masks.get(name, all_false) for name in raw], axis=1)
            for masks in (unknown, read.unreadable)
        )

    return Unseen(find, _expected(part, known))


def _seen(
    part: Part, texts: Sequence[tf.Tensor], known: Sequence[Sequence[bytes]]
) -> list[tf.Tensor]:
    """Which texts (B,) of each column are training values, or missing."""
    if not texts:
        return []
    if "plain" in part:
        return tf.unstack(_looked_up(part, tf.stack(list(texts)))[1])
    return [  # of an earlier format, which recorded only whether there are other values
        tf.ones_like(text, tf.bool)
        if part["other"][i]
        else (text == b"") | tf.reduce_any(text[:, None] == _texts(known[i]), axis=1)
        for i, text in enumerate(texts)
    ]


def _looked_up(part: Part, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Texts (columns, B), respelled where the match is certain, and which of them training had.

    All columns at once: a table may have a thousand.
    """
    columns = np.arange(len(part["holds"]))
    seen, _ = _position(part["seen"], _keys(texts, columns))
    matched, position = _position(part["plain"], _keys(_plain(texts, part["holds"]), columns))
    if len(part["categories"]):
        category = tf.gather(np.append(part["plain_category"], -1), position)
        named = tf.gather(_texts(part["categories"].tolist()), tf.maximum(category, 0))
        respelled = tf.where(matched & (category >= 0), named, texts)
    else:
        respelled = texts
    return respelled, (texts == b"") | seen | matched


def _position(among: np.ndarray, wanted: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Whether sorted hashes (N,) contain the wanted ones (columns, B), and at which index."""
    if not len(among):
        return tf.zeros_like(wanted, tf.bool), tf.zeros_like(wanted)
    index = tf.searchsorted(among, tf.reshape(wanted, [-1]), out_type=tf.int64)
    position = tf.reshape(tf.minimum(index, len(among) - 1), tf.shape(wanted))
    return tf.gather(among, position) == wanted, position


def _keys(texts: tf.Tensor, columns: np.ndarray) -> tf.Tensor:
    """Hashes (columns, B) of texts; the same text has another hash in another column."""
    prefix = tf.constant([f"{i}:" for i in columns])[:, None]
    return tf.strings.to_hash_bucket_fast(prefix + texts, _BUCKETS)


def _plain(texts: tf.Tensor, holds: np.ndarray) -> tf.Tensor:
    """Texts (columns, B) in lower case, with single spaces, 1.0 as 1, and without leading zeros."""
    texts = tf.strings.strip(tf.strings.regex_replace(in_lower_case(texts), r"[\s\pZ]+", " "))
    for least, pattern, instead in (
        (_WHOLES, r"^([+-]?[0-9]+)\.0*$", r"\1"),
        (_CODES, r"^([+-]?)0+([0-9]+)$", r"\1\2"),
    ):
        chosen = np.flatnonzero(np.asarray(holds) >= least)
        if len(chosen):
            changed = tf.strings.regex_replace(tf.gather(texts, chosen), pattern, instead)
            order = np.concatenate([chosen, np.setdiff1d(np.arange(len(holds)), chosen)])
            both = tf.concat([changed, tf.gather(texts, order[len(chosen) :])], axis=0)
            texts = tf.gather(both, np.argsort(order))
    return texts


def _holds(values: Sequence[bytes]) -> int:
    """The kind of a column: words, words and whole numbers, or codes, which may lose leading zeros.

    Codes are whole numbers without leading zeros (1, 12), or all of one length (02134).
    """
    wholes = [value for value in values if _WHOLE.fullmatch(value)]
    padded = any(_PADDED.fullmatch(value) for value in wholes)
    if len(wholes) < len(values) or (padded and len({len(value) for value in values}) > 1):
        return _WHOLES if wholes else _WORDS
    return _CODES


def _expected(part: Part, known: Sequence[Sequence[bytes]]) -> dict[str, str]:
    """Column -> the values that training had, for a message."""
    expected = {}
    for name, form in zip(part["numbers"], part["written"], strict=True):
        if form:
            decimal, _, unit = str(form).partition(" ")
            number = {"point": "1,234.5", "comma": "1.234,5"}[decimal]
            expected[str(name)] = f"a number such as {number} {unit}".rstrip()
    for name, form in zip(part["dates"], part["date_forms"], strict=True):
        kind = "a time of day" if str(form) == "clock" else "a date"
        expected[str(name)] = f"{kind} such as {FORMS[str(form)][2]}"
    for i, (name, values) in enumerate(zip(part["texts"], known, strict=True)):
        if " " not in str(name) and values:
            texts = [shown(repr(v.decode(errors="replace")), _LONGEST) for v in values[:_SHOWN]]
            has_others = part["other"][i] or len(values) > _SHOWN
            expected[str(name)] = f"{', '.join(texts)}{' and others' if has_others else ''}"
    return dict(list(expected.items())[:_DESCRIBED])


def _by_column(part: Part) -> list[list[bytes]]:
    values, owner = np.asarray(part["categories"]), np.asarray(part["category_of"])
    return [values[owner == i].tolist() for i in range(len(part["texts"]))]


def _texts(values: Sequence[bytes]) -> tf.Tensor:
    return tf.constant(values, tf.string, (len(values),))


def _in_numpy(
    column: int, values: Sequence[bytes], holds: int
) -> tuple[list[bytes], list[int], list[int]]:
    """The plain forms of values, and the hashes of both, in NumPy."""
    with tf.device("CPU:0"):
        texts = _texts(values)[None]
        plain = _plain(texts, np.array([holds]))
        keys = (_keys(one, np.array([column]))[0].numpy().tolist() for one in (texts, plain))
        return (plain[0].numpy().tolist(), *keys)
