"""The sections about word vectors: which words are asked about, and what is known of questions."""

import numpy as np

from trainers.evaluation import word_vectors as evaluation
from trainers.evaluation.word_vectors import Answered
from trainers.reports import word_vectors


def known(number: int) -> list[str]:
    """Words of letters, with punctuation between them."""
    letters = [f"w{chr(97 + i // 26 % 26)}{chr(97 + i % 26)}" for i in range(number)]
    return [
        word
        for pair in zip(letters, [f".{i}" for i in range(number)], strict=True)
        for word in pair
    ]


def test_neighbours_are_those_of_frequent_words_of_letters(monkeypatch):
    monkeypatch.setattr(evaluation, "similarity", lambda known, vectors: None)
    vectors = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    names = known(200)
    [section] = word_vectors.sections(names, vectors)
    asked = [part.split("<")[0] for part in section.split('<th scope="row">')[1:]]
    assert 10 <= len(asked) <= 20
    assert all(word.isalpha() for word in asked)
    index, cosine = evaluation.nearest(vectors, np.array([names.index(asked[0])]), 1)
    assert f"<td>{names[index[0, 0]]} {cosine[0, 0]:.2f}, " in section


def test_a_single_word_has_no_neighbours(monkeypatch):
    monkeypatch.setattr(evaluation, "similarity", lambda known, vectors: None)
    [section] = word_vectors.sections(["."], np.ones((1, 2), np.float32))
    assert "<td></td>" in section


def test_questions_are_shown_with_their_coverage(monkeypatch):
    monkeypatch.setattr(
        evaluation, "similarity", lambda *_: Answered("WordSim-353", 0.5812, 300, 353)
    )
    sections = [Answered("family", 0.5, 10, 20), Answered("gram1", 0.25, 30, 40)]
    none = Answered("currency", float("nan"), 0, 800)
    monkeypatch.setattr(evaluation, "analogies", lambda *_: [*sections, none])
    drawn = word_vectors.sections(known(5), np.ones((10, 2), np.float32))[1]
    for cells in (
        ("WordSim-353", "0.5812", "300 of 353"),
        ("family", "0.5000", "10 of 20"),
        ("currency", "unknown", "0 of 800"),
        ("all analogies", "0.3125", "40"),  # 5 and 7.5 of 40
    ):
        line = f'<th scope="row">{cells[0]}</th><td>{cells[1]}</td><td>{cells[2]}</td>'
        assert line in drawn.replace("\n", "")
