"""Word vectors as the start of a text model's token embedding."""

import numpy as np
import pytest

import zoo
from pipelines.steps.pieces import SPECIAL
from tests.conftest import fake_pipeline, tiny_settings
from trainers.devices import strategy
from trainers.errors import ArtefactError, UsageError
from trainers.store.run_folder import Run
from trainers.training import compile
from trainers.training.start import sources, vectors

PATH = "token_embedding/embeddings"


def initialised(model: str, path, data: str = "imdb", text: str | None = None, **changes):
    """The weights before and after, and the pieces."""
    if text is not None:
        path.write_text(text, encoding="utf-8")
    settings = tiny_settings(model, path.parent / "run", init_from=(str(path),), **changes)
    prepared = fake_pipeline(data)
    built = compile.compiled(settings, prepared, strategy.choose(1), "float32")
    before = {v.path: v.numpy() for v in built.weights}
    sources.initialise(built, Run(path.parent / "run", "7", settings, prepared, {}))
    pieces = prepared.state["inputs/pieces"]["vocabulary"].tolist() if data == "imdb" else []
    return before, {v.path: v.numpy() for v in built.weights}, pieces


def file_of(words: list[str], width: int) -> str:
    lines = [f"{word} {' '.join(['0.5'] * width)}" for word in words]
    return "\n".join([f"{len(words)} {width}", *lines]) + "\n"


@pytest.mark.parametrize("model", ["rnn", "transformer_encoder", "bert_tiny"])
def test_whole_words_begin_with_their_vectors_and_all_else_as_drawn(model, tmp_path, caplog):
    caplog.set_level("INFO", "trainers")
    drawn = initialised_width(model)
    text = file_of(["the", "Film", "oo", "zebra"], drawn)
    before, after, pieces = initialised(model, tmp_path / "a.vec", text=text)
    taken = [pieces.index("\u2581the"), pieces.index("\u2581film")]
    np.testing.assert_array_equal(after[PATH][taken], np.full((2, drawn), 0.5, np.float32))
    rest = np.setdiff1d(np.arange(len(pieces)), taken)
    np.testing.assert_array_equal(after[PATH][rest], before[PATH][rest])
    for path in before.keys() - {PATH}:
        np.testing.assert_array_equal(after[path], before[path])
    whole = sum(piece.startswith("\u2581") and len(piece) > 1 for piece in pieces)
    assert f"vectors of 2 of {whole} whole words, among {len(pieces)} pieces" in caplog.text


def initialised_width(model: str) -> int:
    entry = zoo.get(model)
    return {**zoo.describe(model).hparams, **entry.tiny}["width"]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"vocabulary": ["\u2581the", "the", "\u2581"], "tokenizer": "pieces"}, {"the": 5}),
        ({"vocabulary": ["\u2581the"]}, {"the": 5}),  # of an earlier version
        (
            {"vocabulary": ["the", "##ing", "\u2581"], "tokenizer": "word_pieces"},
            {"the": 5, "\u2581": 7},
        ),
        ({"merges": ["t h"], "tokenizer": "bytes"}, {}),
    ],
)
def test_whole_words_are_those_of_the_tokenizer(part, expected):
    if "vocabulary" in part:
        part = {**part, "vocabulary": np.array([*SPECIAL, *part["vocabulary"]])}
    assert vectors._whole_words(part) == expected


def test_files_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(ArtefactError, match=r"a\.txt:1: a word vector of 3 numbers, expected"):
        initialised("rnn", path, text=file_of(["the"], 3))
    width = initialised_width("rnn")
    with pytest.raises(ArtefactError, match=r"a\.txt has none of the \d+ whole words"):
        initialised("rnn", path, text=file_of(["zebra"], width))
    with pytest.raises(UsageError, match="no embedding of pieces of words"):
        initialised("mlp_binary", path, data="breast_cancer", text=file_of(["the"], 3))


def test_missing_files_and_other_kinds_are_refused_at_once(tmp_path):
    (tmp_path / "a.csv").touch()
    for name, state in (("b.txt", "it does not exist"), ("a.csv", "it is none of these")):
        with pytest.raises(UsageError, match=rf"word vectors \(\.txt, \.vec\), .*; {state}"):
            tiny_settings("rnn", tmp_path / "run", init_from=(str(tmp_path / name),))


def test_an_earlier_source_keeps_the_embedding(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "trainers")
    path, first = tmp_path / "a.txt", tmp_path / "a.keras"
    first.touch()
    path.write_text(file_of(["the"], initialised_width("rnn")))
    settings = tiny_settings("rnn", tmp_path / "run", init_from=(str(first), str(path)))
    prepared = fake_pipeline("imdb")
    built = compile.compiled(settings, prepared, strategy.choose(1), "float32")
    given = {v.path: np.full(v.shape, 0.25, np.float32) for v in built.weights}
    monkeypatch.setattr(sources, "_read", lambda source, run: given)
    sources.initialise(built, Run(tmp_path / "run", "7", settings, prepared, {}))
    assert all((v.numpy() == 0.25).all() for v in built.weights)
    assert f"{PATH} is set already" in caplog.text
