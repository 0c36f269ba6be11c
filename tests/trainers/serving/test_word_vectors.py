"""Answers about words, by hand on a table of four."""

import numpy as np
import tensorflow as tf

from trainers.serving import word_vectors

TABLE = np.array([[0, 0], [1, 0], [3, 3], [0, 2], [-1, 0]], np.float32)  # the first is padding
NAMES = np.array([b"", b"cat", b"dog", b"cow", b"car"])


class Words:
    """Ids of words and their texts, as the input form has them."""

    def ids_of(self, word):
        same = tf.equal(word[:, None], tf.constant(NAMES)[None])
        return tf.argmax(tf.cast(same, tf.int32), axis=1, output_type=tf.int32)

    def texts_of(self, ids):
        return tf.gather(tf.constant(NAMES), ids)


SIGNATURES = word_vectors.signatures(Words(), lambda: tf.constant(TABLE), lambda inputs: inputs)


def test_embed_gives_the_vector_of_a_known_word():
    answers = SIGNATURES["embed"].function(word=tf.constant([b"dog", b"unheard", b"car"]))
    np.testing.assert_array_equal(answers["vector"], [[3, 3], [0, 0], [-1, 0]])
    assert answers["known"].numpy().tolist() == [True, False, True]
    assert SIGNATURES["serving_default"] is SIGNATURES["embed"]


def test_neighbours_are_sorted_by_their_angle_without_the_word_itself():
    answers = SIGNATURES["neighbours"].function(word=tf.constant([b"cat", b"unheard"]))
    assert answers["words"].numpy()[0, :3].tolist() == [b"dog", b"cow", b"car"]
    np.testing.assert_allclose(answers["cosine"][0, :3], [0.5**0.5, 0.0, -1.0], atol=1e-6)
    assert set(answers["words"].numpy()[1].tolist()) == {b""}
    np.testing.assert_array_equal(answers["cosine"][1], np.zeros(4))
