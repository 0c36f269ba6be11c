"""Which columns of texts are free text, whose words say more than the whole cell does."""

import itertools
import re
from collections import Counter
from collections.abc import Mapping

# Different cells above which a column is no category: as a fraction (Ludwig's), and as a number:
# the form `columns` knows no more values of a category.
_DIFFERENT, _MANY = 0.5, 1000
_WORDS = 3.0  # of a text, in the mean (AutoGluon's, and that of misplaced.py)
_AGAIN = 0.1  # fraction of words that another cell has too; codes of several parts have none
_FEWEST = 20  # different cells
_SAMPLE = 5000  # cells that are looked at
# Characters of scripts without spaces: two of them make a word, about.
_CHARACTER = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")


def is_free(cells: Mapping[str, int]) -> bool:
    """Whether cells (text -> how often it occurs) are texts of words that occur again.

    An address of the web, a hash or a code is one word; a category occurs again as a whole.
    """
    if len(cells) < _FEWEST or len(cells) <= min(_MANY, _DIFFERENT * sum(cells.values())):
        return False
    some = [_words(cell) for cell in itertools.islice(cells, _SAMPLE)]
    if mean_words(cells) < _WORDS:
        return False
    times = Counter(itertools.chain.from_iterable(map(set, some)))
    again = sum(number for number in times.values() if number > 1)
    return again > _AGAIN * sum(times.values())


def mean_words(cells: Mapping[str, int]) -> float:
    """Words of a text in the mean, of some of the texts."""
    some = [_words(cell) for cell in itertools.islice(cells, _SAMPLE)]
    halves = sum(1 if _CHARACTER.fullmatch(word) else 2 for words in some for word in words)
    return halves / 2 / max(1, len(some))


def _words(cell: str) -> list[str]:
    """Parts between white space that have a letter, and characters of scripts without spaces."""
    parts = _CHARACTER.sub(" ", cell).lower().split()
    return _CHARACTER.findall(cell) + [part for part in parts if _LETTER.search(part)]
