"""Files of word vectors: those of word2vec, GloVe and fastText, and what is refused."""

import tracemalloc

import numpy as np
import pytest
from google.protobuf import text_format
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from trainers.errors import ArtefactError
from trainers.store import word_vectors

WANTED = {"the": 3, "new york": 5, "好": 7, "absent": 9}
LINES = ["The 1 2.5 -3e-1", "the 9 9 9", "new york 4 5 6", "好 7 8 9", "zebra 0 0 0"]
VECTORS = {3: [1, 2.5, -0.3], 5: [4, 5, 6], 7: [7, 8, 9]}


@pytest.mark.parametrize("header", [["5 3"], []], ids=["word2vec", "glove"])
@pytest.mark.parametrize("end", ["\n", " \n", "\r\n"], ids=["plain", "fasttext", "windows"])
def test_formats_give_the_wanted_words(header, end, tmp_path):
    path = tmp_path / "a.vec"
    path.write_bytes("".join(line + end for line in header + LINES).encode())
    found = word_vectors.read(path, WANTED, 3)
    assert found.keys() == VECTORS.keys()
    for place, vector in VECTORS.items():
        assert found[place].dtype == np.float32
        np.testing.assert_array_equal(found[place], np.array(vector, np.float32))


@pytest.mark.parametrize("header", [b"5 3\n", b""])
def test_a_byte_order_mark_and_blank_lines_are_skipped(header, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf" + header + "\n".join([*LINES, "", ""]).encode())
    assert word_vectors.read(path, WANTED, 3).keys() == VECTORS.keys()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5 4\nthe 1 2 3 4\n", r"a\.txt:1: a word vector of 4 numbers, expected 3"),
        ("the 1 2\n", r"a\.txt:1: a word vector of 2 numbers, expected 3"),
        ("zebra 1 2 3\n1 2\n", r"a\.txt:2: a word vector of 1 numbers, expected 3"),
        ("zebra 1 2 3\nthe 1 x 3\n", r"a\.txt:2: expected a word and 3 numbers: .*x"),
        ("zebra 1 2 3\nthe 1 nan 3\n", r"a\.txt:2: a number is not finite"),
        ("\x00\x01\x02", r"a\.txt:1: a word vector of 0 numbers"),
    ],
)
def test_other_widths_and_lines_are_refused_with_their_number(text, message, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.raises(ArtefactError, match=message):
        word_vectors.read(path, WANTED, 3)


def test_a_line_without_end_is_not_read(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"the 1 2 3\nx" + b" 1" * 2**20)
    with pytest.raises(ArtefactError, match=r"a\.txt:2: a line of 1048576 bytes or more"):
        word_vectors.read(path, WANTED, 3)


def test_what_is_written_is_read_again_and_shown_by_the_projector(tmp_path):
    words = ["the", "好", "x"]
    vectors = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    word_vectors.write(tmp_path, words, vectors)
    found = word_vectors.read(tmp_path / "vectors.txt", {w: i for i, w in enumerate(words)}, 4)
    np.testing.assert_allclose([found[i] for i in range(3)], vectors, rtol=1e-5)
    board = tmp_path / "tensorboard" / "train"
    config = text_format.Parse((board / "projector_config.pbtxt").read_text(), ProjectorConfig())
    [shown] = config.embeddings
    assert (board / shown.metadata_path).read_text(encoding="utf-8").split("\n") == words
    np.testing.assert_allclose(np.loadtxt(board / shown.tensor_path), vectors, rtol=1e-5)


def test_vectors_are_written_without_a_second_copy_of_all(tmp_path):
    vectors = np.zeros((20_000, 50), np.float32)
    tracemalloc.start()
    word_vectors.write(tmp_path, [str(i) for i in range(len(vectors))], vectors)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20_000 * 50 * 8  # a list of all numbers has 8 bytes for each, and the number
