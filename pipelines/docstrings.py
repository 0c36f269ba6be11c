"""Docstrings of the Python standard library, by the package they document; needs no download.

Read from the source files of the running Python; its version is the name of the configuration.
"""

import ast
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import tensorflow_datasets as tfds

from pipelines import Pipeline, Rows, classes
from pipelines.core import splits
from pipelines.steps import text
from pipelines.steps.ngrams import ngrams_form
from zoo.spec import Field

LIMITS = {
    "vocab_size": (6, None),  # five are special tokens
    "max_length": (2, None),
    "num_ngrams": (1, 1_073_741_824),
    "split_seed": (0, 2_147_483_648),
}
# Packages of every installation of Python 3.11 to 3.14, and their files.
_PACKAGES = {
    "asyncio": ("asyncio",),
    "datetime": ("datetime.py", "_pydatetime.py"),
    "decimal": ("_pydecimal.py",),
    "email": ("email",),
    "http": ("http",),
    "importlib": ("importlib",),
    "inspect": ("inspect.py",),
    "ipaddress": ("ipaddress.py",),
    "logging": ("logging",),
    "mailbox": ("mailbox.py",),
    "multiprocessing": ("multiprocessing",),
    "pathlib": ("pathlib.py", "pathlib"),
    "tarfile": ("tarfile.py",),
    "threading": ("threading.py",),
    "typing": ("typing.py",),
    "unittest": ("unittest",),
    "urllib": ("urllib",),
    "xml": ("xml",),
}
_SHORTEST = 20  # characters; leaves out "See base class."
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


class Docstrings(tfds.core.GeneratorBasedBuilder):
    """One example per docstring, without those that occur in two packages."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name=PYTHON, description=f"of {PYTHON}")
    ]
    BUILT_IN = True  # needs no network

    def _info(self) -> tfds.core.DatasetInfo:
        label = tfds.features.ClassLabel(names=list(_PACKAGES))
        return self.dataset_info_from_configs(
            description=__doc__,
            features=tfds.features.FeaturesDict({"text": tfds.features.Text(), "label": label}),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        distinct = distinct_docstrings(Path(sysconfig.get_path("stdlib")))
        for i, (docstring, package) in enumerate(sorted(distinct.items())):
            yield i, {"text": docstring, "label": package}


def distinct_docstrings(library: Path) -> dict[str, str]:
    """The docstrings that occur in exactly one package, each with that package."""
    packages: dict[str, set[str]] = {}
    for package, entries in _PACKAGES.items():
        for docstring in read_docstrings(library, entries):
            packages.setdefault(docstring, set()).add(package)
    return {key: min(names) for key, names in packages.items() if len(names) == 1}


def read_docstrings(library: Path, entries: tuple[str, ...]) -> Iterator[str]:
    """Docstrings of modules, classes and functions in these files and folders, without tests."""
    for entry in entries:
        path = library / entry
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path] * path.is_file()
        for file in files:
            if {"test", "tests"} & set(file.relative_to(library).parts):
                continue
            yield from docstrings_in(file.read_bytes())


def docstrings_in(source: bytes) -> Iterator[str]:
    """Docstrings of a module, its classes and functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = ast.get_docstring(node) or ""
            if len(docstring) >= _SHORTEST:
                yield docstring


def cut(rows: Rows, split_seed: int) -> dict[str, Rows]:
    """All rows as about 70 / 10 / 20 % for training / validation / test, by content."""
    digest = splits.digests(rows.table["text"])
    return splits.by_content(rows, digest, seed=split_seed, validation=0.1, test=0.2)


def pipeline(
    *,
    vocab_size: int = 4_000,
    max_length: int = 128,
    tokenizer: str = "pieces",
    ngrams: str = "auto",
    num_ngrams: int = 800_000,
    hash_ngrams: bool = False,
    split_seed: int = 0,
) -> Pipeline:
    """About 70 / 10 / 20 % for training / validation / test, by content.

    Tasks without labels use the text of the whole library (`library_text`), without the docstrings
    in the validation and test splits here.

    Args:
        vocab_size: maximum number of tokens in the vocabulary, learnt from the training texts.
        max_length: maximum number of tokens per text; longer texts lose their middle.
        tokenizer: pieces (SentencePiece), bytes (lossless byte-level BPE) or word_pieces (of BERT).
        ngrams: words (1 to 3), characters within words (1 to 5), both, or auto: both up to 4 MB of
            training text, otherwise words.
        num_ngrams: maximum number of n-grams of each kind, by document frequency in training.
        hash_ngrams: ids are hashes of n-grams into `num_ngrams` buckets; no vocabulary is counted.
        split_seed: seed of the split.
    """

    def unlabelled() -> Pipeline:
        from pipelines import library_text  # which imports this file

        sizes = {"vocab_size": vocab_size, "max_length": max_length}
        return library_text.pipeline(**sizes, tokenizer=tokenizer, split_seed=split_seed)

    return Pipeline(
        name="docstrings",
        source=f"docstrings/{PYTHON}:1.0.0",
        splits={"all": "train"},
        schema=classes({"text": Field((), "string")}, tuple(_PACKAGES)),
        cut=lambda rows: cut(rows["all"], split_seed),
        unlabelled=unlabelled,
        forms={
            "pieces": text.pieces_form(vocab_size, max_length, tokenizer=tokenizer),
            "ngrams": ngrams_form(ngrams, num_ngrams, hash_ngrams),
        },
    )
