"""A file of labelled lines becomes a served model: trained, exported and asked by a stranger."""

import json

import numpy as np
import pytest

from tests.conftest import run_python, run_stranger

# Polarity is turned by a negation before it, in either language: no single word decides.
ENGLISH = {
    "start": ("the film was", "her new book is", "this soup tastes", "our guide seemed"),
    "not": ("not", "never", "hardly"),
    1: ("good", "delightful", "charming", "superb"),
    0: ("bad", "dreadful", "tedious", "awful"),
    "end": (".", "!", " at all .", " , we thought ."),
    "between": " ",
}
CHINESE = {
    "start": ("这部电影", "她的新书", "这碗汤", "我们的导游"),
    "not": ("不算", "从不", "并不"),
    1: ("好", "精彩", "迷人", "出色"),
    0: ("差", "糟糕", "乏味", "可怕"),
    "end": ("。", "！", "吧。", "，我们觉得。"),  # noqa: RUF001
    "between": "",
}
STRANGER = """
import json, sys
for name in ("zoo", "pipelines", "trainers", "keras", "tensorflow_datasets", "sentencepiece"):
    sys.modules[name] = None
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
with open(sys.argv[2], encoding="utf-8") as file:
    texts = [line.rstrip("\\n") for line in file]
odd = ["", "\\0", "\\U0001f600" * 3000]
answers = model.signatures["serving_default"](text=tf.constant(texts + odd + [b"\\xff\\xfe"]))
print(json.dumps([name.decode() for name in answers["class_name"].numpy()]))
"""


def sentences(number: int, seed: int) -> list[tuple[str, str]]:
    """(label, text) of both languages."""
    random, found = np.random.default_rng(seed), []
    for i in range(number):
        language = (ENGLISH, CHINESE)[i % 2]
        kind, turned = int(random.integers(2)), bool(random.integers(2))
        parts = [random.choice(language["start"]), random.choice(language[kind])]
        if turned:
            parts.insert(1, random.choice(language["not"]))
        text = language["between"].join(parts) + random.choice(language["end"])
        found.append((("bad", "good")[kind ^ turned], text))
    return found


@pytest.mark.slow
def test_text_lines_become_a_served_model(tmp_path):
    lines = [f"{label}\t{text}" for label, text in sentences(3000, seed=1)]
    (tmp_path / "reviews.tsv").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    command = (
        *("-m", "trainers.run", "--model=transformer_encoder", "--pipeline=text_lines"),
        *("--data_files=reviews.tsv", "--epochs=15", "--workdir=run"),
    )
    done = run_python(*command, cwd=tmp_path)
    assert "reviews.tsv: 3000 texts, 2 classes" in done.stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["baseline"]["text_ngram"]["test"]["accuracy"] > 0.95
    assert report["test"]["accuracy"] > 0.95

    new = sentences(300, seed=2)
    (tmp_path / "new.txt").write_text("".join(f"{text}\n" for _, text in new), encoding="utf-8")
    exported = tmp_path / "run" / report["export"]
    printed = run_stranger(STRANGER, exported, tmp_path / "new.txt", cwd=tmp_path)
    answers = json.loads(printed)
    assert len(answers) == 304
    assert set(answers) <= {"good", "bad"}
    assert np.mean([a == label for a, (label, _) in zip(answers, new, strict=False)]) > 0.95

    done = run_python("-m", "trainers.predict", "--workdir=run", "new.txt", cwd=tmp_path)
    assert [json.loads(line)["class_name"] for line in done.stdout.splitlines()] == answers[:300]
