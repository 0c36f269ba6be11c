"""Pieces of HTML: escaped, closed, and with short numbers."""

import pytest

from trainers.reports import html


def test_only_what_is_html_already_is_left_as_it_is():
    inner = html.element("b", "a < b")
    assert html.element("p", inner, "<", title='"') == '<p title="&#34;"><b>a &lt; b</b>&lt;</p>'


def test_a_table_escapes_its_cells():
    found = html.table(["a"], [["<script>"], ["b"]])
    assert '<th scope="row">&lt;script&gt;</th>' in found
    assert found.startswith('<div class="wide">')
    assert html.table(["a"], [["b"]] * 61).startswith('<div class="wide long">')


def test_names_from_outside_cannot_turn_lines_around_or_make_them_endless():
    assert html.element("b", "gpj\u202e.exe\x1b[31m") == r"<b>gpj\u202e.exe\x1b[31m</b>"
    assert html.element("p", title="\u2066a\udc80") == r'<p title="\u2066a\udc80"></p>'
    assert html.element("p", "c" * 5000) == f"<p>{'c' * 266}…{'c' * 133}</p>"
    text = "a review, word by word " * 300 + "👨\u200d👩\xa0\n"
    assert html.element("p", text) == f"<p>{text}</p>"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.94213, "0.9421"),
        (12.3456, "12.35"),
        (148213.2, "148\u202f213"),
        (1002.345, "1\u202f002.35"),
        (205904816, "2.059e+08"),
        (0.000123, "0.00012"),
        (0, "0.0000"),
        (0.999967, "0.999967"),
        (1.0, "1.0000"),
    ],
)
def test_numbers_are_short(value, shown):
    assert html.number(value) == shown


def test_differences_have_their_sign_and_no_rounding():
    assert html.signed(0.205, 0.9) == "+0.2050"
    assert html.signed(-1.9e-8, 0.97) == "0"
    assert html.count(122570) == "122\u202f570"
