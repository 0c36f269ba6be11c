"""Sections of the page about word vectors: nearest neighbours, similarities, analogies."""

import math
from collections.abc import Sequence

import numpy as np

from trainers.evaluation import word_vectors as evaluation
from trainers.evaluation.word_vectors import Answered
from trainers.reports import html
from trainers.reports.html import Html, count, number

_ASKED, _NEAREST = 20, 8
_MOST_FREQUENT = 100  # words that are left out: most of them occur beside every other word


def sections(known: Sequence[str], vectors: np.ndarray) -> list[Html]:
    """Neighbours of some frequent words, and the results on lists of questions.

    Args:
        known: words, most frequent first.
        vectors: (words, width).
    """
    drawn = [_neighbours(known, vectors)]
    similarity = evaluation.similarity(known, vectors)
    if similarity is not None:
        drawn.append(_tested([similarity, *evaluation.analogies(known, vectors)]))
    return drawn


def _neighbours(known: Sequence[str], vectors: np.ndarray) -> Html:
    index = _frequent(known)
    order, cosine = evaluation.nearest(vectors, index, _NEAREST)
    lines = [
        (known[i], ", ".join(f"{known[j]} {value:.2f}" for j, value in zip(*row, strict=True)))
        for i, *row in zip(index, order, cosine, strict=True)
    ]
    remark = (
        f"The words whose vectors have the highest cosine similarity to those of {len(lines)} "
        "frequent words; TensorBoard's projector shows all of the most frequent ones."
    )
    return html.section("Neighbours", html.note(remark), html.table(("word", "nearest"), lines))


def _frequent(known: Sequence[str]) -> np.ndarray:
    """Positions of some words of letters, with ranks that grow geometrically."""
    letters = np.array([i for i, word in enumerate(known) if word.isalpha()] or range(len(known)))
    first = min(_MOST_FREQUENT, len(letters) // 4)
    last = min(len(letters) - 1, 50 * _MOST_FREQUENT)
    ranks = np.geomspace(first + 1, last + 1, _ASKED).astype(np.int64) - 1
    return letters[np.unique(ranks)]


def _tested(tested: Sequence[Answered]) -> Html:
    similarity, *analogies = tested
    lines = [
        (one.name, "unknown" if math.isnan(one.value) else number(one.value), _of(one))
        for one in tested
    ]
    right = sum(one.value * one.known for one in analogies if one.known)
    total = sum(one.known for one in analogies)
    if total:
        lines.append(("all analogies", number(right / total), count(total)))
    remark = (
        f"{similarity.name}: Spearman correlation of cosine similarities with human ratings; then "
        "the fraction of analogies that are right. Only questions whose words are all known count."
    )
    header = ("questions", "result", "known")
    return html.section("Questions", html.note(remark), html.table(header, lines, kind="numbers"))


def _of(one: Answered) -> str:
    return f"{count(one.known)} of {count(one.total)}"
