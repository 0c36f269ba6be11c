"""Lookup tables of character properties for graphs, from Python's version of Unicode."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

_CODES, _PAGE = 0x110000, 256
# Unicode's white space, written out: RE2's \s is ASCII only, Rust's is this one.
WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
# Letters whose lower case is another one in Turkish or in Lithuanian.
_BY_LOCALE = {
    "\u0130": "i\u0307",  # I with a dot
    "\u00cc": "\u00ec",  # I with a grave accent
    "\u00cd": "\u00ed",  # with an acute one
    "\u0128": "\u0129",  # with a tilde
    "\u012e": "\u012f",  # with an ogonek
}


class CharacterTable:
    """A number for each code point: a saved graph holds only the pages of 256 that differ.

    Args:
        value: the number of a character; computed for all of Unicode, which takes a second.
        dtype: of the numbers.
    """

    def __init__(self, value: Callable[[str], int], dtype: type):
        values = np.array([value(chr(code)) for code in range(_CODES)], dtype)
        self._pages, page = np.unique(values.reshape(-1, _PAGE), axis=0, return_inverse=True)
        self._page = page.ravel().astype(np.int32)

    def __call__(self, codes: tf.Tensor) -> tf.Tensor:
        """The numbers of code points (N,)."""
        whole = tf.gather(tf.constant(self._pages), tf.constant(self._page))  # folded when loaded
        return tf.gather(tf.reshape(whole, [-1]), codes)


def in_lower_case(texts: tf.Tensor) -> tf.Tensor:
    """Texts of valid UTF-8 in lower case, the same in every locale; NUL becomes a space.

    TensorFlow's `lower` ends a text at a NUL. It follows the machine's locale, which may be another
    one where the model is served.
    """
    texts = tf.strings.lower(tf.strings.regex_replace(texts, r"\x00", " "))  # ASCII, I and J too
    for letter, small in _BY_LOCALE.items():
        texts = tf.strings.regex_replace(texts, letter, small)
    return tf.strings.lower(texts, encoding="utf-8")


def neighbours(values: tf.Tensor, first: tf.Tensor, outside: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The values before and after each value (N,) in its text; `outside` where there is none.

    Args:
        first: (N,) whether each is the first of its text.
    """
    edge = tf.constant([outside], values.dtype)
    last = tf.concat([first[1:], [True]], axis=0)
    before = tf.where(first, edge, tf.concat([edge, values[:-1]], axis=0))
    return before, tf.where(last, edge, tf.concat([values[1:], edge], axis=0))
