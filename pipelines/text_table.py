"""Your own texts in a table: --pipeline=text_table --data_files=reviews.csv --target=stars."""

import dataclasses
import logging
from collections.abc import Mapping

import numpy as np

from pipelines import DataError, Pipeline, Rows, Schema
from pipelines.core import splits
from pipelines.files import (
    any_table,
    plain_table,
    readings,
    table,
    table_file,
    targets,
    text_column,
    texts,
)
from pipelines.files.shown import shown
from pipelines.files.table import Chosen, Cut
from pipelines.files.table_cells import TableCells
from pipelines.files.texts import Texts
from pipelines.steps import text as text_steps
from pipelines.steps.ngrams import ngrams_form
from zoo.spec import Field

_log = logging.getLogger(__name__)
LIMITS = {
    "vocab_size": (6, None),  # five are special tokens
    "max_length": (2, None),
    "num_ngrams": (1, 1_073_741_824),
    "split_seed": (0, 2_147_483_648),
}


def pipeline(
    *,
    data_files: str,
    target: str = "",
    text: str = "",
    task: str = "",
    labels: str = "",
    missing: str = "",
    categories: str = "",
    decimal: str = "",
    vocab_size: int = 16_000,
    max_length: int = 256,
    tokenizer: str = "pieces",
    ngrams: str = "auto",
    num_ngrams: int = 800_000,
    hash_ngrams: bool = False,
    encoding: str = "",
    split_seed: int = 0,
    validation: float = 0.1,
    test: float = 0.2,
) -> Pipeline:
    """A column of texts and one of labels, in text files with a header or as JSON lines.

    Without labels (--task=masked_lm) no target is needed, and each text is in the same split as
    with labels.

    Args:
        data_files: files, folders or patterns separated by commas, or one for each split:
            "train=a.csv,test=b.csv". A missing split is cut from train by a hash of the texts.
        target: the column to predict, or several columns of 0 and 1, separated by commas.
        text: the column of texts; empty: the only column of free text, or the only one besides the
            target.
        task: regression, binary, classification or multi_label; empty: inferred.
        labels: as_written keeps classes apart that differ only in case or spaces.
        missing: target cells that mean missing, besides empty ones: "NA|?".
        categories: the name of the target, if its numbers are classes.
        decimal: point or comma, where the numbers of the target are ambiguous.
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
        DataError: (when the data is read) a file or line cannot be read, a column does not exist,
            or several columns may be the text.
    """
    cut, chosen = Cut(split_seed, validation, test), Chosen(target, task, labels=labels)

    def read() -> tuple[dict[str, Rows], Schema]:
        cells, nested = any_table.read(data_files, encoding)
        wanted = text_column.targets(cells, target, data_files)
        column = text_column.text(cells, nested, text, wanted, data_files)
        column_options = any_table.parse_options(cells, wanted, categories, missing, decimal)
        return _labelled(cells, column, column_options, chosen, cut, data_files)

    def read_texts() -> tuple[dict[str, Rows], Schema]:
        cells, nested = any_table.read(data_files, encoding, fewest=1)
        named = table.named(cells.names, target, "target")
        column = text_column.text(cells, nested, text, named, data_files)
        return _unlabelled(cells, column, cut, data_files)

    forms = {
        "pieces": text_steps.pieces_form(vocab_size, max_length, tokenizer=tokenizer),
        "ngrams": ngrams_form(ngrams, num_ngrams, hash_ngrams),
    }
    unlabelled = Pipeline(name="text_table", source=data_files, read=read_texts, forms=forms)
    return dataclasses.replace(unlabelled, read=read, unlabelled=lambda: unlabelled)


def _contents(cells: TableCells, column: str) -> np.ndarray:
    """The texts of all rows, in UTF-8: (N,). DataError: all are empty."""
    coded = cells.columns[cells.names.index(column)].coded
    contents = texts.column([cell.encode() for cell in coded.distinct])[coded.codes]
    plain_table.release_memory()
    if not (contents != b"").any():
        raise DataError(f"the text {table_file.quoted(column)} is empty in every row")
    return contents


def _plain(content: bytes) -> bytes:
    """The text as `text_lines` and `text_folder` read it: stripped, with line feeds."""
    text = content.decode().replace("\r\n", "\n").replace("\r", "\n")
    return text.strip().encode()


def _texts(cells: TableCells, contents: np.ndarray, rows: np.ndarray) -> Texts:
    """The texts of some rows (M,), without labels."""
    return Texts(
        contents=contents[rows],
        digest=splits.digests(map(_plain, contents[rows].tolist())),
        labels=[""] * len(rows),
        split_of=[cells.split_of[row] for row in rows],
        where=lambda i: cells.where(int(rows[i])),
        separate=tuple(cells.separate),
    )


def _unlabelled(
    cells: TableCells, column: str, cut: Cut, source: str
) -> tuple[dict[str, Rows], Schema]:
    """The rows that have a text; logs a summary."""
    contents = _contents(cells, column)
    selected = _texts(cells, contents, np.flatnonzero(contents != b""))
    remarks = _left_out(column, len(contents) - len(selected.contents))
    field = table_file.field_name(column)
    return texts.unlabelled(selected, source, cut, remarks, field=field)


def _labelled(
    cells: TableCells,
    column: str,
    column_options: Mapping[str, readings.ColumnOptions],
    options: Chosen,
    cut: Cut,
    source: str,
) -> tuple[dict[str, Rows], Schema]:
    """The rows that have a text and a label; logs a summary."""
    contents = _contents(cells, column)
    with_text = np.flatnonzero(contents != b"")
    predicted = any_table.predicted(cells, column_options, options, with_text)
    chosen = targets.choose(predicted, options.task)
    selected = _texts(cells, contents, with_text[chosen.present])
    if chosen.field.ids is not None:
        selected = selected._replace(labels=[chosen.class_names[i] for i in chosen.values])
    schema = _schema(column, options.target, chosen)
    [field], name = schema.raw, options.target
    table_of = {field: selected.contents, name: chosen.values}
    whole = Rows(len(selected.contents), {**schema.raw, name: chosen.field}, name, table=table_of)
    rows, digest = texts.by_split(whole, selected, cut)
    lines = [
        *texts.summary(selected, source, digest),
        *(line for column in predicted for line in column.remark.splitlines()),
        f"target {shown(name, table_file.NAME)}: {chosen.summary()}",
        *_left_out(column, len(contents) - len(with_text)),
        *_left_out(name, len(with_text) - len(selected.contents)),
    ]
    _log.info("\n".join(lines))
    table.warn_of_classes(rows, schema)
    return rows, schema


def _schema(column: str, target: str, chosen: targets.Target) -> Schema:
    field = table_file.field_name(column)
    if field == target:
        raise DataError(
            f"the text {table_file.quoted(column)} and the target are both {field} to a server; "
            "rename one"
        )
    return Schema(
        raw={field: Field((), "string")},
        task=chosen.task,
        target=chosen.field,
        class_names=chosen.class_names,
        outputs=chosen.outputs,
        target_name=target,
    )


def _left_out(column: str, number: int) -> list[str]:
    return [f"{number} rows without {shown(column, table_file.NAME)} are left out"] * (number > 0)
