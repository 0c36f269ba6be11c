"""A user's own files: their paths by split, and their lines as text."""

import codecs
import functools
import glob
import io
import os
import pathlib
from collections.abc import Collection, Iterable, Iterator, Sequence

from pipelines.core.pipeline import SPLITS, DataError, MissingDataError
from pipelines.files import encodings
from pipelines.files.shown import shown

LONGEST_LINE = 2**24  # characters; a table of 100 000 columns has a million
_CHUNK = 2**20
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
    # A single path may have commas or equals signs in it. Not pathlib, which raises for a list of
    # files that is too long for a name.
    if os.path.exists(data_files):
        return {"train": [data_files]}
    paths: dict[str, list[str]] = {}
    for item in data_files.split(","):
        name, equals, path = item.strip().partition("=")
        name, path = (name, path) if equals else ("", name)
        if name not in ("", *SPLITS):
            raise DataError(f"data_files: {shown(repr(item))}: the splits are {', '.join(SPLITS)}")
        paths.setdefault(name, []).append(path)
    if "" in paths and len(paths) > 1:
        raise DataError(f"data_files={shown(data_files)}: name the split of every file, or of none")
    if not {"", "train"} & set(paths):
        raise DataError(f"data_files={shown(data_files)}: no file is for train")
    return {name or "train": patterns for name, patterns in paths.items()}


def expanded(pattern: str, suffixes: Collection[str]) -> list[str]:
    """The files of a path, folder or pattern, sorted. MissingDataError: there are none."""
    path = pathlib.Path(os.path.expanduser(pattern))
    if os.path.isdir(path):
        # Hidden ones are of an editor or of macOS; patterns do not match them either.
        visible = (p for p in path.iterdir() if not p.name.startswith("."))
        paths = sorted(str(p) for p in visible if p.suffix.lower() in suffixes)
    else:
        paths = [str(path)] if os.path.isfile(path) else sorted(glob.glob(str(path)))
    if not paths:
        raise MissingDataError(
            f"data_files: {shown(pattern)} is not a file, nor a folder or pattern of "
            f"{' or '.join(suffixes)} files"
        )
    return paths


def encoding_of(path: str, encoding: str = "") -> str:
    """The encoding of a file's byte order mark, else `encoding`, else UTF-8.

    Raises:
        DataError: the file cannot be read, or is not text.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # opening a pipe waits for ever
        raise DataError(f"{path} is not a plain file")
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
    """The lines of a text file, with their line ends; never more than one of them in memory.

    Raises:
        DataError: a byte that cannot be decoded, a NUL, or a line of more than `LONGEST_LINE`
            characters; the message names file and line.
    """
    try:
        with open(path, encoding=encoding, newline="") as file:
            limited = iter(functools.partial(file.readline, LONGEST_LINE + 1), "")
            for number, line in enumerate(limited, start=1):
                if "\0" in line:
                    raise DataError(
                        f"{path}:{number}: a NUL character; a damaged file, or UTF-16 without its "
                        "mark (encoding=utf-16-le)"
                    )
                if len(line) > LONGEST_LINE:
                    raise DataError(
                        f"{path}:{number}: a line of more than {LONGEST_LINE:,} characters"
                    )
                yield line
    except UnicodeError as error:
        raise DataError(_undecodable(path, encoding)) from error
    except LookupError as error:
        raise DataError(f"encoding={encoding!r} is unknown to Python") from error


def filled(path: str, encoding: str) -> Iterator[tuple[int, str]]:
    """(number, line) of every line that is not blank, decoded as `encoding_of` determines.

    Raises:
        DataError: as of `encoding_of` and `lines`.
    """
    for number, line in enumerate(lines(path, encoding_of(path, encoding)), start=1):
        if line.strip():
            yield number, line


def whole(path: str, encoding: str) -> str:
    """The text of a file, decoded as `encoding_of` determines, without white space around it.

    Line ends of any system become line feeds. Raises a DataError as `encoding_of` and `lines` do.
    """
    content = lines(path, encoding_of(path, encoding))
    return "\n".join(line.rstrip("\r\n") for line in content).strip()


def sizes(paths: Iterable[str]) -> list[int]:
    """Bytes of each file. DataError: one does not exist or may not be read."""
    try:
        return [os.path.getsize(path) for path in paths]
    except OSError as error:
        raise DataError(f"{shown(error.filename)} cannot be read: {error.strerror}") from error


def check_size(paths: Sequence[str], most: int, what: str) -> None:
    """DataError: the files have more bytes than are read into memory, or cannot be read."""
    num_bytes = sizes(paths)
    if sum(num_bytes) > most:
        largest = paths[num_bytes.index(max(num_bytes))]
        raise DataError(
            f"{largest} has {max(num_bytes) / 2**30:.1f} GiB of {sum(num_bytes) / 2**30:.1f} in "
            f"all; {what} of up to {most / 2**30:.0f} GiB are read"
        )


def _undecodable(path: str, encoding: str) -> str:
    try:
        fault = _first_fault(path, encoding)
    except UnicodeError as error:
        return f"{path}:1: not {encoding}: {error}"
    if fault is None:
        return f"{path} changed while it was being read"
    line, byte = fault
    fitting = encodings.fitting(path)
    hint = (
        f"or choose the encoding that shows it right: --pipeline_options=encoding={fitting[0][0]} "
        f"would make it {'; or '.join(f'{text!r} ({name})' for name, text in fitting)}"
        if fitting
        else "no usual encoding fits it"
    )
    return f"{path}:{line}: byte {byte:#04x} is not {encoding}: save the file as UTF-8, {hint}"


def _first_fault(path: str, encoding: str) -> tuple[int, int] | None:
    """The line and value of the first byte that cannot be decoded; reads a megabyte at a time."""
    decoder = codecs.getincrementaldecoder(encoding)()
    newlines, line = io.IncrementalNewlineDecoder(None, translate=True), 1
    with open(path, "rb") as file:
        while True:
            chunk = file.read(_CHUNK)
            held, _ = state = decoder.getstate()  # bytes of a character that is not complete
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                decoder.setstate(state)
                before = decoder.decode(chunk[: max(0, error.start - len(held))])
                line += newlines.decode(before, final=True).count("\n")
                return line, error.object[error.start]
            line += newlines.decode(text).count("\n")
            if not chunk:
                return None
