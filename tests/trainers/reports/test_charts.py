"""Pieces of report.html by value: tables, pictures and axes."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from trainers.reports import charts, examples, html, sections


def words(body: str) -> str:
    """The text between the tags."""
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def cells(body: str) -> dict[str, str]:
    return dict(re.findall(r'title="(\w+ answered as \w+): [^"]*">(\d*)</td>', body))


def test_the_confusion_matrix_by_hand():
    target, said = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 2, 0])
    found = cells(sections._confusion(target, said, ("a", "b", "c"), []))
    named = {"a answered as a": "1", "a answered as b": "1", "b answered as b": "1"}
    named |= {"c answered as c": "2", "c answered as a": "1"}
    assert {place: number for place, number in found.items() if number} == named
    assert len(found) == 9
    scores = words(sections._per_class(target, said, ("a", "b", "c")))
    assert "a 0.500 0.500 0.500 2 b 0.500 1.000 0.667 1 c 1.000 0.667 0.800 3" in scores


def test_of_many_classes_the_most_confused_pairs_are_shown():
    names = [f"n{i}" for i in range(30)]
    target = np.concatenate([np.arange(30), [4, 4, 4, 7, 7]])
    said = np.concatenate([np.arange(30), [9, 9, 9, 8, 8]])
    found = words(sections._confusion(target, said, names, []))
    assert "The 2 pairs of 30 classes" in found
    assert "n4 n9 3 75.0 % n7 n8 2 66.7 %" in found


def test_grey_and_large_images_are_shown():
    grey = np.arange(0, 96, dtype=np.uint8).reshape(8, 12, 1)
    picture = Image.open(io.BytesIO(base64.b64decode(examples.png(grey).partition(",")[2])))
    np.testing.assert_array_equal(np.asarray(picture), grey[..., 0])
    large = np.zeros((300, 600, 3), np.uint8)
    picture = Image.open(io.BytesIO(base64.b64decode(examples.png(large).partition(",")[2])))
    assert picture.size == (160, 80)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (0.83, 1.01, [0.85, 0.9, 0.95, 1.0]), (3, 3, [3])],
)
def test_ticks_are_round_numbers(low, high, expected):
    assert charts.ticks(low, high) == pytest.approx(expected)


def test_numbers_are_short():
    shown = {
        0.94213: "0.9421",
        12.3456: "12.35",
        148213.2: "148\u202f213",
        1002.345: "1\u202f002.35",
        205904816: "2.059e+08",
        0.000123: "0.00012",
    }
    assert {value: html.number(value) for value in shown} == shown
    assert html.signed(0.205, 0.9) == "+0.2050"
    assert html.signed(-1.9e-8, 0.97) == "0"


def test_only_what_is_html_already_is_left_as_it_is():
    inner = html.element("b", "a < b")
    assert html.element("p", inner, "<", title='"') == ('<p title="&quot;"><b>a &lt; b</b>&lt;</p>')
