"""Docstrings of the standard library, by value."""

import asyncio
import inspect
import tarfile

import numpy as np

import pipelines
from pipelines import docstrings
from tests.pipelines.tables import loaded

MODULE = '''"""The module's own words, long enough."""

class A:
    """Short."""

    def f(self):
        """A method's docstring of more than
        one line."""

async def g():
    """An asynchronous function's docstring."""

def h():
    "not " + "a docstring, long as it may be"
'''
EXPECTED = [
    "The module's own words, long enough.",
    "An asynchronous function's docstring.",
    "A method's docstring of more than\none line.",
]


def test_read_docstrings_takes_files_and_folders_without_their_tests(tmp_path):
    (tmp_path / "one.py").write_text(MODULE)
    (tmp_path / "two" / "test").mkdir(parents=True)
    (tmp_path / "two" / "three.py").write_text('"""Words in a file of a package."""')
    (tmp_path / "two" / "test" / "four.py").write_text('"""Words that nobody should see."""')
    assert list(docstrings.read_docstrings(tmp_path, ("one.py", "gone.py"))) == EXPECTED
    assert list(docstrings.read_docstrings(tmp_path, ("two",))) == ["Words in a file of a package."]


def test_docstrings_have_the_package_that_they_document(built_in_data):
    prepared = loaded(pipelines.get("docstrings"), built_in_data)
    texts = [t for r in prepared.rows.values() for t in r.table["text"].tolist()]
    assert len(texts) == len(set(texts)) > 2000
    found = {
        text.decode(): prepared.class_names[label]
        for r in prepared.rows.values()
        for text, label in zip(r.table["text"], r.table["label"], strict=True)
    }
    assert found[inspect.getdoc(asyncio.Event)] == "asyncio"
    assert found[inspect.getdoc(tarfile.TarFile.addfile)] == "tarfile"
    counts = np.bincount(prepared.rows["train"].table["label"], minlength=18)
    assert (counts > 20).all()
