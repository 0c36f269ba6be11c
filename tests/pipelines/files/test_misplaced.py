"""Several labels in one cell of a target, and texts alone."""

import re

import pytest

from pipelines.files import misplaced


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
    assert f"write a column of 0 and 1 for each and --target={labels}" in misplaced.several_labels(
        "tags", cells
    )


@pytest.mark.parametrize(
    "cells",
    [
        ["red", "blue", "red"],
        ["km/h", "m/s", "mph"],  # no part stands alone or in other company
        ["Smith, John", "Miller, Ann", "Jones, Bob"],
        ["1,5", "2,5"],
        [],
    ],
)
def test_several_labels_has_nothing_to_say_of_single_ones(cells):
    assert misplaced.several_labels("tags", cells) == ""


TEXTS = [f"the food was {word} and warm" for word in ("good", "dull", "fine", "cold")]


def test_only_texts_names_the_pipeline_of_texts():
    expected = "text is a text, .* write mood, a tab and the text .* --pipeline=text_lines"
    columns = {"text": TEXTS, "mood": ["a", "b", "a", "b"]}
    assert re.match(expected, misplaced.only_texts(columns, ["mood"]))
    assert misplaced.only_texts(columns | {"n": ["1", "2", "3", "4"]}, ["mood"]) == ""
    assert misplaced.only_texts({"name": ["Ann", "Bob"], "mood": ["a", "b"]}, ["mood"]) == ""
    assert misplaced.only_texts({"text": ["a b c"] * 9, "mood": ["a"] * 9}, ["mood"]) == ""
