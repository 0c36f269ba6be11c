"""Running text in windows of equal length: no computation is wasted on padding."""

import hashlib
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import tensorflow as tf

from pipelines.core import specs
from pipelines.core.pipeline import Rows, Table
from pipelines.core.rows import CHUNK, chunks, threaded
from pipelines.storage import arranged
from pipelines.storage.progress import progress

_VERSION = 1  # of the windows on disk


class RaggedTokens(Protocol):
    """A `preprocess` of texts that can also return all tokens, without a maximum length."""

    fingerprint: str  # hash of everything that its tokens depend on
    max_length: int  # number of tokens that it returns of a text

    def all_tokens(self, raw: dict[str, tf.Tensor]) -> tf.RaggedTensor:
        """All tokens of each text, which begin as those of `preprocess`: (B, tokens) int32."""


def in_windows(rows: Rows, preprocess: RaggedTokens, name: str = "tokens") -> Rows:
    """A pipeline's `arrange`: the tokens of all texts, one after another, `max_length` per row.

    A text begins where the one before it ends; the last window is padded. Rows in memory stay
    there; the windows of rows on disk are written to a file beside them, a thousand texts at a
    time.

    Args:
        name: of the input.
    """
    bare, lengths = rows._replace(target=None), {name: preprocess.max_length}
    windows = ({name: part} for part in _windows(rows, preprocess))
    if rows.read is None:
        return arranged.in_memory(windows, bare, lengths)
    described = _VERSION, rows.identity, preprocess.fingerprint, preprocess.max_length
    key = hashlib.sha256(repr(described).encode()).hexdigest()[:16]
    return arranged.on_disk(windows, bare, lengths, key, as_many=False)


def _windows(rows: Rows, preprocess: RaggedTokens) -> Iterator[np.ndarray]:
    """Windows (N, max_length) of the tokens of all rows, in order."""
    length = preprocess.max_length
    fields = {name: rows.fields[name] for name in rows.fields if name != rows.target}
    tokens = specs.preprocess_function(preprocess.all_tokens, tuple(fields.items()))

    def flat(chunk: Table) -> np.ndarray:
        raw = {name: tf.constant(chunk[name], field.dtype) for name, field in fields.items()}
        return tokens(raw).flat_values.numpy()

    pending = np.empty(0, np.int32)
    read = progress(chunks(rows), -(-rows.num_rows // CHUNK), "cutting texts into windows")
    for new in threaded(flat, read):
        pending = np.concatenate([pending, new])
        end = len(pending) - len(pending) % length
        if end:
            yield pending[:end].reshape(-1, length)
        pending = pending[end:]
    if len(pending):
        yield np.pad(pending, (0, length - len(pending)))[None]
