"""Detects columns of free text, in which words are better features than whole cells."""

import itertools
import re
from collections import Counter
from collections.abc import Mapping

# With more distinct cells a column is not a category: as a fraction (Ludwig's threshold), and as a
# number, the most values of a category that the form `columns` keeps.
_DIFFERENT, _MANY = 0.5, 1000
_WORDS = 3.0  # least mean words per text (AutoGluon's threshold, and that of misplaced.py)
_AGAIN = 0.1  # least fraction of words that recur in another cell; parts of codes do not recur
_MIN_DISTINCT = 20  # distinct cells
_SAMPLE = 5000  # cells that are looked at
# Characters of scripts without spaces: about two of them make a word.
_CHARACTER = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")


def is_free(cells: Mapping[str, int]) -> bool:
    """Whether cells (text -> number of occurrences) are texts whose words recur in other cells.

    A URL, a hash or a code is a single word; a category recurs as a whole.
    """
    if len(cells) < _MIN_DISTINCT or len(cells) <= min(_MANY, _DIFFERENT * sum(cells.values())):
        return False
    some = [_words(cell) for cell in itertools.islice(cells, _SAMPLE)]
    if mean_words(cells) < _WORDS:
        return False
    occurrences = Counter(itertools.chain.from_iterable(map(set, some)))
    again = sum(number for number in occurrences.values() if number > 1)
    return again > _AGAIN * sum(occurrences.values())


def mean_words(cells: Mapping[str, int]) -> float:
    """Mean number of words per text, over a sample of the texts."""
    some = [_words(cell) for cell in itertools.islice(cells, _SAMPLE)]
    halves = sum(1 if _CHARACTER.fullmatch(word) else 2 for words in some for word in words)
    return halves / 2 / max(1, len(some))


def _words(cell: str) -> list[str]:
    """Parts between white space that have a letter, and characters of scripts without spaces."""
    parts = _CHARACTER.sub(" ", cell).lower().split()
    return _CHARACTER.findall(cell) + [part for part in parts if _LETTER.search(part)]
