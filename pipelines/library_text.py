"""Docstrings and comments of the Python standard library as running text; needs no download.

Read from the source files of the running Python; its version is the name of the configuration.
"""

import io
import sysconfig
import tokenize
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from pipelines import Pipeline, Rows, Schema
from pipelines import docstrings as labelled
from pipelines.core import splits
from pipelines.steps import text
from zoo.spec import Field

LIMITS = {
    "vocab_size": (6, None),  # five are special tokens
    "max_length": (2, None),
    "split_seed": (0, 2_147_483_648),
}
_KINDS = ("comment", "docstring", "docstring of docstrings")
_LISTED = _KINDS.index("docstring of docstrings")
_SHORTEST = 40  # characters of a comment
_TELLING = 40  # characters; texts that share a line this long count as overlapping
_SKIPPED = {"test", "tests", "idle_test", "site-packages", "lib2to3", "__pycache__"}


class LibraryText(tfds.core.GeneratorBasedBuilder):
    """One example per docstring or block of comments, without duplicates."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name=labelled.PYTHON, description=f"of {labelled.PYTHON}")
    ]
    BUILT_IN = True  # needs no network

    def _info(self) -> tfds.core.DatasetInfo:
        kind = tfds.features.ClassLabel(names=list(_KINDS))
        return self.dataset_info_from_configs(
            description=__doc__,
            features=tfds.features.FeaturesDict({"text": tfds.features.Text(), "kind": kind}),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        library = Path(sysconfig.get_path("stdlib"))
        kinds = dict.fromkeys(labelled.distinct_docstrings(library), _LISTED)
        for kind, content in read_texts(library):
            kinds.setdefault(content, _KINDS.index(kind))
        for i, (content, kind) in enumerate(sorted(kinds.items())):
            yield i, {"text": content, "kind": kind}


def read_texts(library: Path) -> Iterator[tuple[str, str]]:
    """(kind, text) of every docstring and comment in the files of a library, without its tests."""
    for file in sorted(library.rglob("*.py")):
        if _SKIPPED & set(file.relative_to(library).parts):
            continue
        source = file.read_bytes()
        for docstring in labelled.docstrings_in(source):
            yield "docstring", docstring
        for comment in comments_in(source):
            yield "comment", comment


def comments_in(source: bytes) -> Iterator[str]:
    """Blocks of comments on lines of their own, as one text per block."""
    block: list[str] = []
    last = -1
    tokens = tokenize.tokenize(io.BytesIO(source).readline)
    for token in (t for t in tokens if t.type == tokenize.COMMENT):
        own_line = not token.line[: token.start[1]].strip()
        content = token.string.lstrip("#").strip()
        if block and not (own_line and token.start[0] == last + 1):
            yield from _long_enough(block)
            block = []
        if own_line and content.strip("-=#*~ ") and not token.string.startswith("#!"):
            block.append(content)
            last = token.start[0]
    yield from _long_enough(block)


def _long_enough(block: list[str]) -> Iterator[str]:
    joined = "\n".join(block)
    if len(joined) >= _SHORTEST:
        yield joined


def pipeline(
    *,
    vocab_size: int = 8_000,
    max_length: int = 128,
    tokenizer: str = "pieces",
    split_seed: int = 0,
) -> Pipeline:
    """About 90 / 5 / 5 % for training / validation / test, by content.

    The validation and test texts of `docstrings` with the same `split_seed` are left out, and so is
    every text that shares a line of 40 characters or more with one of them: a model trained here
    has not seen them.

    Args:
        vocab_size: maximum number of tokens in the vocabulary, learnt from the training texts.
        max_length: maximum number of tokens per text; longer texts lose their middle.
        tokenizer: pieces (SentencePiece), bytes (lossless byte-level BPE) or word_pieces (of BERT).
        split_seed: seed of this split and of that of `docstrings`.
    """

    def cut(rows):
        return _without_held_out(rows["all"], split_seed)

    kind = Field((), "int64", ids=len(_KINDS))
    return Pipeline(
        name="library_text",
        source=f"library_text/{labelled.PYTHON}:1.0.0",
        splits={"all": "train"},
        schema=Schema(
            {"text": Field((), "string")},
            "masked_lm",
            kind,
            _KINDS,
            outputs=len(_KINDS),
            target_name="kind",
        ),
        cut=cut,
        forms={"pieces": text.pieces_form(vocab_size, max_length, tokenizer=tokenizer)},
    )


def _without_held_out(rows: Rows, split_seed: int) -> dict[str, Rows]:
    """Rows by split, without the held-out texts of `docstrings` and all that overlap with them."""
    listed = rows.table["kind"] == _LISTED
    of_docstrings = labelled.cut(splits.select(rows, np.flatnonzero(listed)), split_seed)
    held: set[bytes] = set()
    for name in ("validation", "test"):
        held = held.union(*map(_telling, of_docstrings[name].table["text"].tolist()))

    def free(part: Rows) -> Rows:
        apart = [held.isdisjoint(_telling(one)) for one in part.table["text"].tolist()]
        return splits.select(part, np.flatnonzero(apart))

    rest = free(splits.select(rows, np.flatnonzero(~listed)))
    digest = splits.digests(rest.table["text"].tolist())
    parts = splits.by_content(rest, digest, seed=split_seed, validation=0.05, test=0.05)
    train = parts["train"], free(of_docstrings["train"])
    table = {name: np.concatenate([part.table[name] for part in train]) for name in rows.table}
    return {**parts, "train": rows._replace(num_rows=len(table["text"]), table=table)}


def _telling(one: bytes) -> set[bytes]:
    """A text, and those of its lines that are long enough to identify it."""
    lines = (line.strip() for line in one.split(b"\n"))
    return {one, *(line for line in lines if len(line) >= _TELLING)}
