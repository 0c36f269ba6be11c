"""Splitting one set of rows into train, validation and test by content.

An example's split is a function of its bytes and the seed alone: adding files does not move the
others, and copies of an example are always in the same split.
"""

import hashlib
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping

import numpy as np

from pipelines.core.keys import bits_numpy
from pipelines.core.pipeline import DataError, Rows

_HASHED = 4096  # examples at a time: less memory than a list of all hashes
_MANY = 10_000  # different examples
_TRIED = 100  # seeds, for one that leaves no split empty
_PARTS = (("train", 2), ("validation", 1), ("test", 0))  # test has the lowest hashes
_CUT = -3  # draw of `bits`; the plan uses -1, -2 and those from -4 down


def digests(examples: Iterable[bytes]) -> np.ndarray:
    """64 bits of the SHA-256 of each example: (N,) int64."""
    examples, parts = iter(examples), [np.zeros(0, np.int64)]
    while some := [hashlib.sha256(one).digest() for one in itertools.islice(examples, _HASHED)]:
        parts.append(np.frombuffer(b"".join(some), "<i8")[::4].astype(np.int64))
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
    """The rows of each split that has no files of its own; each class gets about its fraction.

    Args:
        digest: (num_rows,) int64, from `digests`.
        seed: of the hash; another seed gives another split.
        validation: fraction of the rows, as is `test`; the rest is for training.
        separate: validation or test, where it has files of its own; its fraction stays in training.

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
        different, copies = np.unique(digest, return_counts=True)
        wanted = {"train": 1 - validation - test, "validation": validation, "test": test}
        better = _better_seed(lambda seed: cut(seed, different), wanted, copies)
        raise DataError(_why_empty(empty, len(digest), len(different), better))
    return {name: take(rows, index) for name, index in parts.items()}


def _better_seed(
    cut: Callable[[int], dict[str, np.ndarray]], wanted: Mapping[str, float], copies: np.ndarray
) -> int | None:
    """The first seed whose parts have half of their fractions at least, or else are not empty.

    Args:
        cut: seed -> the different examples of each part.
        copies: how often each different example occurs.
    """
    if len(copies) > _MANY:  # chance leaves no part of them empty: the fractions are too small
        return None
    fractions = {}
    for seed in range(_TRIED):
        parts = {name: copies[index].sum() / copies.sum() for name, index in cut(seed).items()}
        fractions[seed] = min(fraction / wanted[name] for name, fraction in parts.items())
    best = max(fractions, key=fractions.get)
    first = next((seed for seed, fraction in fractions.items() if fraction >= 0.5), best)
    return first if fractions[first] else None


def _why_empty(name: str, number: int, different: int, better: int | None) -> str:
    """What to say of a split without examples."""
    rows = f"{number} examples"
    if different < number:  # the copies of an example are all in the same split
        of = f"{different} different ones" if different > 1 else "one"
        rows = f"{number} examples, which are copies of {of},"
    if better is None:
        return f"{rows} are too few for a {name} split: give it files of its own"
    return (
        f"none of {rows} fell into the {name} split by chance: choose another cut, "
        f"--pipeline_options=split_seed={better}"
    )


def by_percent(
    dataset: str, available: Collection[str], validation: int, test_split: str = ""
) -> dict[str, str]:
    """TFDS's names of our splits; validation is the last part of its training split.

    Args:
        available: its splits; empty before it is prepared.
        validation: percent of the training split.
        test_split: that is tested on; empty: `test`, or else `validation`.

    Raises:
        DataError: it has no such split.
    """
    usual = (test_split,) if test_split else ("test", "validation")
    test = next((split for split in usual if split in available), None)
    if available and test is None:
        raise DataError(f"{dataset} has no {usual[0]} split; it has {sorted(available)}")
    kept = 100 - validation
    return {"train": f"train[:{kept}%]", "validation": f"train[{kept}%:]", "test": test or usual[0]}


def duplicates(digest: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Number of examples of validation and test that are also in train, where there are any."""
    train = digest["train"]
    counts = {name: int(np.isin(d, train).sum()) for name, d in digest.items() if name != "train"}
    return {name: number for name, number in counts.items() if number}


def take(rows: Rows, index: np.ndarray) -> Rows:
    """The rows at `index` (n,), in memory."""
    table = {name: column[index] for name, column in rows.table.items()}
    return rows._replace(num_rows=len(index), table=table)
