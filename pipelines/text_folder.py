"""Your own texts, one per file, a folder per class: --pipeline=text_folder --data_files=reviews."""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from pipelines import DataError, Pipeline, Rows, Schema
from pipelines.core.pipeline import Table
from pipelines.core.rows import RAM_BUDGET
from pipelines.files import text_files, text_folders, texts
from pipelines.files.shown import shown
from pipelines.files.table import Cut
from pipelines.files.texts import Text, Texts
from pipelines.steps import text
from pipelines.steps.ngrams import ngrams_form
from pipelines.storage.progress import progress

LIMITS = {
    "vocab_size": (6, None),  # five are special tokens
    "max_length": (2, None),
    "num_ngrams": (1, 1_073_741_824),
    "split_seed": (0, 2_147_483_648),
}


def pipeline(
    *,
    data_files: str,
    vocab_size: int = 16_000,
    max_length: int = 400,
    tokenizer: str = "pieces",
    ngrams: str = "auto",
    num_ngrams: int = 800_000,
    hash_ngrams: bool = False,
    encoding: str = "",
    split_seed: int = 0,
    validation: float = 0.1,
    test: float = 0.2,
) -> Pipeline:
    """One `.txt` file per text in one folder per class, or train/ and test/ with such folders.

    As in aclImdb: train/pos/*.txt, train/neg/*.txt, test/pos/*.txt. A split without a folder of its
    own is cut from train by content hash. Texts in folders called unsup, unsupervised, unlabeled or
    unlabelled have no class.

    Without labels (--task=masked_lm) a folder of files is enough, and each text is in the same
    split as with labels. Texts without a class, if there are any, are used for training too, and
    validation and test are then taken from them alone: texts that a classifier is validated or
    tested on are not used.

    Args:
        data_files: the folder, or one for each split if folder names do not tell the splits:
            "train=reviews/old,test=reviews/new".
        vocab_size: maximum number of tokens in the vocabulary, learnt from the training texts.
        max_length: maximum number of tokens per text; longer texts lose their middle.
        tokenizer: pieces (SentencePiece), bytes (lossless byte-level BPE) or word_pieces (of BERT).
        ngrams: words (1 to 3), characters within words (1 to 5), both, or auto: both up to 4 MB of
            training text, otherwise words.
        num_ngrams: maximum number of n-grams of each kind, by document frequency in training.
        hash_ngrams: ids are hashes of n-grams into `num_ngrams` buckets; no vocabulary is counted.
        encoding: of files in neither UTF-8 nor UTF-16 with a byte-order mark, such as cp1252.
        split_seed: seed of the split by content hash.
        validation: fraction of the texts, like `test`.

    Raises:
        DataError: (when the data is read) the folder does not exist or has no classes, a class has
            no texts, or a file is not text.
    """
    cut = Cut(split_seed, validation, test)

    def read() -> tuple[dict[str, Rows], Schema]:
        opened = _open(text_folders.labelled(data_files), data_files, encoding)
        rows, schema = texts.labelled(opened.texts, data_files, cut, opened.remarks)
        return opened.read(rows), schema

    def read_texts() -> tuple[dict[str, Rows], Schema]:
        opened = _open(text_folders.unlabelled(data_files), data_files, encoding)
        rows, schema = text_folders.rows_without_labels(
            opened.texts, data_files, cut, opened.remarks
        )
        return opened.read(rows), schema

    labelled = Pipeline(
        name="text_folder",
        source=str(data_files),
        read=read,
        forms={
            "pieces": text.pieces_form(vocab_size, max_length, tokenizer=tokenizer),
            "ngrams": ngrams_form(ngrams, num_ngrams, hash_ngrams),
        },
    )
    unlabelled = dataclasses.replace(labelled, read=read_texts)
    return dataclasses.replace(labelled, unlabelled=lambda: unlabelled)


class _Opened(NamedTuple):
    """The texts of all files, or their paths where they do not fit into memory."""

    texts: Texts
    remarks: list[str]
    read: Callable[[Mapping[str, Rows]], dict[str, Rows]]  # rows of texts or paths -> of texts


def _open(listing: text_folders.Listing, source: str, encoding: str) -> _Opened:
    """Reads all files. DataError: a file is not text, or each of its lines may be a text."""
    in_memory = sum(text_files.sizes(str(file.path) for file in listing.files)) <= RAM_BUDGET
    empty: list[str] = []

    def each() -> Iterator[Text]:
        for file in progress(listing.files, len(listing.files), "reading texts"):
            content = text_files.whole(str(file.path), encoding)
            if content:
                yield Text(file.split, file.label, content.encode(), str(file.path))
            else:
                empty.append(str(file.path))

    opened = texts.gathered(each(), {file.split for file in listing.files}, keep=in_memory)
    if not len(opened.digest):
        raise DataError(f"{shown(source)}: none of its {len(empty)} files has a text in it")
    remarks = [*listing.remarks, *(text_folders.check_lines(source, opened) if in_memory else [])]
    if empty:
        remarks.append(f"skipped, no text in them: {len(empty)} files, such as {shown(empty[0])}")

    def read(rows: Mapping[str, Rows]) -> dict[str, Rows]:
        if in_memory:
            return dict(rows)
        digest = dict(zip(opened.contents.tolist(), opened.digest.tolist(), strict=True))
        return {name: _by_number(part, digest, encoding) for name, part in rows.items()}

    return _Opened(opened, remarks, read)


def _by_number(rows: Rows, digest: Mapping[bytes, int], encoding: str) -> Rows:
    """Rows of paths as rows of texts whose files are read on demand."""
    paths = rows.table[texts.FIELD]
    content = np.array([digest[path] for path in paths.tolist()], np.int64)
    others = [rows.table[name] for name in rows.table if name != texts.FIELD]
    identity = hashlib.sha256(b"".join(column.tobytes() for column in (content, *others)))

    def read(index: np.ndarray) -> Table:
        contents = [text_files.whole(os.fsdecode(path), encoding) for path in paths[index]]
        taken = {name: column[index] for name, column in rows.table.items()}
        return {**taken, texts.FIELD: texts.column([content.encode() for content in contents])}

    return rows._replace(table=None, read=read, identity=identity.hexdigest())
