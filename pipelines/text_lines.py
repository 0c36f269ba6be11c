"""Your own texts: --pipeline=text_lines --data_files=reviews.tsv, or a folder of files."""

import pathlib
import sys
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pipelines import SPLITS, DataError, Pipeline, Rows
from pipelines.core import splits
from pipelines.files import text_files
from pipelines.steps import text
from zoo.spec import Field

_SUFFIXES = (".txt", ".tsv")


class Line(NamedTuple):
    """One text with the name of its class, and where it stands."""

    split: str
    label: str
    text: str
    where: str  # file:line


def pipeline(
    *,
    data_files: str,
    vocab_size: int = 8_000,
    max_length: int = 256,
    encoding: str = "",
    split_seed: int = 0,
    validation: float = 0.1,
    test: float = 0.2,
) -> Pipeline:
    """A file with a label, a tab and a text in each line; or a folder with a file a class.

    In a folder each `.txt` file is a class, by its name, and each of its lines a text. Blank lines
    are passed over. A split without files of its own is cut from train by content.

    Args:
        data_files: a file, a folder, several with commas between them; or a split for each,
            "train=a.tsv,test=b.tsv".
        vocab_size: pieces in the vocabulary, which is learnt from the training texts.
        max_length: pieces of a text that are read; longer ones lose their middle.
        encoding: of files that are neither UTF-8 nor marked as UTF-16, such as cp1252.
        split_seed: which of the many splits by content.
        validation: share of the texts, as is `test`.

    Raises:
        DataError: no such file, a line without a tab, bytes that are no text, one class only.
    """
    found = text_files.places(data_files)
    given = [name for name in SPLITS[1:] if name in found]
    read = [
        line for name in found for place in found[name] for line in _read(place, name, encoding)
    ]
    names = tuple(sorted({line.label for line in read if line.split == "train"}))
    if len(names) < 2:
        raise DataError(f"{data_files}: expected two classes or more, found {', '.join(names)}")
    for line in read:
        if line.label not in names:
            raise DataError(f"{line.where}: label {line.label!r} is not in the training texts")
    shares = {"seed": split_seed, "validation": validation, "test": test}
    learn, bind = text.steps(vocab_size, max_length)

    def cut() -> dict[str, Rows]:
        rows = {name: _rows([line for line in read if line.split == name], names) for name in found}
        digest = {k: splits.digests(r.table["text"].tolist()) for k, r in rows.items()}
        if len(given) < 2:
            rows |= splits.by_content(rows["train"], digest["train"], given=given, **shares)
        print("\n".join(_summary(data_files, names, rows, read)), file=sys.stderr)
        return rows

    return Pipeline(
        name="text_lines",
        source=data_files,
        splits={name: name for name in SPLITS},
        task="binary" if len(names) == 2 else "classification",
        target="label",
        class_names=names,
        raw={"text": Field((), "string")},
        read=cut,
        prepare=learn,
        bind=bind,
        padded=("tokens",),
    )


def _read(place: str, name: str, encoding: str) -> Iterator[Line]:
    folder = pathlib.Path(place).expanduser().is_dir()
    for path in text_files.expanded(place, _SUFFIXES[:1] if folder else _SUFFIXES):
        number = 0
        for i, line in enumerate(
            text_files.lines(path, text_files.encoding_of(path, encoding)), start=1
        ):
            if not line.strip():
                continue
            label, tab, said = ("", "", line) if folder else line.partition("\t")
            label = pathlib.Path(path).stem if folder else label.strip()
            if not folder and not (tab and label):
                found = line.strip()[:60]
                raise DataError(f"{path}:{i}: expected a label, a tab and a text, found {found!r}")
            if said.strip():
                number += 1
                yield Line(name, label, said.strip(), f"{path}:{i}")
        if not number:
            raise DataError(f"{path} has no text in it")


def _rows(lines: list[Line], names: tuple[str, ...]) -> Rows:
    place = {name: i for i, name in enumerate(names)}
    table = {
        "text": np.array([line.text.encode() for line in lines], object),
        "label": np.array([place[line.label] for line in lines], np.int64),
    }
    fields = {"text": Field((), "string"), "label": Field((), "int64")}
    return Rows(len(lines), fields, "label", table=table)


def _summary(
    source: str, names: tuple[str, ...], rows: dict[str, Rows], read: list[Line]
) -> Iterator[str]:
    counts = Counter(line.label for line in read)
    yield f"{source}: {len(read)} texts, {len(names)} classes"
    yield ", ".join(f"{name} {counts[name]}" for name in names[:20])
    yield ", ".join(f"{rows[name].num_rows} {name}" for name in SPLITS)
    labels: dict[str, list[Line]] = {}
    for line in read:
        labels.setdefault(line.text, []).append(line)
    copies = len(read) - len(labels)
    if copies:
        yield f"{copies} texts are copies of an earlier one"
    odd = [lines for lines in labels.values() if len({line.label for line in lines}) > 1]
    if odd:
        first, other = odd[0][0], next(line for line in odd[0] if line.label != odd[0][0].label)
        yield (
            f"{len(odd)} texts stand under two labels, e.g. {first.where} ({first.label}) and "
            f"{other.where} ({other.label})"
        )
    digest = {name: splits.digests(part.table["text"].tolist()) for name, part in rows.items()}
    for name, number in splits.duplicates(digest).items():
        yield f"{number} texts of {name} are in train too: its figures flatter the model"
