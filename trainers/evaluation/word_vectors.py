"""Evaluates word vectors: nearest neighbours, similarities rated by people, analogies.

The last two are read from gensim's test data if it is installed: WordSim-353 (Finkelstein et al.
2002) and the analogies of Mikolov et al. 2013.
"""

import importlib.util
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats

_TOGETHER = 512  # analogies that are answered at once


class Answered(NamedTuple):
    """The result of a list of questions, and how many of them have only known words."""

    name: str
    value: float  # Spearman's correlation, or the fraction that is right
    known: int
    total: int


def nearest(vectors: np.ndarray, index: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """The other words with the largest cosine to each of some words.

    Args:
        vectors: (words, width).
        index: (n,) positions of these words in `vectors`.

    Returns:
        Positions and cosines, the nearest first: (n, number) each; fewer if there are few words.
    """
    unit = _unit(vectors)
    cosine = unit[index] @ unit.T
    cosine[np.arange(len(index)), index] = -np.inf
    number = min(number, len(vectors) - 1)
    order = np.argsort(-cosine, axis=1, kind="stable")[:, :number]
    return order, np.take_along_axis(cosine, order, axis=1)


def similarity(words: Sequence[str], vectors: np.ndarray) -> Answered | None:
    """Spearman's correlation of cosines with WordSim-353; None: gensim is not installed."""
    path = _test_data("wordsim353.tsv")
    if path is None:
        return None
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = [line.lower().split("\t") for line in lines if not line.startswith("#")]
    index, unit = {word: i for i, word in enumerate(words)}, _unit(vectors)
    known = [(index[a], index[b], float(c)) for a, b, c in pairs if a in index and b in index]
    if len(known) < 3:  # the correlation of two is always 1 or -1
        return Answered("WordSim-353", float("nan"), len(known), len(pairs))
    a, b, people = (np.array(column) for column in zip(*known, strict=True))
    correlation = scipy.stats.spearmanr(np.sum(unit[a] * unit[b], axis=1), people)
    return Answered("WordSim-353", float(correlation.statistic), len(known), len(pairs))


def analogies(words: Sequence[str], vectors: np.ndarray) -> list[Answered]:
    """The fraction of right "a is to b as c is to d" by section; empty: gensim is not installed.

    The answer is the word other than a, b and c with the largest cosine to b - a + c.
    """
    path = _test_data("questions-words.txt")
    if path is None:
        return []
    index, unit = {word: i for i, word in enumerate(words)}, _unit(vectors)
    results = []
    for name, questions in _sections(path):
        known = [[index[w] for w in q] for q in questions if all(w in index for w in q)]
        right = sum(
            int(_right(unit, np.array(known[i : i + _TOGETHER])).sum())
            for i in range(0, len(known), _TOGETHER)
        )
        value = right / len(known) if known else float("nan")
        results.append(Answered(name, value, len(known), len(questions)))
    return results


def _right(unit: np.ndarray, questions: np.ndarray) -> np.ndarray:
    """Which of the analogies (n, 4) are right: (n,) bool."""
    a, b, c, d = questions.T
    score = _unit(unit[b] - unit[a] + unit[c]) @ unit.T
    for given in (a, b, c):
        score[np.arange(len(questions)), given] = -np.inf
    return score.argmax(axis=1) == d


def _sections(path: pathlib.Path) -> Iterator[tuple[str, list[list[str]]]]:
    for part in f"\n{path.read_text(encoding='utf-8')}".split("\n: ")[1:]:
        name, *lines = part.splitlines()
        yield name, [line.lower().split() for line in lines]


def _test_data(name: str) -> pathlib.Path | None:
    """A file of gensim's test data; gensim itself is not imported."""
    spec = importlib.util.find_spec("gensim")
    for folder in spec.submodule_search_locations if spec else ():
        path = pathlib.Path(folder, "test", "test_data", name)
        if path.is_file():
            return path
    return None


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1; zeros stay zeros."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(length, np.finfo(np.float32).tiny)
