"""Several labels in one cell of a target, and texts alone."""

import pytest

from pipelines.files import column_cells, misplaced


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["red", "none", "red|big", "big|new", "", "new", "big|red"], "big,new,red"),
        (["red", "big", "red|big", "none"], "big,red"),
        (["a; b", "b; c", "a", "c"], "a,b,c"),
        (["x/y", "y/z", "z/x"], "x,y,z"),
    ],
)
def test_several_labels_offers_a_column_for_each(cells, labels):
    said = misplaced.several_labels("tags", column_cells.of(cells))
    assert f"write a column of 0 and 1 for each and --target={labels}" in said


@pytest.mark.parametrize(
    "cells",
    [
        ["red", "blue", "red"],
        ["km/h", "m/s", "mph"],  # no part stands alone or in other company
        ["Smith, John", "Miller, Ann", "Jones, Bob"],
        ["1,5", "2,5"],
        ["1e+5", "2e+5", "3e+5"],
        [],
    ],
)
def test_several_labels_has_nothing_to_say_of_single_ones(cells):
    assert misplaced.several_labels("tags", column_cells.of(cells)) == ""


TEXTS = [f"the food was {word} and warm" for word in ("good", "dull", "fine", "cold")]


def only_texts(**inputs):
    return misplaced.only_texts({k: column_cells.of(v) for k, v in inputs.items()}, ["mood"])


def test_only_texts_names_the_pipeline_of_texts():
    expected = "text is a text, and the only input: train on it with --pipeline=text_table "
    assert only_texts(text=TEXTS) == f"{expected}--target=mood"
    assert only_texts(text=["这部电影不算好", "她的新书很精彩"])
    assert only_texts(text=TEXTS, n=["1", "2", "3", "4"]) == ""
    assert only_texts(name=["Ann", "Bob"]) == ""
    assert only_texts(title=TEXTS, text=TEXTS) == ""  # which the model `tabular` takes
    assert only_texts(text=["a b c"] * 9) == ""
