"""A file of labelled lines becomes a served model: trained, exported and asked by a stranger."""

import csv
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


def as_folder(top, rows) -> None:
    for i, (label, text) in enumerate(rows):
        path = top / ("train", "test")[i % 5 == 0] / label / f"{i}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n\n", encoding="utf-8")
    (top / "train" / "unsup").mkdir()
    for i, (_, text) in enumerate(sentences(300, seed=3)):
        (top / "train" / "unsup" / f"{i}.txt").write_text(text, encoding="utf-8")


def as_table(path, rows) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("mood", "What was said"), *rows])


def asked(folder: str, files: list[str], cwd) -> list[dict]:
    done = run_python("-m", "trainers.predict", f"--workdir={folder}", *files, cwd=cwd)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_texts_of_one_layout_are_learnt_from_before_those_of_another(tmp_path):
    rows, new = sentences(600, seed=1), sentences(20, seed=2)
    as_folder(tmp_path / "said", rows)
    as_table(tmp_path / "said.csv", rows)
    folder = ("--pipeline=text_folder", "--data_files=said")
    table = ("--pipeline=text_table", "--data_files=said.csv", "--target=mood")
    small = ("--hparams=width=16,num_layers=1,num_heads=2,mlp_dim=24", "--batch_size=16")
    bert = ("--model=bert_tiny", *small, "--pipeline_options=max_length=16")
    runs = {
        "masked": (*folder, *bert, "--task=masked_lm"),
        "tuned": (*table, *bert, "--init_from=masked"),
        "ngrams": (*folder, "--model=auto"),
    }
    said = {}
    for name, words in runs.items():
        command = ("-m", "trainers.run", *words, "--epochs=1", "--noreport_baseline")
        said[name] = run_python(*command, f"--workdir={name}", cwd=tmp_path).stderr
    assert "300 texts are of folders without labels" in said["masked"]
    assert "initial weights from masked: new: pooler/kernel" in said["tuned"]
    assert "--model=auto: text_ngram, the first choice for text_folder" in said["ngrams"]

    for name, field in {"masked": "text", "tuned": "What_was_said", "ngrams": "text"}.items():
        (tmp_path / "new.txt").write_text("".join(f"{t}\n" for _, t in new), encoding="utf-8")
        with open(tmp_path / "new.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("id", field), *enumerate(text for _, text in new)])
        instances = {"instances": [{field: text} for _, text in new]}
        (tmp_path / "new.json").write_text(json.dumps(instances), encoding="utf-8")
        answers = asked(name, ["new.txt", "new.csv", "new.json"], tmp_path)
        key = "features" if name == "masked" else "probability"
        one, two, three = np.array([answer[key] for answer in answers]).reshape(3, 20, -1)
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(one, three, rtol=1e-3, atol=1e-4)
