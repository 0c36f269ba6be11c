"""Initial vectors of whole words in a text model's token embedding, from a word-vector file."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

from pipelines.core.pipeline import Part
from pipelines.core.prepared import Prepared
from pipelines.steps.pieces import SPECIAL
from trainers.errors import ArtefactError, UsageError
from trainers.store import word_vectors
from trainers.training.start.match import Matched

_EMBEDDING = "token_embedding/embeddings"
# Prefixes: of pieces that begin a word; of word pieces that do not.
_BEGINS, _INSIDE = "\u2581", "##"


def matched(source: str, paths: set[str], unset: Mapping[str, Any], prepared: Prepared) -> Matched:
    """The token embedding, with the file's vectors in the rows of pieces that are whole words.

    Args:
        source: path of the file.
        paths: of all weights of the model.
        unset: variables that no earlier source has set, by path.

    Raises:
        UsageError: the model has no such embedding, or its tokens are not words.
        ArtefactError: the file has vectors of another width, none of the words, or is damaged.
    """
    words = _whole_words(prepared.state.get(f"inputs/{prepared.form}", {}))
    if _EMBEDDING not in paths or not words:
        raise UsageError(f"--init_from={source}: the model has no embedding of pieces of words")
    if _EMBEDDING not in unset:
        return Matched({}, [f"{_EMBEDDING} is set already"])
    table = unset[_EMBEDDING].numpy()
    path = pathlib.Path(os.path.expanduser(source))
    try:
        vectors = word_vectors.read(path, words, table.shape[1])
    except OSError as error:
        raise ArtefactError(f"--init_from={source}: {error.strerror or error}") from error
    if not vectors:
        raise ArtefactError(f"--init_from={source} has none of the {len(words)} whole words")
    for row, vector in vectors.items():
        table[row] = vector
    line = (
        f"vectors of {len(vectors)} of {len(words)} whole words, among {len(table)} pieces of "
        f"{_EMBEDDING}"
    )
    return Matched({_EMBEDDING: table}, [line])


def _whole_words(part: Part) -> dict[str, int]:
    """The row of each piece that begins a word, by that word; pieces of bytes are left out."""
    pieces = [str(piece) for piece in part.get("vocabulary", ())]
    learnt = dict(zip(pieces[len(SPECIAL) :], range(len(SPECIAL), len(pieces)), strict=True))
    if str(part.get("tokenizer", "pieces")) == "word_pieces":
        return {piece: row for piece, row in learnt.items() if not piece.startswith(_INSIDE)}
    return {piece[1:]: row for piece, row in learnt.items() if piece[:1] == _BEGINS and piece[1:]}
