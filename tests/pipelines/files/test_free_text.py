"""Which columns are free text: sentences are, identifiers and categories are not."""

import hashlib

import pytest

from pipelines.files import free_text

WORDS = ("the", "price", "of", "small", "houses", "rose", "in", "north", "and", "fell")
SENTENCES = [" ".join(WORDS[(i * k + k) % 10] for k in range(1, 7)) + f" {i}." for i in range(60)]
CHARACTERS = "今天电影很好看我们去买东西他说不"
CHINESE = ["".join(CHARACTERS[(i * k + k) % 16] for k in range(1, 9)) + str(i) for i in range(60)]
HASHES = [hashlib.sha256(f"{i}".encode()).hexdigest() for i in range(180)]


def codes(parts: int) -> list[str]:
    """Texts of several parts, of which no two are alike."""
    return [" ".join(f"k{h[:12]}" for h in HASHES[i : i + parts]) for i in range(0, 180, parts)]


@pytest.mark.parametrize(
    ("cells", "free"),
    [
        (SENTENCES, True),
        (CHINESE, True),
        ([f"{s} {s}" for s in CHINESE], True),
        (SENTENCES[:19], False),  # too few to tell
        ([SENTENCES[i % 25] for i in range(60)], False),  # each occurs again: a category
        ([SENTENCES[i % 45] for i in range(60)], True),
        ([f"{s} {i // 60}" for s in SENTENCES for i in range(1020)], True),
        ([f"{s} {i // 120}" for s in SENTENCES for i in range(1020)], False),
        ([f"Ann Smith {i}" for i in range(60)], False),  # two words and a number
        (HASHES, False),
        ([f"https://example.org/the-price-of-house/{i}" for i in range(60)], False),
        (codes(4), False),
        ([f"{i} {i + 1} {i + 2} {i + 3}" for i in range(60)], False),
    ],
)
def test_is_free_of_texts_and_of_what_looks_like_them(cells, free):
    counts = {}
    for cell in cells:
        counts[cell] = counts.get(cell, 0) + 1
    assert free_text.is_free(counts) == free


def test_mean_words_counts_two_characters_without_spaces_as_a_word():
    assert free_text.mean_words({"Two words, 3": 5, "one": 1}) == 1.5
    assert free_text.mean_words({"电影好看 ok": 1}) == 3
    assert free_text.mean_words({}) == 0
