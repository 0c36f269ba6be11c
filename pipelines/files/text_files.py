"""A user's own files: their paths by split, and their lines as text."""

import glob
import pathlib
import re
from collections.abc import Collection, Iterator

from pipelines.core.pipeline import SPLITS, DataError, MissingDataError

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),  # before UTF-16, whose mark is a prefix
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_NOT_TEXT = ((b"PK\x03\x04", "an Excel or ZIP file: save it as text"), (b"\x1f\x8b", "compressed"))


def by_split(data_files: str) -> dict[str, list[str]]:
    """The paths in `--data_files` by split; all are for train if no split is named.

    Files, folders or patterns separated by commas, with or without a split before each:
    "train=a.csv,test=b.csv".

    Raises:
        DataError: an unknown split, a split before some paths only, or no path for train.
    """
    if pathlib.Path(data_files).exists():  # also where its name has a comma or an equals sign
        return {"train": [data_files]}
    paths: dict[str, list[str]] = {}
    for item in data_files.split(","):
        name, equals, path = item.strip().partition("=")
        name, path = (name, path) if equals else ("", name)
        if name not in ("", *SPLITS):
            raise DataError(f"data_files: {item!r}: the splits are {', '.join(SPLITS)}")
        paths.setdefault(name, []).append(path)
    if "" in paths and len(paths) > 1:
        raise DataError(f"data_files={data_files}: name the split of every file, or of none")
    if not {"", "train"} & set(paths):
        raise DataError(f"data_files={data_files}: no file is for train")
    return {name or "train": patterns for name, patterns in paths.items()}


def expanded(pattern: str, suffixes: Collection[str]) -> list[str]:
    """The files of a path, folder or pattern, sorted. MissingDataError: there are none."""
    path = pathlib.Path(pattern).expanduser()
    if path.is_dir():
        paths = sorted(str(p) for p in path.iterdir() if p.suffix.lower() in suffixes)
    else:
        paths = [str(path)] if path.is_file() else sorted(glob.glob(str(path)))
    if not paths:
        raise MissingDataError(
            f"data_files: {pattern} is not a file, nor a folder or pattern of "
            f"{' or '.join(suffixes)} files"
        )
    return paths


def encoding_of(path: str, encoding: str = "") -> str:
    """The encoding of a file's byte order mark, else `encoding`, else UTF-8.

    Raises:
        DataError: the file cannot be read, or is not text.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(4)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    for mark, what in _NOT_TEXT:
        if start.startswith(mark):
            raise DataError(f"{path} is not text but {what}")
    return next((name for mark, name in _BOMS if start.startswith(mark)), "") or encoding or "utf-8"


def lines(path: str, encoding: str) -> Iterator[str]:
    """The lines of a text file, with their line ends.

    Raises:
        DataError: a byte that cannot be decoded, or a NUL, with file and line.
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
    return f"{path} changed while it was being read"
