"""Which split an example belongs to, by its content: one file or folder cut in three.

An example's split is a function of its bytes and the seed alone. Adding files moves no old example,
and two copies of one example are never on two sides of a cut.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from pipelines import DataError, Rows
from pipelines.core.keys import bits_numpy

_PARTS = (("train", 2), ("validation", 1), ("test", 0))  # from the low end: test
_CUT = -3  # number of the draw; -1 and -2 are the plan's


def digests(examples: Iterable[bytes]) -> np.ndarray:
    """64 bits of the SHA-256 of each example: (N,) int64."""
    hashes = (hashlib.sha256(example).digest()[:8] for example in examples)
    return np.array([int.from_bytes(h, "little", signed=True) for h in hashes], np.int64)


def by_content(
    rows: Rows,
    digest: np.ndarray,
    *,
    seed: int,
    validation: float,
    test: float,
    given: Collection[str] = (),
) -> dict[str, Rows]:
    """The rows of train, validation and test; every class gets its share but for a draw's luck.

    Args:
        digest: (num_rows,) int64, from `digests`.
        seed: which of the many such splits.
        validation: share of the rows, as is `test`; the rest is for training.
        given: of validation and test, what has files of its own; its share stays in training.

    Raises:
        DataError: the shares are no shares, or a split gets no example.
    """
    if not (validation > 0 and test > 0 and validation + test < 1):
        raise DataError(
            "validation and test are shares above 0 that leave some for training, received "
            f"{validation} and {test}"
        )
    place = bits_numpy(seed, 0, _CUT, digest).astype(np.float64) * 2.0**-64  # in [0, 1)
    part = np.digitize(place, [test, test + validation])
    numbers = dict(_PARTS)
    part[np.isin(part, [numbers[name] for name in given])] = numbers["train"]
    parts = {name: np.flatnonzero(part == i) for name, i in _PARTS if name not in given}
    for name, index in parts.items():
        if not len(index):
            raise DataError(
                f"{rows.num_rows} examples are too few for a {name} split: give it files of its own"
            )
    return {name: take(rows, index) for name, index in parts.items()}


def duplicates(digest: Mapping[str, np.ndarray]) -> dict[str, int]:
    """How many examples of each other split are in the training split too, where there are any."""
    train = digest["train"]
    found = {name: int(np.isin(d, train).sum()) for name, d in digest.items() if name != "train"}
    return {name: number for name, number in found.items() if number}


def take(rows: Rows, index: np.ndarray) -> Rows:
    """Some of the rows."""
    table = {name: column[index] for name, column in rows.table.items()}
    return rows._replace(num_rows=len(index), table=table)
