"""Pieces of HTML. All text is escaped unless it is HTML that this package made itself."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import markupsafe
from markupsafe import Markup as Html

from pipelines.files.shown import escaped, shown

_LONG = 60  # rows; a longer table scrolls by itself
# Control characters, those that change the direction of text, and surrogates, which UTF-8 cannot
# encode. Joiners and spaces stay: scripts and emoji need them.
_UNSAFE = re.compile(
    r"[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_LONG_WORD = re.compile(r"\S{401,}")


def escape(text: Any) -> Html:
    """Text as HTML: it cannot add a tag, change the direction of a line or make it endless."""
    if isinstance(text, Html):
        return text
    plain = _UNSAFE.sub(lambda match: escaped(match[0]), str(text))
    return markupsafe.escape(_LONG_WORD.sub(lambda word: shown(word[0]), plain))


def whole(text: str) -> Html:
    """As `escape`, but long words stay as they are: a command is copied."""
    return markupsafe.escape(_UNSAFE.sub(lambda match: escaped(match[0]), text))


def join(parts: Iterable[Any], between: str = "\n") -> Html:
    """Parts one after the other, each escaped."""
    return Html(between).join(map(escape, parts))  # noqa: S704 the separator is ours


def element(tag: str, *content: Any, **attributes: Any) -> Html:
    """`<tag attribute="...">content</tag>`; a trailing underscore of a name is left out."""
    written = "".join(f' {k.rstrip("_")}="{escape(v)}"' for k, v in attributes.items())
    # Tag and names are ours; values and content are escaped.
    return Html(f"<{tag}{written}>{join(content, '')}</{tag}>")  # noqa: S704


def section(title: str, *content: Any) -> Html:
    """A titled part of the page, with an anchor."""
    anchor = "-".join(title.lower().split())
    return element("section", element("h2", title), join(content), id=anchor)


def note(*content: Any) -> Html:
    """A remark in a less prominent style."""
    return element("p", *content, class_="note")


def figure(svg: Html, caption: Any) -> Html:
    """A chart over its caption."""
    return element("figure", svg, element("figcaption", caption))


def figures(*content: Html) -> Html:
    """Charts beside each other where there is room."""
    return element("div", *content, class_="figures")


def table(header: Sequence[Any], rows: Iterable[Sequence[Any]], *, kind: str = "") -> Html:
    """A table that scrolls where it is too wide; the first cell of each row is its heading.

    Args:
        kind: class of the table, for its style.
    """
    rows = list(rows)
    head = element("thead", element("tr", *(element("th", cell, scope="col") for cell in header)))
    lines = [
        element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in rest))
        for first, *rest in rows
    ]
    return element(
        "div",
        element("table", head, element("tbody", *lines), class_=kind),
        class_="wide long" if len(rows) > _LONG else "wide",
    )


def number(value: float) -> str:
    """A measured value in few digits: 0.9421, 12.35, 1 002.35, 48 213, 2.059e+08."""
    size = abs(value)
    if 0.99995 <= size < 1:
        return f"{int(value * 1e6) / 1e6:.6f}"  # below 1 is never shown as 1
    if size >= 1e7:
        return f"{value:.4g}"
    if size >= 10:
        shown = f"{value:,.0f}" if size >= 1e4 else f"{value:,.2f}"
        return shown.replace(",", "\N{NARROW NO-BREAK SPACE}")
    return f"{value:.4f}" if size >= 1e-3 or value == 0 else f"{value:.2g}"


def signed(difference: float, of: float) -> str:
    """A difference with its sign, +0.2050; 0 if it is only rounding of values like `of`."""
    if abs(difference) <= 1e-6 * abs(of):
        return "0"
    return f"{'+' if difference > 0 else ''}{number(difference)}"


def count(value: int) -> str:
    """A number of things: 122 570."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
