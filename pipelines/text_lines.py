"""Your own texts: --pipeline=text_lines --data_files=reviews.tsv, or a folder of files."""

import dataclasses
import itertools
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from pipelines import DataError, Pipeline, Rows, Schema
from pipelines.files import line_files, texts
from pipelines.files.line_files import Source
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
_FEW = 20  # texts; with fewer, a class may have a single text
_MANY_FILES = 20  # files in a folder; from here on, one class per file is doubtful
_SHORT = 3  # mean lines per file; with fewer, each file looks like one text


_log = logging.getLogger(__name__)


def pipeline(
    *,
    data_files: str,
    vocab_size: int = 8_000,
    max_length: int = 256,
    tokenizer: str = "pieces",
    ngrams: str = "auto",
    num_ngrams: int = 800_000,
    hash_ngrams: bool = False,
    encoding: str = "",
    lines: str = "",
    split_seed: int = 0,
    validation: float = 0.1,
    test: float = 0.2,
) -> Pipeline:
    """A file with a label, a tab and a text on each line, or a folder with one file per class.

    In a folder each `.txt` file is a class of the same name, and each of its lines a text. Blank
    lines are skipped. A split without files of its own is cut from train by content hash.

    Without labels (--task=masked_lm) each line of any file is a text. Labels are dropped if every
    line has one before a tab. Each text is in the same split as with labels.

    Args:
        data_files: files or folders separated by commas, or one for each split:
            "train=a.tsv,test=b.tsv".
        vocab_size: maximum number of tokens in the vocabulary, learnt from the training texts.
        max_length: maximum number of tokens per text; longer texts lose their middle.
        tokenizer: pieces (SentencePiece), bytes (lossless byte-level BPE) or word_pieces (of BERT).
        ngrams: words (1 to 3), characters within words (1 to 5), both, or auto: both up to 4 MB of
            training text, otherwise words.
        num_ngrams: maximum number of n-grams of each kind, by document frequency in training.
        hash_ngrams: ids are hashes of n-grams into `num_ngrams` buckets; no vocabulary is counted.
        encoding: of files in neither UTF-8 nor UTF-16 with a byte-order mark, such as cp1252.
        lines: texts, if each whole line is a text (only for tasks without labels), or labelled, if
            lines have a label before a tab, even if most labels occur once; empty: inferred.
        split_seed: seed of the split by content hash.
        validation: fraction of the texts, like `test`.

    Raises:
        DataError: (when the data is read) a file does not exist or is not text, a line has no tab,
            most lines have a label of their own, or there is only one class.
    """
    cut = Cut(split_seed, validation, test)
    forms = {
        "pieces": text.pieces_form(vocab_size, max_length, tokenizer=tokenizer),
        "ngrams": ngrams_form(ngrams, num_ngrams, hash_ngrams),
    }
    unlabelled = Pipeline(
        name="text_lines",
        source=data_files,
        read=lambda: _unlabelled(data_files, encoding, lines, cut),
        forms=forms,
    )
    return dataclasses.replace(
        unlabelled,
        read=lambda: _labelled(data_files, encoding, lines, cut),
        unlabelled=lambda: unlabelled,
    )


def _labelled(
    data_files: str, encoding: str, lines: str, cut: Cut
) -> tuple[dict[str, Rows], Schema]:
    """The rows of every split with their classes."""
    if lines not in ("", "labelled"):
        raise DataError(
            f"lines={shown(lines)}: with labels lines are labelled; {line_files.UNLABELLED}"
        )
    sources = line_files.sources(data_files)
    gathered = _gathered((line_files.labelled(s, encoding) for s in sources), sources)
    _check_folders(data_files, sources, gathered)
    if not lines:
        _check_labels(data_files, sources, gathered)
    return texts.labelled(gathered, data_files, cut, _header(gathered))


def _unlabelled(
    data_files: str, encoding: str, lines: str, cut: Cut
) -> tuple[dict[str, Rows], Schema]:
    """The rows of every split without labels."""
    sources = line_files.sources(data_files)
    dropped = line_files.have_labels(data_files, sources, encoding, lines)
    each = (line_files.without_labels(source, encoding, dropped, lines) for source in sources)
    gathered = _gathered(each, sources)
    _hint_at_files(data_files, sources, gathered)
    return texts.unlabelled(gathered, data_files, cut)


def _gathered(by_file: Iterable[Iterable[Text]], sources: Sequence[Source]) -> Texts:
    """The texts of all files."""
    each = progress(itertools.chain.from_iterable(by_file), None, "reading texts")
    return texts.gathered(each, {source.split for source in sources})


def _check_folders(data_files: str, sources: Sequence[Source], gathered: Texts) -> None:
    """DataError: a folder has a single file, or many files that look like one text each."""
    if not all(source.of_folder for source in sources):
        return
    number, lines = len(sources), len(gathered.contents)
    if number == 1:
        raise DataError(
            f"{data_files}: expected two classes or more, a file for each, received one file, "
            f"{shown(sources[0].path)}; {line_files.UNLABELLED}"
        )
    if number >= _MANY_FILES and lines < _SHORT * number:
        raise DataError(
            f"{data_files}: {number} files with {lines} lines would be {number} classes: if each "
            "file is a text, put those of a class into a folder of its own and write "
            "--pipeline=text_folder; without classes, --pipeline=text_folder --task=masked_lm"
        )


def _check_labels(data_files: str, sources: Sequence[Source], gathered: Texts) -> None:
    """DataError: more than half of the lines have a label of their own: it may be the text."""
    labels, number = Counter(gathered.labels), len(gathered.labels)
    own = [label for label, count in labels.items() if count == 1]
    if number < _FEW or 2 * len(own) <= number or any(source.of_folder for source in sources):
        return
    raise DataError(
        f"{data_files}: {len(own)} of {number} lines have a label that no other line has, such as "
        f"{shown(repr(max(own, key=len)), 60)}: expected a label, a tab and a text; if the text "
        r"comes first, write the label first with awk -F'\t' '{print $2 FS $1}'; if these are "
        "labels, --pipeline_options=lines=labelled"
    )


def _hint_at_files(data_files: str, sources: Sequence[Source], gathered: Texts) -> None:
    number, lines = len(sources), len(gathered.contents)
    if number >= _MANY_FILES and all(source.of_folder for source in sources):
        _log.info(
            "%s: %d lines of %d files are a text each; if each file is one text, write "
            "--pipeline=text_folder",
            *(data_files, lines, number),
        )


def _header(gathered: Texts) -> Iterator[str]:
    """Warns if the first text is the only one of its class: it may be a header."""
    first = gathered.split_of.index("train")
    label, several = gathered.labels[first], len(gathered.contents) >= _FEW
    if several and Counter(gathered.labels)[label] == 1:
        content = gathered.contents[first].decode()
        yield (
            f"warning: {gathered.where(first)}: class {shown(repr(label), 60)} has this text only, "
            f"{shown(repr(content), 60)}: delete the line if it is a header"
        )
