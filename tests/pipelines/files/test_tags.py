"""Several labels in a cell become columns of 0 and 1."""

import numpy as np
import pytest

from pipelines import DataError
from pipelines.files import column_cells, tags, targets

CELLS = ["red|big", "big", "", "new | red", "none", "-", "red|red"]


def columns(cells, mark="|", rows=None):
    rows = np.arange(len(cells)) if rows is None else np.array(rows)
    return tags.columns("tags", column_cells.of(cells), mark, rows)


def test_columns_has_one_for_each_label_in_order():
    found = columns(CELLS)
    assert [column.name for column in found] == ["big", "new", "red"]
    nan = np.nan
    np.testing.assert_array_equal(found[0].values, [1, 1, nan, 0, 0, 0, 0])
    np.testing.assert_array_equal(found[1].values, [0, 0, nan, 1, 0, 0, 0])
    np.testing.assert_array_equal(found[2].values, [1, 0, nan, 1, 0, 0, 1])
    chosen = targets.choose(found)
    assert (chosen.task, chosen.class_names, chosen.outputs) == (
        "multi_label",
        ("big", "new", "red"),
        3,
    )
    assert chosen.present.tolist() == [True, True, False, True, True, True, True]
    np.testing.assert_array_equal(chosen.values[0], [1, 0, 1])


def test_columns_of_some_rows_has_their_labels_alone():
    found = columns(CELLS, rows=[1, 0, 1])
    assert [column.name for column in found] == ["big", "red"]
    np.testing.assert_array_equal(found[1].values, [0, 1, 0])


def test_columns_refuses_cells_without_labels_and_too_many():
    with pytest.raises(DataError, match=r"target 'tags' has no labels between '\|'"):
        columns(["none", "", "-"])
    with pytest.raises(DataError, match="has 1002 different labels, more than 1000: 0, 1, 10"):
        columns([f"{i}|{i + 1}" for i in range(1001)])


@pytest.mark.parametrize(
    ("cells", "asked", "mark"),
    [
        (["red|big", "big", "red"], "", "|"),
        (["red;big", "big", "red"], "", ""),  # said, and taken apart on request
        (["red;big", "big", "red"], ";", ";"),
        (["a|b", "c|d"], "", ""),  # no part comes again
        (["red", "big"], "", ""),
        (["1", "0"], "", ""),
    ],
)
def test_mark_of_is_what_is_asked_or_a_bar(cells, asked, mark):
    assert tags.mark_of(column_cells.of(cells), asked) == mark


def test_remark_says_how_to_undo_what_was_not_asked_for():
    found = columns(CELLS)
    said = tags.remark("tags", "|", found, by_option=False)
    assert said == (
        "tags: cells are taken as labels separated by |, 3 different ones; task=classification "
        "makes each combination a class"
    )
    assert tags.remark("tags", "|", found, by_option=True).endswith("different ones")
