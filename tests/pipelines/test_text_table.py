"""Texts of one's own in a column of a table: which column, which labels, which rows."""

import json

import numpy as np
import pytest

import pipelines
from pipelines import DataError
from pipelines.core.prepared import prepare
from pipelines.files import plain_table
from pipelines.storage import tfds
from tests.pipelines.tables import write
from trainers.tasks import registry as tasks
from zoo.spec import Field

WORDS = ("the", "film", "was", "never", "good", "we", "saw", "it", "and", "left")
TEXTS = [" ".join(WORDS[(i * k + k) % 10] for k in range(1, 7)) + f", {i}" for i in range(60)]
MOODS = ["good" if i % 2 else "bad" for i in range(60)]


def loaded(files, target="", labels=True, **options):
    """Rows and schema, as a run has them."""
    options = {"data_files": str(files), "target": target, **options}
    pipeline = pipelines.get("text_table", **options)
    _, rows, schema = tfds.load(pipeline if labels else tasks.source("masked_lm", pipeline))
    return rows, schema


def pairs(rows, schema) -> list[tuple[str, object]]:
    """(text, label or number) of the rows of all splits."""
    [field] = schema.raw
    names = schema.class_names
    return sorted(
        (text.decode(), names[value] if names else value)
        for part in rows.values()
        for text, value in zip(part.table[field], part.table[part.target], strict=True)
    )


def only_texts(rows) -> dict[str, list[str]]:
    return {
        name: [t.decode() for column in part.table.values() for t in column]
        for name, part in rows.items()
    }


@pytest.fixture
def reviews(tmp_path) -> str:
    rows = [[i, text, mood] for i, (text, mood) in enumerate(zip(TEXTS, MOODS, strict=True))]
    return write(tmp_path / "reviews.csv", [["id", "Review (text)", "mood"], *rows])


def test_text_table_finds_the_column_of_free_text(reviews, logged):
    rows, schema = loaded(reviews, "mood")
    assert dict(schema.raw) == {"Review_text": Field((), "string")}
    assert (schema.task, schema.class_names) == ("binary", ("bad", "good"))
    assert pairs(rows, schema) == sorted(zip(TEXTS, MOODS, strict=True))
    said = logged()
    assert f"{reviews}: the texts are those of Review (text)" in said
    assert f"{reviews}: 60 texts, 2 classes" in said
    assert "target mood: binary: bad 50.0%, good 50.0%" in said


@pytest.mark.parametrize("kind", ["tsv", "jsonl", "json"])
def test_text_table_reads_the_same_from_other_files(kind, reviews, tmp_path):
    path = tmp_path / f"other.{kind}"
    rows = [["id", "Review (text)", "mood"], *zip(range(60), TEXTS, MOODS, strict=True)]
    if kind == "tsv":
        write(path, rows, delimiter="\t", encoding="utf-16")
    else:
        objects = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
        path.write_text("\n".join(json.dumps(o) for o in objects), encoding="utf-8")
    expected, (found, schema) = loaded(reviews, "mood"), loaded(path, "mood")
    assert schema == expected[1]
    for name, part in expected[0].items():
        for column in part.table:
            np.testing.assert_array_equal(found[name].table[column], part.table[column])


def test_text_table_reads_cells_of_several_lines(tmp_path):
    texts = [f'{text}\n\nSaid "she", 好.' for text in TEXTS]
    path = write(tmp_path / "a.csv", [["text", "y"], *zip(texts, MOODS, strict=True)])
    assert pairs(*loaded(path, "y")) == sorted(zip(texts, MOODS, strict=True))


def test_text_table_reads_large_plain_files_the_same(reviews, monkeypatch):
    expected = only_texts(loaded(reviews, labels=False)[0])
    read, columns = [], plain_table.columns
    monkeypatch.setattr(plain_table, "_SMALLEST", 0)
    monkeypatch.setattr(plain_table, "columns", lambda t: read.append(columns(t)) or read[-1])
    assert only_texts(loaded(reviews, labels=False)[0]) == expected
    assert len(read[0]) == 3  # by pyarrow


def test_text_table_takes_the_only_other_column_whatever_is_in_it(tmp_path):
    rows = [["y", "word"], *[[m, f"w{i % 9}"] for i, m in enumerate(MOODS)]]
    _, schema = loaded(write(tmp_path / "a.csv", rows), "y", split_seed=1)
    assert list(schema.raw) == ["word"]


def test_text_table_merges_labels_and_leaves_rows_without_text_or_label_out(tmp_path, logged):
    moods = ["Good " if i == 1 else m for i, m in enumerate(MOODS)]
    texts = list(TEXTS)
    moods[4], moods[6], texts[6], texts[8], texts[9] = "", "", "", " ", TEXTS[11]
    path = write(tmp_path / "a.csv", [["text", "y"], *zip(texts, moods, strict=True)])
    rows, schema = loaded(path, "y")
    assert schema.class_names == ("bad", "good")
    assert len(pairs(rows, schema)) == 57
    said = logged()
    assert "y: 'Good' (1 cells) are taken as 'good'; labels=as_written keeps them apart" in said
    assert "2 rows without text are left out" in said
    assert "1 rows without y are left out" in said
    assert "1 texts are copies of an earlier one" in said
    # The text of a row without a label is trained on where none is needed.
    assert sum(map(len, only_texts(loaded(path, labels=False)[0]).values())) == 58


def test_text_table_keeps_labels_as_written_and_reports_two_of_one_text(tmp_path, logged):
    moods = ["Good" if m == "good" and i % 3 else m for i, m in enumerate(MOODS)]
    rows = [["text", "y"], *zip(TEXTS, moods, strict=True), [TEXTS[0], "good"]]
    path = write(tmp_path / "a.csv", rows)
    pipeline = pipelines.get("text_table", data_files=path, target="y", labels="as_written")
    assert pipeline.read()[1].class_names == ("Good", "bad", "good")
    assert f"1 texts have two labels, such as {path}:2 (bad) and {path}:62 (good)" in logged()


@pytest.mark.parametrize(
    ("values", "task", "kind"),
    [
        ([f"{i / 7:.3f}" for i in range(60)], "regression", "float32"),
        ([i % 5 + 1 for i in range(60)], "classification", "int64"),
    ],
)
def test_text_table_infers_the_task_as_tables_do(values, task, kind, tmp_path):
    path = write(tmp_path / "a.csv", [["text", "stars"], *zip(TEXTS, values, strict=True)])
    rows, schema = loaded(path, "stars")
    assert (schema.task, schema.target.dtype, schema.target_name) == (task, kind, "stars")
    if task == "regression":
        found = dict(pairs(rows, schema))
        np.testing.assert_allclose([found[t] for t in TEXTS], np.array(values, np.float32))
    _, schema = loaded(path, "stars", task="regression")
    assert schema.outputs == 1


def test_text_table_takes_several_targets(tmp_path):
    rows = [["text", "a", "b"], *[[t, i % 2, i % 3 // 2] for i, t in enumerate(TEXTS)]]
    rows, schema = loaded(write(tmp_path / "a.csv", rows), "a,b")
    assert (schema.task, schema.class_names, schema.outputs) == ("multi_label", ("a", "b"), 2)
    found = {
        text: row.tolist()
        for part in rows.values()
        for text, row in zip(part.table["text"], part.table["a,b"], strict=True)
    }
    assert found[TEXTS[5].encode()] == [1.0, 1.0]


def test_text_table_without_labels_needs_no_target_and_keeps_the_splits(reviews, tmp_path):
    rows, schema = loaded(reviews, labels=False)
    assert (schema.task, schema.target) == ("masked_lm", None)
    labelled, _ = loaded(reviews, "mood")
    for name, part in labelled.items():
        np.testing.assert_array_equal(part.table["Review_text"], rows[name].table["Review_text"])
    assert set(rows["train"].table) == {"Review_text"}
    with_target, _ = loaded(reviews, "mood", labels=False)
    assert only_texts(with_target) == only_texts(rows)
    alone = write(tmp_path / "alone.csv", [["text"], *[[text] for text in TEXTS]])
    found = only_texts(loaded(alone, labels=False)[0]).values()
    assert sorted(text for part in found for text in part) == sorted(TEXTS)


def test_text_table_reads_splits_and_warns_of_what_training_lacks(tmp_path, logged):
    rows = [*zip(TEXTS, MOODS, strict=True)]
    train = write(tmp_path / "a.csv", [["text", "y"], *rows[:50]])
    test = write(tmp_path / "b.csv", [["y", "text"], *[(y, t) for t, y in rows[48:]], ("odd", "x")])
    found, _ = loaded(f"train={train},test={test}", "y")
    assert found["test"].num_rows == 13
    said = "\n".join(logged())
    assert "2 texts of test are in train too" in said or "1 texts of test are in train too" in said
    assert "test has classes that no row of train has: 'odd' (1 rows)" in said


def test_text_table_is_prepared_for_models_and_for_masked_tokens(reviews):
    pipeline = pipelines.get("text_table", data_files=reviews, target="mood", max_length=16)
    pipeline, rows, schema = tfds.load(pipeline)
    prepared = prepare(pipeline, schema, rows, form="ngrams")
    assert prepared.spec.num_outputs == 1
    pipeline = tasks.source("masked_lm", pipeline)
    pipeline, rows, schema = tfds.load(pipeline)
    pipeline, schema = tasks.over("masked_lm", pipeline, schema, {})
    prepared = prepare(pipeline, schema, rows)
    assert prepared.spec.inputs["tokens"].length == 16


NESTED = '{"text": "a b", "y": "x"}\n{"text": ["a"], "y": "z"}\n'


@pytest.mark.parametrize(
    ("name", "content", "options", "reason"),
    [
        (
            "a.csv",
            "n,text,y\n1,a b,x\n2,c d,z\n",
            {},
            "{path}: expected a column of labels, --target=<one of n, text, y>; texts without "
            "labels are for --task=masked_lm",
        ),
        (
            "a.csv",
            "title,text,y\n1,a b,x\n2,c d,z\n",
            {"target": "y"},
            "{path}: none of its columns is clearly free text: choose "
            "--pipeline_options=text=text or another of, with their words on average, title "
            "(0.0), text (2.0)",
        ),
        (
            "a.csv",
            "title,body,y\n" + "".join(f'"{t}","{t} {t}",{i % 2}\n' for i, t in enumerate(TEXTS)),
            {"target": "y"},
            "{path}: 2 of its columns are free text: choose --pipeline_options=text=body or "
            "another of, with their words on average, title (6.0), body (12.0)",
        ),
        ("a.csv", "text,y\na b,x\n", {"target": "z"}, "target=z: no column 'z'; nearest: text, y"),
        (
            "a.csv",
            "text,y\na b,x\n",
            {"target": "y", "text": "y"},
            "text=y: expected one column that is not the target, of text",
        ),
        (
            "a.csv",
            "my text,my_text2\n,x\n",
            {"target": "my_text2"},
            "the text 'my text' is empty in every row",
        ),
        (
            "a.jsonl",
            '{"my text": "a", "my_text": 1}\n{"my text": "b", "my_text": 0}\n',
            {"target": "my_text"},
            "the text 'my text' and the target are both my_text to a server; rename one",
        ),
        (
            "a.jsonl",
            NESTED,
            {"target": "y"},
            "{path}:2: 'text' holds a list or an object, expected a text, number or truth value",
        ),
        (
            "a.csv",
            "text,y\na b,x\nc d\n",
            {"target": "y"},
            "{path}:3: 1 cells, the header has 2 columns: is the line cut, or does it belong to a "
            "title or a note?",
        ),
    ],
)
def test_text_table_refuses_what_is_unclear(name, content, options, reason, tmp_path):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        loaded(path, **options)
    assert str(caught.value) == reason.replace("{path}", str(path))


def test_text_table_refuses_files_of_two_kinds(tmp_path):
    (tmp_path / "a.csv").write_text("text,y\na,b\n")
    (tmp_path / "b.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(DataError) as caught:
        loaded(tmp_path, "y")
    assert str(caught.value) == (
        f"{tmp_path}/b.jsonl has JSON on each line, {tmp_path}/a.csv has not: name files of one "
        "kind"
    )


def test_a_text_is_in_the_same_split_as_in_files(tmp_path):
    """White space around a text, and the kind of its line ends, are not part of it."""
    texts = [f"{text}\u3000" if i % 2 else f"{text}\u00a0" for i, text in enumerate(TEXTS)]
    texts = [f"first of {i}\r\n{text}" for i, text in enumerate(texts)]
    path = write(tmp_path / "reviews.csv", [["review"], *([text] for text in texts)])
    of_table, _ = loaded(path, labels=False)
    for i, text in enumerate(texts):
        (tmp_path / "texts").mkdir(exist_ok=True)
        (tmp_path / "texts" / f"{i}.txt").write_bytes(text.encode())
    folder = pipelines.get("text_folder", data_files=str(tmp_path / "texts"))
    _, of_folder, _ = tfds.load(tasks.source("masked_lm", folder))
    numbers = [
        {name: sorted(t.split(maxsplit=3)[2] for t in only_texts(rows)[name]) for name in rows}
        for rows in (of_table, of_folder)
    ]
    assert numbers[0] == numbers[1]
