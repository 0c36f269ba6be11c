"""Makes outside text safe for messages: names of files, columns and classes, cells, requests.

Such a text may be a megabyte long, break the line, colour the terminal, or reverse the rest of the
line (Unicode TR 36, section 3.3). Standard library only, so that early errors can use it.
"""

import re

LONGEST = 400  # characters of a name, and of a word in a line; paths have at most 4096
_LONGEST_LINE = 4000
_WORDS = re.compile(rf"\S{{{LONGEST + 1},}}")


def shown(text: object, longest: int = LONGEST) -> str:
    r"""The text on one line: escaped, including \n, and without its middle if it is longer."""
    text = str(text)
    if len(text) > longest:
        end = longest // 3
        text = f"{text[: longest - end - 1]}…{text[len(text) - end :]}"
    return escaped(text).replace("\n", r"\n")


def escaped(text: str) -> str:
    r"""The text with \x1b, \u202e and the like for control, format and unpaired characters.

    Spaces other than the ASCII one are escaped too; line feeds stay.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )


def one_line(message: str) -> str:
    """A whole message as one line: escaped, single spaces, very long words without their middle.

    So messages can contain names as they are.
    """
    line = " ".join(message[: 16 * _LONGEST_LINE].split())
    return shown(_WORDS.sub(lambda word: shown(word[0]), line), _LONGEST_LINE)
