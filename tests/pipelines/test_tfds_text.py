"""Text sets: the built-in docstrings by value, any set of TFDS by name."""

import asyncio
import inspect
import tarfile

import numpy as np
import pytest

import pipelines
from pipelines import DataError, docstrings
from pipelines.storage import tfds as source

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


def test_docstrings_of_a_file_and_of_a_folder_without_its_tests(tmp_path):
    (tmp_path / "one.py").write_text(MODULE)
    (tmp_path / "two" / "test").mkdir(parents=True)
    (tmp_path / "two" / "three.py").write_text('"""Words in a file of a package."""')
    (tmp_path / "two" / "test" / "four.py").write_text('"""Words that nobody should see."""')
    assert list(docstrings.read_docstrings(tmp_path, ("one.py", "gone.py"))) == EXPECTED
    assert list(docstrings.read_docstrings(tmp_path, ("two",))) == ["Words in a file of a package."]


def test_docstrings_are_those_of_their_package(built_in_data):
    pipeline, rows = source.load(pipelines.get("docstrings"), data_dir=built_in_data)
    prepared = pipelines.prepared(pipeline, rows)
    texts = [t for r in prepared.rows.values() for t in r.table["text"].tolist()]
    assert len(texts) == len(set(texts)) == rows["all"].num_rows > 2000
    found = {
        text.decode(): prepared.class_names[label]
        for r in prepared.rows.values()
        for text, label in zip(r.table["text"], r.table["label"], strict=True)
    }
    assert found[inspect.getdoc(asyncio.Event)] == "asyncio"
    assert found[inspect.getdoc(tarfile.TarFile.addfile)] == "tarfile"
    counts = np.bincount(prepared.rows["train"].table["label"], minlength=18)
    assert (counts > 20).all()


@pytest.mark.parametrize(
    ("dataset", "told"),
    [
        ("mnist", "no text with one label"),
        ("glue/qqp", "choose --pipeline_options=field=question1"),
        ("imdb_review", "nearest: imdb_reviews"),
    ],
)
def test_sets_that_are_not_texts_with_a_label_are_refused(dataset, told):
    with pytest.raises(DataError, match=told):
        pipelines.get("tfds_text", dataset=dataset)


def test_a_field_by_name():
    pipeline = pipelines.get("tfds_text", dataset="glue/qqp", field="question2")
    assert list(pipeline.raw) == ["question2"]
    assert pipeline.task == "binary"
    assert pipeline.target == "label"
