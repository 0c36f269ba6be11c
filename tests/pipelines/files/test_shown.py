"""Texts from outside in messages."""

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from pipelines.files.shown import escaped, one_line, shown


def test_shown_keeps_the_start_and_the_end_of_a_long_text():
    assert shown("photo.png") == "photo.png"
    assert shown("a" * 20 + "b" * 20, longest=10) == "aaaaaa…bbb"
    assert len(shown("x" * 5000)) == 400


def test_shown_is_one_line():
    assert shown("two\nerror: forged") == r"two\nerror: forged"


def test_shown_takes_anything_that_has_a_text():
    assert shown((1, 2)) == "(1, 2)"


def test_escaped_shows_what_would_change_the_line_or_the_terminal():
    assert escaped("Größe 价格 😀") == "Größe 价格 😀"
    assert escaped("a\x1b[31m\r\tb") == r"a\x1b[31m\r\tb"
    assert escaped("inv\u202egnp.exe\u2066") == r"inv\u202egnp.exe\u2066"
    assert escaped("a\u2028b\u200b\xa0\udc80") == r"a\u2028b\u200b\xa0\udc80"
    assert escaped("a\nb") == "a\nb"


@given(st.text(max_size=60) | st.text(st.characters(categories=["Cc", "Cf", "Zl", "Zs"])))
def test_one_line_is_one_that_can_be_printed(message):
    line = one_line(message)
    assert line.isprintable()
    assert "  " not in line


def test_one_line_shortens_long_names_and_long_messages():
    line = one_line(f"/data/{'n' * 5000}.csv:3: column {'c' * 5000}\nis not a number")
    assert len(line) < 900
    assert line.startswith("/data/nnn")
    assert "n.csv:3: column ccc" in line
    assert line.endswith("c is not a number")
    assert len(one_line("word " * 100_000)) == 4000


def test_shown_needs_the_standard_library_only():
    program = (
        "import sys; sys.modules['tensorflow'] = sys.modules['numpy'] = None\n"
        "from pipelines.files.shown import one_line"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
