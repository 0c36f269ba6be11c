"""What is predicted from a table, and for which task."""

import numpy as np
import pytest

from pipelines import DataError
from tests.pipelines.tables import joined, load_csv, write


def table_of(tmp_path, values) -> str:
    return write(tmp_path / "t.csv", [["x", "y"], *([i / 3, v] for i, v in enumerate(values))])


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        ([0, 1], "binary", ("0", "1")),
        (["1.0", "0"], "binary", ("0", "1")),
        (["yes", "no"], "binary", ("no", "yes")),
        ([10, 9, 8], "classification", ("8", "9", "10")),
        (list("cab"), "classification", ("a", "b", "c")),
        (list(range(20)), "classification", tuple(str(i) for i in range(20))),
        (list(range(0, 42, 2)), "regression", ()),
        ([*range(21), 7, 7, 7, 7], "regression", ()),  # 7 is five times as frequent
        ([0.5, 1, 2], "regression", ()),
    ],
)
def test_choose_infers_the_task(values, task, classes, tmp_path):
    prepared = load_csv(table_of(tmp_path, values * (300 // len(values))))
    assert (prepared.task, prepared.class_names) == (task, classes)
    found = sorted(set(joined(prepared, "y").tolist()))
    assert found == (sorted(set(values)) if task == "regression" else list(range(len(classes))))
    assert joined(prepared, "y").dtype == (np.float32 if task == "regression" else np.int64)


def test_choose_takes_the_task_that_is_asked_for(tmp_path):
    path = table_of(tmp_path, [0, 1, 2] * 80)
    assert load_csv(path, task="regression").task == "regression"
    assert load_csv(path, task="classification").class_names == ("0", "1", "2")
    with pytest.raises(DataError, match="has 3 values"):
        load_csv(path, task="binary")
    with pytest.raises(DataError, match="is unknown; expected regression"):
        load_csv(path, task="regresion")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["a"] * 40, "is a in every row"),
        ([""] * 40, "missing in every row"),
        ([f"v{i}" for i in range(40)], "40 different values in 40 rows, too many"),
    ],
)
def test_choose_refuses_targets_without_anything_to_learn(values, reason, tmp_path):
    with pytest.raises(DataError, match=reason):
        load_csv(table_of(tmp_path, values))


def test_choose_makes_labels_of_several_columns(tmp_path):
    rows = [["x", "red", "blue", "late"]]
    rows += [[i / 3, i % 2, "yes" if i % 3 else "NO", i % 5 == 0] for i in range(300)]
    prepared = load_csv(write(tmp_path / "t.csv", rows), "red,blue,late")
    assert prepared.task == "multi_label"
    assert prepared.class_names == ("red", "blue", "late")
    assert prepared.spec.num_outputs == 3
    table = {k: joined(prepared, k) for k in ("x", "red,blue,late")}
    number = np.round(table["x"] * 3).astype(int)
    expected = np.stack([number % 2, number % 3 > 0, number % 5 == 0], axis=1)
    np.testing.assert_array_equal(table["red,blue,late"], expected.astype(np.float32))
    with pytest.raises(DataError, match=r"each of several targets must be 0 or 1; x has '0\.333"):
        load_csv(tmp_path / "t.csv", "x,red")


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["0.3", "0.30000000000000004"], ("0.3", "0.30000000000000004")),
        (["9007199254740992", "9007199254740994"], ("9007199254740992.0", "9007199254740994.0")),
    ],
)
def test_classes_that_are_alike_in_fifteen_digits_stay_apart(values, names, tmp_path):
    prepared = load_csv(table_of(tmp_path, values * 150), task="classification")
    assert prepared.class_names == names
    assert np.bincount(joined(prepared, "y")).min() > 0


def test_a_class_that_looks_like_a_missing_value_is_only_asked_about(tmp_path, logged):
    prepared = load_csv(table_of(tmp_path, [1, 2, 3, 4, 5, 6, 99] * 40))
    assert prepared.class_names == ("1", "2", "3", "4", "5", "6", "99")
    assert len(joined(prepared, "y")) == 280
    assert any("99" in line and "missing=y:99" in line for line in logged())
