"""Which words of a text changed the model's answer most: it predicts again without each."""

import pathlib
import re
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from pipelines.core.prepared import Prepared
from trainers.evaluation import records, statistics
from trainers.evaluation.evaluate import Evaluation
from trainers.store import saved_model
from trainers.tasks.registry import Task

_MOST = 200  # different words of a text that are left out in turn, the longest ones
_SHOWN = 5
_BATCH = 64  # texts per call
_LEAST = 0.005  # smallest change of the probability that is shown
# Combining characters within words, which \w lacks: of Latin, Hebrew, Arabic, Indian scripts.
_MARKS = (
    r"\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
    r"\u0900-\u0963\u0966-\u0dff\u200c\u200d"
)
# Runs of letters and digits; each character of scripts without spaces is a word.
_WORD = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]"
    rf"|[^\W_](?:[^\W_]|[{_MARKS}])*"
)


def beside_mistakes(
    exported: pathlib.Path,
    prepared: Prepared,
    task: Task,
    kept: Mapping[str, np.ndarray],
    test: Evaluation,
) -> dict[str, np.ndarray]:
    """`moved` (n,) for the examples that a run keeps: words behind a wrong answer; else empty.

    Args:
        exported: the directory of the version to predict with.
        kept: from `records.examples`.
        test: answers to the test split.

    Returns:
        An empty dictionary unless each row is one text of one class and the outputs are logits.
    """
    fields = records.fields(kept)
    [name, *others] = prepared.raw
    is_text = not others and prepared.raw[name].dtype == "string" and name in fields
    if not is_text or not records.answers_are_of_classes(prepared, task):
        return {}
    wrong = test.row[task.mistakes(prepared, test, records.how_many(prepared)).index]
    model = saved_model.load(exported)
    serve = model.signatures[task.measured]

    def ask(texts: list[bytes]) -> np.ndarray:
        parts = [texts[i : i + _BATCH] for i in range(0, len(texts), _BATCH)]
        return np.concatenate([serve(**{name: tf.constant(p)})["logits"].numpy() for p in parts])

    lines = [
        described(ask, text) if row in wrong else ""
        for row, text in zip(kept["row"], fields[name].tolist(), strict=True)
    ]
    return {"moved": np.array([line.encode() for line in lines], object)}


def described(ask: Callable[[list[bytes]], np.ndarray], text: bytes) -> str:
    """The words whose removal changes the answer's probability most, with the change.

    A plus marks a word that supports the answer.

    Args:
        ask: texts to logits (B, classes), or (B, 1) of the second of two.
    """
    written = text.decode("utf-8", "replace")
    words = sorted(set(_WORD.findall(written)), key=lambda word: (-len(word), word))[:_MOST]
    without = [_without(written, word).encode() for word in words]
    probabilities = statistics.of_classes(ask([text, *without]))
    answer = probabilities[0].argmax()
    change = probabilities[0, answer] - probabilities[1:, answer]
    best = np.argsort(-np.abs(change), kind="stable")[:_SHOWN]
    return ", ".join(f"{words[i]} {change[i]:+.2f}" for i in best if abs(change[i]) >= _LEAST)


def _without(written: str, word: str) -> str:
    """A text without all occurrences of a word."""
    return _WORD.sub(lambda match: " " if match.group() == word else match.group(), written)
