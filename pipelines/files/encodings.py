"""Guesses encodings that fit the bytes of a text file that is not UTF-8."""

# ruff: noqa: RUF001 - letters of other scripts are intended

import codecs
import re
import unicodedata
from typing import NamedTuple

_READ = 2**18  # bytes that are looked at
_SHOWN = 12  # characters of the text that is shown
_MAX_NAMED = 3  # encodings that are named
# Single-byte encodings fit nearly any text: multi-byte ones come first where they fit at all.
_SEVERAL_BYTES = ("gb18030", "big5", "shift_jis", "euc_jp", "euc_kr")
_SINGLE_BYTES = ("cp1252", "cp1251", "cp1250", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r")
_OLD = ("cp437", "mac_roman")
_NAMES = {"gb18030": "gbk"}  # the usual name

_SIGNS = "€£¥°§–—‘’“”„…«»、。，"
_FREQUENT = "äöüßÄÖÜéèêàâçîôûïëñáíóúãõåøæÉÅØÁÑ"  # in western Europe


class _Fit(NamedTuple):
    score: float
    name: str
    text: str


def fitting(path: str) -> list[tuple[str, str]]:
    """Encodings that fit a file, the likeliest first, each with a word as it decodes it.

    The score is the fraction of non-ASCII characters in plausible words: letters of one script,
    lower case within the word, and frequent in the languages that write them.
    """
    with open(path, "rb") as file:
        content = file.read(_READ)
    fits = []
    for order, name in enumerate((*_SEVERAL_BYTES, *_SINGLE_BYTES, *_OLD)):
        try:
            text = codecs.getincrementaldecoder(name)().decode(content)  # last character may be cut
        except UnicodeDecodeError:
            continue
        score = _score(text, name)
        if score > 0:
            fits.append(_Fit(score - order / 1000, name, _example(text)))
    best = sorted(fits, reverse=True)
    likely = [fit for fit in best if fit.score > 0.5 * best[0].score][:_MAX_NAMED]
    return [(_NAMES.get(fit.name, fit.name), fit.text) for fit in likely]


def _score(text: str, name: str) -> float:
    """How plausible a decoded text is, from 0 (not text) to 1."""
    words = [word for word in re.findall(r"\w+", text) if not word.isascii()]
    others = [c for c in text if not c.isascii()]
    if not others:
        return 0.0
    good = sum(_plausible(word, name) * sum(not c.isascii() for c in word) for word in words)
    signs = sum(c in _SIGNS for c in others)
    return (good + 0.8 * signs) / len(others)


def _plausible(word: str, name: str) -> float:
    """How plausible a word is, from 0 to 1: its letters should have one script and one case."""
    letters = [c for c in word if c.isalpha()]
    scripts = {unicodedata.name(c, "?").split()[0] for c in letters}
    if "CJK" in scripts or scripts & {"HIRAGANA", "KATAKANA", "HANGUL"}:
        return _of_asia(letters, name)
    if len(scripts) != 1:
        return 0.0
    one_case = word[1:].islower() or word.isupper() or not any(c.isupper() for c in word[1:])
    script = next(iter(scripts))
    if script == "LATIN":
        plain = sum(c.isascii() for c in letters)
        western = all(c.isascii() or c in _FREQUENT for c in letters)
        return (1.0 if plain >= len(letters) / 2 else 0.6) * one_case * (1.0 if western else 0.7)
    return 0.9 * one_case if len(letters) > 1 else 0.4


def _of_asia(letters: list[str], name: str) -> float:
    """How plausible East Asian letters are: frequent ones are in a standard's first level."""
    level = {"gb18030": "gb2312", "big5": "big5", "shift_jis": "shift_jis"}.get(name, name)
    frequent = 0
    for letter in letters:
        try:
            code = letter.encode(level)
        except UnicodeEncodeError:
            continue
        frequent += len(code) < 2 or _first_level(code, level)
    kana = sum(unicodedata.name(c, "?").startswith(("HIRAGANA", "HANGUL")) for c in letters)
    return min(1.0, 0.2 + 0.75 * frequent / len(letters) + 0.2 * kana / len(letters))


def _first_level(code: bytes, name: str) -> bool:
    lead = code[0]
    return {
        "gb2312": 0xB0 <= lead <= 0xD7,
        "big5": 0xA4 <= lead <= 0xC6,
        "shift_jis": 0x82 <= lead <= 0x97,
        "euc_jp": 0xA4 <= lead <= 0xCF,
        "euc_kr": 0xB0 <= lead <= 0xC8,
    }[name]


def _example(text: str) -> str:
    word = next((w for w in re.findall(r"\w+", text) if not w.isascii()), text.strip())
    return word[:_SHOWN]
