"""Splitting one set of rows into train, validation and test by content.

An example's split depends only on its bytes and the seed: adding files does not move other
examples, and copies of an example are always in the same split.
"""

import hashlib
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping

import numpy as np

from pipelines.core.keys import bits_numpy
from pipelines.core.pipeline import DataError, Rows

_HASHED = 4096  # examples at a time: less memory than a list of all hashes
_MANY = 10_000  # distinct examples: with more, chance leaves no split empty
_TRIED = 100  # seeds that are tried, for one that leaves no split empty
_PARTS = (("train", 2), ("validation", 1), ("test", 0))  # test has the lowest hashes
_CUT = -3  # draw of `bits`; the plan uses -1, -2 and those from -4 down


def digests(examples: Iterable[bytes]) -> np.ndarray:
    """64 bits of the SHA-256 of each example: (N,) int64."""
    examples, parts = iter(examples), [np.zeros(0, np.int64)]
    while hashes := [hashlib.sha256(e).digest() for e in itertools.islice(examples, _HASHED)]:
        parts.append(np.frombuffer(b"".join(hashes), "<i8")[::4].astype(np.int64))
    return np.concatenate(parts)


def by_content(
    rows: Rows,
    digest: np.ndarray,
    *,
    seed: int,
    validation: float,
    test: float,
    separate: Collection[str] = (),
) -> dict[str, Rows]:
    """The rows of each split without files of its own, with about its fraction of each class.

    Args:
        digest: (num_rows,) int64, from `digests`.
        seed: of the hash; another seed gives another split.
        validation: fraction of the rows, as is `test`; the rest is for training.
        separate: validation or test, if it has files of its own; its fraction stays in training.

    Raises:
        DataError: the fractions leave nothing for training, or a split gets no example.
    """
    if not (validation > 0 and test > 0 and validation + test < 1):
        raise DataError(
            "validation and test are fractions above 0 that leave some for training, received "
            f"{validation} and {test}"
        )

    numbers = dict(_PARTS)

    def cut(seed: int, digest: np.ndarray) -> dict[str, np.ndarray]:
        position = bits_numpy(seed, 0, _CUT, digest).astype(np.float64) * 2.0**-64  # in [0, 1)
        part = np.digitize(position, [test, test + validation])
        part[np.isin(part, [numbers[name] for name in separate])] = numbers["train"]
        return {name: np.flatnonzero(part == i) for name, i in _PARTS if name not in separate}

    parts = cut(seed, digest)
    empty = next((name for name, index in parts.items() if not len(index)), "")
    if empty:
        distinct, copies = np.unique(digest, return_counts=True)
        wanted = {"train": 1 - validation - test, "validation": validation, "test": test}
        better = _better_seed(lambda seed: cut(seed, distinct), wanted, copies)
        raise DataError(_why_empty(empty, len(digest), len(distinct), better))
    return {name: select(rows, index) for name, index in parts.items()}


def _better_seed(
    cut: Callable[[int], dict[str, np.ndarray]], wanted: Mapping[str, float], copies: np.ndarray
) -> int | None:
    """The first seed that gives each part at least half its fraction, or the best with none empty.

    Args:
        cut: seed -> the distinct examples of each part.
        copies: how often each distinct example occurs.
    """
    if len(copies) > _MANY:  # no part is then empty by chance: the fractions are too small
        return None
    fractions = {}
    for seed in range(_TRIED):
        parts = {name: copies[index].sum() / copies.sum() for name, index in cut(seed).items()}
        fractions[seed] = min(fraction / wanted[name] for name, fraction in parts.items())
    best = max(fractions, key=fractions.get)
    first = next((seed for seed, fraction in fractions.items() if fraction >= 0.5), best)
    return first if fractions[first] else None


def _why_empty(name: str, number: int, different: int, better: int | None) -> str:
    """The error message for a split without examples."""
    rows = f"{number} examples"
    if different < number:  # the copies of an example are all in the same split
        originals = f"{different} different ones" if different > 1 else "one"
        rows = f"{number} examples, which are copies of {originals},"
    if better is None:
        return f"{rows} are too few for a {name} split: give it files of its own"
    return (
        f"none of {rows} fell into the {name} split by chance: choose another cut, "
        f"--pipeline_options=split_seed={better}"
    )


def by_percent(
    dataset: str, available: Collection[str], validation: int, test_split: str = ""
) -> dict[str, str]:
    """TFDS split names for our splits; validation is the last part of TFDS's training split.

    Args:
        available: the data set's splits; empty before it is prepared.
        validation: percent of the training split.
        test_split: the split to test on; empty: `test`, or else `validation`.

    Raises:
        DataError: the data set has no such split.
    """
    choices = (test_split,) if test_split else ("test", "validation")
    test = next((split for split in choices if split in available), None)
    if available and test is None:
        raise DataError(f"{dataset} has no {choices[0]} split; it has {sorted(available)}")
    end, test = 100 - validation, test or choices[0]
    return {"train": f"train[:{end}%]", "validation": f"train[{end}%:]", "test": test}


def duplicates(digest: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Number of examples of validation and test that are also in train, where there are any."""
    train = digest["train"]
    counts = {name: int(np.isin(d, train).sum()) for name, d in digest.items() if name != "train"}
    return {name: number for name, number in counts.items() if number}


def select(rows: Rows, index: np.ndarray) -> Rows:
    """The rows at `index` (n,), in memory."""
    table = {name: column[index] for name, column in rows.table.items()}
    return rows._replace(num_rows=len(index), table=table)
