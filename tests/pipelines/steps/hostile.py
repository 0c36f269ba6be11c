"""Texts that tokenizers get wrong, and Hugging Face's `tokenizers` configured as ours are."""

import importlib.util
import random
import unicodedata

import pytest

from tests.conftest import ROOT

TEXTS = (
    *("", " ", "\n", "  \n\t ", "a", "The film's best, isn't it? I'll say we've   seen\n\n  it."),
    *("it's 's ''s 'll'll 're've 'x 'r 'l' '", "IT'S DON'T", "  'tis", "x'st y'lls 5's 's5"),
    *(
        "中文电影很好看。我喜欢\uff01",
        "日本語のテキスト と 한국어 텍스트",
        "ภาษาไทยไม่มีช่องว่าง",
        "हिन्दी में",
    ),
    *(
        "👩\u200d👩\u200d👧\u200d👦 👍🏽 🏳️\u200d🌈 🇩🇪",
        "e\u0301 o\u0308\u0304 \u0301x a\u0300\u0316b",
        "ﬁ Å Å ½ Ⅷ ٣٤ ५",
    ),
    *("\x00\x01\x07a\x7fb\x80\x85c\x9f", "\ufeffx\u200by\u00adz\u2060 \ue000 \ufffd\ufffe"),
    *("İstanbul I \u0131 ΣΑΣ ΟΔΟΣ ς ẞ ß Ǆ ǅ Ⅷ Ⓐ", "[MASK] [CLS] ## ##ing #a ▁ ▁the Ġ ĠĊ <unk>"),
    *("$+<=>^`|~ @ _ \\ a_b a-b 1,000.5 3rd 2024", "http://a.b/c?d=e&f#g x@y.z", "a\u3000b\u2028c"),
    " ".join(chr(code) for code in (9, 10, 11, 12, 13, 0x85, 0xA0, 0x1680, 0x202F, 0x205F, 0x3000)),
    *("".join(map(chr, range(0x2000, 0x2070))), "x\u2003 y \u2003z \n w\r\nv \x1c\x1d\x1e\x1f u"),
    *("a" * 100, "a" * 101, "b" * 5000, "the" * 40, "é" * 100 + " " + "é" * 101, "ab" * 3000),
    *(
        "-" * 300,
        "!?" * 200,
        " " * 300 + "x",
        "\n" * 300,
        "\U0010ffff\U000e0001",
        "\U0002b820\U0002b91f\U0002b920\U0001d49c\U0001d4d1 𠀀𪜀𫠝",
    ),
)
_PARTS = (
    *(
        "'",
        "s",
        "t",
        "re",
        "ll",
        "D",
        " ",
        " ",
        "  ",
        "\n",
        "\u3000",
        "\x85",
        "1",
        "½",
        "!",
        ".",
        "#",
    ),
    *(
        "é",
        "e\u0301",
        "好",
        "😀",
        "\u200d",
        "٣",
        "\x00",
        "İ",
        "Σ",
        "한",
        "\ufffd",
        "$",
        "the",
        "ing",
    ),
)


def drawn(number: int, longest: int) -> list[str]:
    """Texts of random parts."""
    draw = random.Random(0)  # noqa: S311
    return ["".join(draw.choices(_PARTS, k=draw.randrange(longest))) for _ in range(number)]


def of_all_characters() -> list[str]:
    """Texts with each character of Unicode 3.2: later ones are not the same in every library."""
    category = unicodedata.ucd_3_2_0.category
    known = [c for c in map(chr, range(0x110000)) if category(c) not in ("Cn", "Co", "Cs")]
    around = [f"a{c}1{c}{c} {c}'s" for c in known]
    return ["".join(around[i : i + 50]) for i in range(0, len(around), 50)]


def hugging_face():
    """benchmarks/hf_tokenizers.py."""
    pytest.importorskip("tokenizers")  # of the extra `text`, which CI installs
    spec = importlib.util.spec_from_file_location(
        "hf_tokenizers", f"{ROOT}/benchmarks/hf_tokenizers.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words(made, text: str) -> list[str]:
    """What a tokenizer cuts into pieces."""
    if made.normalizer:
        text = made.normalizer.normalize_str(text)
    return [word for word, _ in made.pre_tokenizer.pre_tokenize_str(text)]
