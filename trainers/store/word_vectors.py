"""Word vectors as text, and for TensorBoard's projector.

Each line is a word and its numbers, separated by spaces, as word2vec, GloVe and fastText write
them; a first line with the number of words and the width may come before them.
"""

import codecs
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

import numpy as np

from trainers.errors import ArtefactError
from trainers.store.files import replace_whole

NAME = "vectors.txt"  # in a run's folder
_LONGEST = 2**20  # bytes of a line: 1000 numbers take 20 000
_SHOWN = 10_000  # most frequent words in the projector, which runs in a browser
_PROJECTOR = """embeddings {
  tensor_name: "word_vectors"
  tensor_path: "vectors.tsv"
  metadata_path: "words.tsv"
}
"""


def write(folder: pathlib.Path, words: Sequence[str], vectors: np.ndarray) -> None:
    """Writes vectors.txt into a run's folder, and the projector's files among its curves.

    Args:
        words: most frequent first.
        vectors: (words, width).
    """

    def lines(file: BinaryIO) -> None:
        file.write(f"{len(words)} {vectors.shape[1]}\n".encode())
        for word, numbers in zip(words, _written(vectors, " "), strict=True):
            file.write(f"{word} {numbers}\n".encode())

    replace_whole(folder / NAME, lines)
    board = folder / "tensorboard" / "train"  # the projector reads only folders with curves
    board.mkdir(parents=True, exist_ok=True)
    shown = vectors[:_SHOWN]
    replace_whole(board / "vectors.tsv", "\n".join(_written(shown, "\t")).encode())
    replace_whole(board / "words.tsv", "\n".join(words[:_SHOWN]).encode())
    replace_whole(board / "projector_config.pbtxt", _PROJECTOR.encode())


def read(path: pathlib.Path, wanted: Mapping[str, int], width: int) -> dict[int, np.ndarray]:
    """The vectors of wanted words, by the number of each in `wanted`; other words are skipped.

    Words are compared in lower case; of several that are then equal the first counts, since such
    files begin with the most frequent words.

    Args:
        width: numbers of each vector.

    Raises:
        ArtefactError: with file:line, where a line is not a word and `width` finite numbers.
    """
    vectors: dict[int, np.ndarray] = {}
    with open(path, "rb") as file:
        for i, line in enumerate(iter(lambda: file.readline(_LONGEST), b""), start=1):
            if len(line) == _LONGEST:
                raise ArtefactError(f"{path}:{i}: a line of {_LONGEST} bytes or more")
            if i == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if not line.strip():
                continue
            fields = line.rstrip().split(b" ")
            if i == 1:
                if len(fields) == 2 and all(field.isdigit() for field in fields):
                    _check_width(path, 1, int(fields[1]), width)
                    continue
                _check_width(path, 1, len(fields) - 1, width)
            # Some words of GloVe's files have spaces.
            word = b" ".join(fields[:-width]).decode(errors="replace").lower()
            if not fields[:-width]:
                _check_width(path, i, len(fields) - 1, width)
            index = wanted.get(word)
            if index is not None and index not in vectors:
                vectors[index] = _numbers(path, i, fields[-width:])
    return vectors


def _numbers(path: pathlib.Path, line: int, fields: Sequence[bytes]) -> np.ndarray:
    try:
        numbers = np.array([float(field) for field in fields], np.float32)
    except ValueError as error:
        raise ArtefactError(
            f"{path}:{line}: expected a word and {len(fields)} numbers: {error}"
        ) from error
    if not np.isfinite(numbers).all():
        raise ArtefactError(f"{path}:{line}: a number is not finite")
    return numbers


def _check_width(path: pathlib.Path, line: int, received: int, width: int) -> None:
    if received != width:
        raise ArtefactError(
            f"{path}:{line}: a word vector of {received} numbers, expected {width}, the width of "
            "the model's token embedding, in a line with a word before them"
        )


def _written(vectors: np.ndarray, between: str) -> Iterator[str]:
    for row in vectors:  # one at a time: as Python numbers, all would take eight times the memory
        yield between.join(f"{number:.6g}" for number in row.tolist())
