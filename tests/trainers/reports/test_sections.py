"""Sections that several tasks share, by value."""

import re

import numpy as np

from trainers.evaluation import statistics
from trainers.reports import sections


def words(body: str) -> str:
    """The text between the tags."""
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def cells(body: str) -> dict[str, str]:
    return dict(re.findall(r'title="(\w+ predicted as \w+): [^"]*">(\d*)</td>', body))


def test_the_confusion_matrix_by_hand():
    target, answered = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 2, 0])
    found = cells(sections.confusion(target, answered, ("a", "b", "c")))
    named = {"a predicted as a": "1", "a predicted as b": "1", "b predicted as b": "1"}
    named |= {"c predicted as c": "2", "c predicted as a": "1"}
    assert {pair: number for pair, number in found.items() if number} == named
    assert len(found) == 9
    scores = words(sections.per_class(target, answered, ("a", "b", "c")))
    assert "a 0.500 0.500 0.500 2 b 0.500 1.000 0.667 1 c 1.000 0.667 0.800 3" in scores


def test_of_many_classes_the_most_confused_pairs_are_shown():
    names = [f"n{i}" for i in range(30)]
    target = np.concatenate([np.arange(30), [4, 4, 4, 7, 7]])
    answered = np.concatenate([np.arange(30), [9, 9, 9, 8, 8]])
    found = words(sections.confusion(target, answered, names))
    assert "The 2 pairs of 30 classes" in found
    assert "n4 n9 3 75.0 % n7 n8 2 66.7 %" in found


def test_labels_by_hand():
    true = np.array([[1, 0], [1, 0], [0, 0], [0, 0]], bool)
    probability = np.array([[0.9, 0.9], [0.4, 0.1], [0.6, 0.1], [0.1, 0.1]])
    found = words(sections.labels(true, probability, ("a", "b")))
    # a: one hit, one false alarm, one miss; of its four pairs three are in order.
    assert "a 0.500 0.500 0.500 0.750 2 b 0.000 0.000 0.000 none 0" in found


def test_wrong_classes_are_the_surest_first():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.05, 0.95]])
    found = sections.wrong_classes(probabilities, np.array([1, 0, 1, 1]), ("no", "yes"), 2)
    assert found.index.tolist() == [0, 1]
    assert found.entries[0] == ("no 90.0 %", "yes 10.0 %")
    assert found.remark.startswith("3 of 4 test rows are misclassified")


def test_calibration_names_its_error():
    found = statistics.calibration(np.array([1.0, 1.0]), np.array([True, False]))
    assert "Expected calibration error 0.5000" in words(sections.calibration(found, "p", "f"))


def test_a_roc_curve_needs_both_classes():
    assert "no ROC curve" in sections.roc(np.ones(3, int), np.ones(3), "yes")
    curve = sections.roc(np.array([0, 1, 1]), np.array([0.1, 0.4, 0.9]), "yes")
    assert "ROC curve of yes" in curve


def test_a_percentage_never_rounds_up_to_all():
    assert sections.percent(0.99999) == "99.999 %"
    assert sections.percent(1.0) == "100.0 %"
    assert sections.percent(0.123) == "12.3 %"


def test_a_class_without_test_rows_does_not_lower_the_mean():
    found = words(sections.per_class(np.array([0, 1]), np.array([0, 1]), ("a", "b", "c")))
    assert "mean of the 2 that occur 1.000 1.000 1.000 2" in found


def test_a_fraction_below_one_is_not_shown_as_one():
    assert "0.99966" in sections._bar(2999 / 3000)
    assert "1.000" in sections._bar(1.0)
