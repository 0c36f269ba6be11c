"""Docstrings of the Python standard library, by the package they document: text without download.

Read from the source files of the Python that runs; its version is the name of the configuration.
"""

import ast
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import tensorflow_datasets as tfds

from pipelines import Pipeline
from pipelines.core import splits
from pipelines.steps import text
from zoo.spec import Field

# Packages of every installation of Python 3.11 to 3.14, and the files that they are in.
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
_SHORTEST = 20  # characters; "See base class." says nothing of the package
_VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"


class Docstrings(tfds.core.GeneratorBasedBuilder):
    """One example a docstring; one that stands in two packages is in neither."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name=_VERSION, description=f"of {_VERSION}")
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
        packages: dict[str, set[str]] = {}
        for package, entries in _PACKAGES.items():
            for found in read_docstrings(Path(sysconfig.get_path("stdlib")), entries):
                packages.setdefault(found, set()).add(package)
        distinct = {found: min(names) for found, names in packages.items() if len(names) == 1}
        for i, (found, package) in enumerate(sorted(distinct.items())):
            yield i, {"text": found, "label": package}


def read_docstrings(library: Path, entries: tuple[str, ...]) -> Iterator[str]:
    """Docstrings of modules, classes and functions in these files and folders, tests left out."""
    for entry in entries:
        place = library / entry
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place] * place.is_file()
        for file in files:
            if {"test", "tests"} & set(file.relative_to(library).parts):
                continue
            for node in ast.walk(ast.parse(file.read_bytes())):
                if isinstance(
                    node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
                ):
                    found = ast.get_docstring(node) or ""
                    if len(found) >= _SHORTEST:
                        yield found


def pipeline(*, vocab_size: int = 4_000, max_length: int = 128, split_seed: int = 0) -> Pipeline:
    """About 70 / 10 / 20 % for training / validation / test, by content.

    Args:
        vocab_size: pieces in the vocabulary, which is learnt from the training texts.
        max_length: pieces of a text that are read.
        split_seed: which of the many such splits.
    """
    learn, bind = text.steps(vocab_size, max_length)

    def prepare(rows, state):
        digest = splits.digests(rows["all"].table["text"])
        parts = splits.by_content(rows["all"], digest, seed=split_seed, validation=0.1, test=0.2)
        return learn(parts, state)

    return Pipeline(
        name="docstrings",
        source=f"docstrings/{_VERSION}:1.0.0",
        splits={"all": "train"},
        task="classification",
        target="label",
        class_names=tuple(_PACKAGES),
        raw={"text": Field((), "string")},
        prepare=prepare,
        bind=bind,
        padded=("tokens",),
    )
