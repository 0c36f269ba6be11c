"""Your own files: which ones are meant, for which split, and their lines as text."""

import glob
import pathlib
import re
from collections.abc import Collection, Iterator

from pipelines import SPLITS, DataError

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),  # before UTF-16's, which is its beginning
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_NO_TEXT = ((b"PK\x03\x04", "an Excel or ZIP file: save it as text"), (b"\x1f\x8b", "compressed"))


def places(data_files: str) -> dict[str, list[str]]:
    """What `--data_files` names for each split; all is for train where none is said.

    A file, a folder or a pattern, several with commas between them; or with a split before each:
    "train=a.csv,test=b.csv".

    Raises:
        DataError: no such split, some with and some without, or nothing for train.
    """
    if pathlib.Path(data_files).exists():  # also where its name has a comma or an equals sign
        return {"train": [data_files]}
    found: dict[str, list[str]] = {}
    for word in data_files.split(","):
        name, equals, place = word.strip().partition("=")
        name, place = (name, place) if equals else ("", name)
        if name not in ("", *SPLITS):
            raise DataError(f"data_files: {word!r}: the splits are {', '.join(SPLITS)}")
        found.setdefault(name, []).append(place)
    if "" in found and len(found) > 1:
        raise DataError(f"data_files={data_files}: say the split of every file, or of none")
    if not {"", "train"} & set(found):
        raise DataError(f"data_files={data_files}: no file is for train")
    return {name or "train": words for name, words in found.items()}


def expanded(place: str, suffixes: Collection[str]) -> list[str]:
    """The files that a file name, a folder or a pattern means, sorted. DataError: there is none."""
    path = pathlib.Path(place).expanduser()
    if path.is_dir():
        found = sorted(str(p) for p in path.iterdir() if p.suffix.lower() in suffixes)
    else:
        found = [str(path)] if path.is_file() else sorted(glob.glob(str(path)))
    if not found:
        raise DataError(
            f"data_files: {place} is no file, nor a folder or pattern of {' or '.join(suffixes)} "
            "files"
        )
    return found


def encoding_of(path: str, encoding: str = "") -> str:
    """The encoding that a file's mark says, else the one given, else UTF-8.

    Raises:
        DataError: the file cannot be read, or is no text.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(4)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    for mark, what in _NO_TEXT:
        if start.startswith(mark):
            raise DataError(f"{path} is no text but {what}")
    return next((name for mark, name in _BOMS if start.startswith(mark)), "") or encoding or "utf-8"


def lines(path: str, encoding: str) -> Iterator[str]:
    """The lines of a text file, with the ends they have.

    Raises:
        DataError: a byte that is no text, or a zero, by file and line.
    """
    try:
        with open(path, encoding=encoding, newline="") as file:
            for number, line in enumerate(file, start=1):
                if "\0" in line:
                    raise DataError(
                        f"{path}:{number}: a NUL character; a damaged file, or UTF-16 without its "
                        "mark (encoding=utf-16-le)"
                    )
                yield line
    except UnicodeError as error:
        raise DataError(_undecodable(path, encoding)) from error
    except LookupError as error:
        raise DataError(f"encoding={encoding!r} is unknown to Python") from error


def _undecodable(path: str, encoding: str) -> str:
    with open(path, "rb") as file:
        content = file.read()
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(encoding, "replace")
        line = 1 + len(re.findall("\r\n|\r|\n", before))
        return (
            f"{path}:{line}: byte {content[error.start]:#04x} is not {encoding}: save the file as "
            "UTF-8, or train with --pipeline_options=encoding=cp1252 if it is that"
        )
    except UnicodeError as error:
        return f"{path}:1: not {encoding}: {error}"
    return f"{path} changed while it was read"
