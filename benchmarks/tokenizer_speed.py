"""Speed of our tokenizers compared with Hugging Face's, and whether they give the same ids.

    TFDS_DATA_DIR=... python benchmarks/tokenizer_speed.py [--compare] [--dataset=...] [--tiny]

One line per tokenizer: seconds to learn its vocabulary, then MB of text per second, the median of
several rounds in turn. Ours is the exported graph, on batches of 1024 texts; theirs is
`encode_batch_fast` on all cores. The tokenizer `pieces` has no counterpart there.

--compare: compares the ids of every text of the split instead, and, for byte-level BPE, checks that
the ids give back every byte. The exit code is 1 if any text differs.
"""

import os
import statistics
import sys
import time
from collections.abc import Iterator

import numpy as np
from absl import app, flags, logging

_DATASET = flags.DEFINE_string("dataset", "imdb_reviews/plain_text:1.*.*", "TFDS data set.")
_SPLIT = flags.DEFINE_string("split", "train", "TFDS split.")
_FIELD = flags.DEFINE_string("field", "text", "Field with the text.")
_VOCAB_SIZE = flags.DEFINE_integer("vocab_size", 16_000, "Vocabulary size of each tokenizer.")
_COMPARE = flags.DEFINE_bool("compare", False, "Compare all ids instead of measuring speed.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Rounds.", lower_bound=1)
_TINY = flags.DEFINE_bool("tiny", False, "Only the first 1024 texts, as a quick check.")

_BATCH = 1024


def main(argv: list[str]) -> None:
    del argv
    logging.set_verbosity(logging.WARNING)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from trainers.devices import precision as machine

    texts = _texts()
    size = sum(map(len, texts)) / 1e6
    print(f"{machine.cpu_name()}, {os.cpu_count()} cores; {len(texts)} texts, {size:.1f} MB")
    same = True
    for name, learn in _learners().items():
        start = time.perf_counter()
        learnt = learn(_batches(texts), _VOCAB_SIZE.value)
        seconds = time.perf_counter() - start
        if _COMPARE.value:
            same &= compare(name, learnt, texts)
        else:
            print(f"{name:12} learnt in {seconds:.1f} s, {measure(name, learnt, texts)}")
    sys.exit(0 if same else 1)


def measure(name: str, learnt: np.ndarray, texts: np.ndarray) -> str:
    """The speeds of both sides, in words."""
    encode, theirs = _encoder(name, learnt), _theirs(name, learnt)
    few = texts[: 4 * _BATCH]
    decoded = [text.decode("utf-8", "replace") for text in few.tolist()]
    sides = {"ours": lambda: [encode(batch) for batch in _batches(few)]}
    if theirs is not None:
        sides["theirs"] = lambda: theirs.encode_batch_fast(decoded)
    encode(few[:_BATCH])  # traces
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(_REPEATS.value):
        for side, run in sides.items():
            start = time.perf_counter()
            run()
            seconds[side].append(time.perf_counter() - start)
    size = sum(map(len, few)) / 1e6
    speeds = {side: size / statistics.median(taken) for side, taken in seconds.items()}
    return ", ".join(f"{side} {speed:.2f} MB/s" for side, speed in speeds.items())


def compare(name: str, learnt: np.ndarray, texts: np.ndarray) -> bool:
    """Whether the ids of all texts are the same; prints how many texts differ."""
    from pipelines.steps import byte_bpe

    encode, theirs = _encoder(name, learnt), _theirs(name, learnt)
    if theirs is None:
        return True
    known = np.array(byte_bpe.pieces(learnt), object) if name == "bytes" else None
    different, lost, number = 0, 0, 0
    for batch in _batches(texts):
        ours = encode(batch)
        decoded = [text.decode() for text in batch.tolist()]
        for text, ids, expected in zip(
            batch.tolist(), ours.to_list(), theirs.encode_batch_fast(decoded), strict=True
        ):
            number += len(ids)
            different += ids != expected.ids
            lost += known is not None and b"".join(known[ids]) != text
    print(
        f"{name:12} {len(texts)} texts, {number} ids: {different} texts differ, {lost} lost bytes"
    )
    return not (different or lost)


def _learners() -> dict:
    from pipelines.steps import byte_bpe, text, word_piece

    every = {"bytes": byte_bpe.learn, "word_pieces": word_piece.learn}
    return every if _COMPARE.value else {"pieces": text.learn_vocabulary, **every}


def _encoder(name: str, learnt: np.ndarray):
    import tensorflow as tf

    from pipelines.core.specs import trace
    from pipelines.steps.text import KINDS

    codec = KINDS[name].codec(learnt)
    traced = trace(codec.encode, tf.TensorSpec((None,), tf.string))
    return lambda batch, codec=codec: traced(tf.constant(batch))  # keeps the graph's tables alive


def _theirs(name: str, learnt: np.ndarray):
    import hf_tokenizers

    sides = {"bytes": hf_tokenizers.byte_level, "word_pieces": hf_tokenizers.word_piece}
    return sides[name](learnt) if name in sides else None


def _batches(texts: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(texts), _BATCH):
        yield texts[first : first + _BATCH]


def _texts() -> np.ndarray:
    import tensorflow_datasets as tfds

    rows = tfds.load(_DATASET.value, split=_SPLIT.value, download=False)
    rows = rows.take(_BATCH) if _TINY.value else rows
    return np.array([row[_FIELD.value] for row in tfds.as_numpy(rows)], object)


if __name__ == "__main__":
    app.run(main)
