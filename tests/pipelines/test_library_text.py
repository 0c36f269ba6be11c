"""Running text of the standard library, and what is kept out of it."""

import numpy as np
import pytest

import pipelines
from pipelines import docstrings, library_text
from pipelines.core.pipeline import Rows
from tests.pipelines.tables import loaded
from trainers.tasks import registry
from zoo.spec import Field

SOURCE = b'''#!/usr/bin/env python
# The first comment of the file, which is long enough
# to be read as one text.
#
# ------------------------------------
x = 1  # beside code it is no text, however long it may be, and ends the block
# Short.

def f():
    """A docstring, which the other function reads."""
    # Another block, inside a function, of which
    # two lines are one text.
'''


def test_comments_are_blocks_of_lines_of_their_own():
    assert list(library_text.comments_in(SOURCE)) == [
        "The first comment of the file, which is long enough\nto be read as one text.",
        "Another block, inside a function, of which\ntwo lines are one text.",
    ]


def test_read_texts_leaves_tests_out(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.py").write_bytes(SOURCE)
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "c.py").write_bytes(SOURCE)
    kinds = [kind for kind, _ in library_text.read_texts(tmp_path)]
    assert kinds == ["docstring", "comment", "comment"]


def test_what_docstrings_tests_on_is_kept_out_with_all_that_has_a_line_of_it():
    random = np.random.default_rng(0)
    lines = ["".join(random.choice(list("abcdefgh "), 50)) + "." for _ in range(400)]
    listed = [
        f"{line}\nA second line of docstring {i} in the list.".encode()
        for i, line in enumerate(lines)
    ]
    quoting = [b"See below.\n    " + text.split(b"\n")[0] + b"\nAnd more." for text in listed]
    others = [f"A comment that has nothing of them, number {i}".encode() for i in range(400)]
    kind = [2] * 400 + [0] * 400 + [1] * 400
    table = {"text": np.array(listed + quoting + others, object), "kind": np.array(kind)}
    fields = {"text": Field((), "string"), "kind": Field((), "int64")}
    rows = Rows(1200, fields, "kind", table=table)
    parts = library_text.pipeline(split_seed=3).cut({"all": rows})
    of_docstrings = docstrings.cut(
        rows._replace(num_rows=400, table={n: c[:400] for n, c in table.items()}), 3
    )
    held = {t for n in ("validation", "test") for t in of_docstrings[n].table["text"].tolist()}
    first_lines = {text.split(b"\n")[0] for text in held}
    left = [t for part in parts.values() for t in part.table["text"].tolist()]
    assert len(held) > 80
    assert len(left) == len(set(left)) == 1200 - 2 * len(held)
    assert not any(line in text for text in left for line in first_lines)
    in_training = set(parts["train"].table["text"].tolist())
    assert set(of_docstrings["train"].table["text"].tolist()) <= in_training


def test_docstrings_without_labels_is_this_text_under_its_own_sizes():
    pipeline = pipelines.get("docstrings", vocab_size=99, max_length=17, split_seed=5)
    unlabelled = registry.source("masked_lm", pipeline)
    assert unlabelled.name == "library_text"
    assert unlabelled.options["split_seed"] == 5
    pipeline, schema = registry.over("masked_lm", unlabelled, unlabelled.schema, {})
    assert schema.target is None


@pytest.mark.slow
def test_no_text_has_a_line_of_the_docstrings_that_are_tested_on(built_in_data):
    rows = loaded(pipelines.get("library_text"), built_in_data).rows
    of_docstrings = loaded(pipelines.get("docstrings"), built_in_data).rows
    texts = [text for part in rows.values() for text in part.table["text"].tolist()]
    assert len(texts) == len(set(texts)) > 10_000
    for name in ("validation", "test"):
        for text in of_docstrings[name].table["text"].tolist():
            long = [line for line in text.split(b"\n") if len(line.strip()) >= 40]
            assert text not in texts
            for line in long[:1]:
                assert not any(line.strip() in other.split(b"\n") for other in texts[:200])
    assert set(of_docstrings["train"].table["text"].tolist()) & set(
        rows["train"].table["text"].tolist()
    )
