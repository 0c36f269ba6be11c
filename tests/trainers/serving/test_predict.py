"""An exported model of a table, asked in files and in JSON as its user would."""

import itertools
import json
import shutil
import types

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import fake_pipeline, run_python
from tests.pipelines.test_csv import write
from trainers.config.settings import resolve
from trainers.errors import UsageError
from trainers.evaluation import records
from trainers.serving import examples, export, predict
from trainers.store import saved_model
from trainers.tasks import registry
from trainers.training import data
from trainers.training.compile import build
from zoo.spec import Field

HEADER = ["Area (m²)", "class", "sold", "price"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model of houses with its start weights."""
    folder = tmp_path_factory.mktemp("houses")
    rows = [
        [
            "" if i % 9 == 0 else i / 2,
            ["flat", "villa", "NA"][i % 3],
            f"2020-01-{i % 28 + 1:02}",
            i * 1000.0,
        ]
        for i in range(400)
    ]
    path = write(folder / "houses.csv", [HEADER, *rows])
    settings = resolve("mlp", {"pipeline": "csv", "data_files": path, "target": "price"})
    prepared = data.load(settings, None)
    model = build(settings, prepared, "float32")
    weights = {variable.path: variable.numpy() for variable in model.weights}
    examples = records.examples(prepared, registry.get(prepared.task), None)
    return folder, export.export(settings, prepared, weights, examples, folder)


def answers(exported, tmp_path, header, rows, name="ask.csv", **options) -> list[float]:
    write(tmp_path / name, [header, *rows], **options)
    return [line["value"] for line in predict.predict(exported[1], [tmp_path / name])]


def served(exported, area, kind, sold) -> list[float]:
    model = tf.saved_model.load(str(exported[1]))
    raw = {
        "Area_m2": tf.constant(area, tf.float32),
        "class_": tf.constant(kind),
        "sold": tf.constant(sold),
    }
    return model.signatures["serving_default"](**raw)["value"].numpy().tolist()


def test_files_are_read_as_in_training(exported, tmp_path):
    expected = served(exported, [50.5, np.nan, 7], ["flat", "", "new"], ["2020-01-05", "", "x"])
    assert len(set(expected)) == 3
    rows = [["50.5", " flat", "2020-01-05"], ["n/a", "?", ""], ["7", "new", "x"]]
    assert answers(exported, tmp_path, HEADER[:3], rows) == pytest.approx(expected)
    turned = [["a;b", *reversed(row)] for row in rows]
    found = answers(
        exported,
        tmp_path,
        ["else", "sold", "class", "Area (m²)"],
        turned,
        delimiter=";",
        encoding="utf-16",
        lineterminator="\r",
    )
    assert found == pytest.approx(expected)
    by_field = answers(
        exported, tmp_path, ["Area_m2", "class_", "sold"], rows, "ask.tsv", delimiter="\t"
    )
    assert by_field == pytest.approx(expected)
    [first, *_] = predict.predict(exported[1], [tmp_path / "ask.csv"])
    assert first["input"] == f"{tmp_path / 'ask.csv'}:2"


def test_missing_numbers_in_json(exported, tmp_path):
    """NaN, as TensorFlow Serving reads it, or 3e38, which any JSON library writes."""
    [expected] = served(exported, [np.nan], ["flat"], ["2020-01-05"])
    for number in ("NaN", "3e38", "-3.4e38"):
        instance = f'{{"Area_m2": {number}, "class_": "flat", "sold": "2020-01-05"}}'
        (tmp_path / "ask.json").write_text(f'{{"instances": [{instance}]}}')
        [line] = predict.predict(exported[1], [tmp_path / "ask.json"])
        assert line["value"] == pytest.approx(expected)
    request = json.loads((exported[1] / "assets.extra" / "request.json").read_text())
    assert set(request["instances"][0]) == {"Area_m2", "class_", "sold"}


@pytest.mark.parametrize(
    ("name", "content", "kind", "message"),
    [
        ("a.csv", "class,sold\nflat,\n", UsageError, r"a\.csv:1: Area_m2 missing"),
        (
            "a.csv",
            "Area (m²),class,sold\n1,,\nbig,,\n",
            UsageError,
            r"a\.csv:3: column Area_m2: 'big'",
        ),
        ("a.csv", "Area (m²),class,sold\n1,,\n1,\n", UsageError, r"a\.csv:3: 2 cells"),
        (
            "a.json",
            '{"instances": [{"Area_m2": "1", "class_": "", "sold": ""}]}',
            UsageError,
            "json:0: Area_m2 is '1', expected numbers",
        ),
        (
            "a.json",
            '{"instances": [{"Area_m2": 1, "class_": 2, "sold": ""}]}',
            UsageError,
            "class_ is 2, expected string",
        ),
        (
            "a.json",
            '{"instances": [{"Area_m2": 1, "class_": {"b": 1}, "sold": ""}]}',
            UsageError,
            "class_ is",
        ),
    ],
)
def test_what_the_model_does_not_take_is_refused(name, content, kind, message, exported, tmp_path):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(kind, match=message):
        list(predict.predict(exported[1], [tmp_path / name]))


def test_batches_answer_as_single_rows_do(exported, tmp_path, monkeypatch):
    kinds, days = ["flat", "villa", "?", "new"], ["2020-01-05", "", "2020-02-30"]
    rows = [["" if i % 7 == 0 else i / 3, kinds[i % 4], days[i % 3]] for i in range(300)]
    together = answers(exported, tmp_path, HEADER[:3], rows)
    assert len(set(together)) > 200
    monkeypatch.setattr(examples, "ROWS", 1)
    np.testing.assert_allclose(together, answers(exported, tmp_path, HEADER[:3], rows), rtol=1e-5)
    area, kind, sold = zip(*rows, strict=True)
    area = [float(value or "nan") for value in area]
    np.testing.assert_allclose(together, served(exported, area, kind, sold), rtol=1e-5)


def test_a_batch_is_one_question(exported, tmp_path, monkeypatch):
    asked = []
    load = saved_model.load

    def counting(folder):
        model = load(folder)
        serve = model.signatures["serving_default"]

        def one(**raw):
            asked.append(len(raw["sold"]))
            return serve(**raw)

        return types.SimpleNamespace(signatures={"serving_default": one})

    monkeypatch.setattr(saved_model, "load", counting)
    assert len(answers(exported, tmp_path, HEADER[:3], [["1", "flat", ""]] * 600)) == 600
    assert asked == [256, 256, 88]


def test_answers_before_a_fault_are_given(exported, tmp_path):
    rows = [["1", "flat", ""]] * 270 + [["one", "flat", ""]] + [["2", "flat", ""]] * 9
    write(tmp_path / "ask.csv", [HEADER[:3], *rows])
    lines = predict.predict(exported[1], [tmp_path / "ask.csv"])
    found = [line["input"] for line in itertools.islice(lines, 270)]
    assert found == [f"{tmp_path}/ask.csv:{i}" for i in range(2, 272)]
    with pytest.raises(UsageError, match=r"ask\.csv:272: column Area_m2: 'one' is not a number"):
        next(lines)


def test_predicting_tables_needs_tensorflow_only(exported, tmp_path):
    write(tmp_path / "ask.csv", [HEADER[:3], ["", "flat", "2020-01-05"]])
    probe = (
        "import sys; sys.modules['keras'] = sys.modules['tensorflow_datasets'] = None\n"
        "sys.modules['sklearn'] = None\n"
        "from trainers import predict; predict.main(sys.argv)"
    )
    done = run_python("-c", probe, f"--workdir={exported[0]}", str(tmp_path / "ask.csv"))
    [expected] = served(exported, [np.nan], ["flat"], ["2020-01-05"])
    assert json.loads(done.stdout)["value"] == pytest.approx(expected)


def test_an_export_answers_in_a_folder_whose_name_is_a_pattern(exported, tmp_path):
    rows = [["1", "flat", "2020-01-05"]]
    expected = answers(exported, tmp_path, HEADER[:3], rows)
    moved = tmp_path / "run [1]*?" / "1"
    shutil.copytree(exported[1], moved)
    assert answers((tmp_path, moved), tmp_path, HEADER[:3], rows) == expected


def test_a_row_that_lacks_a_number_has_no_answer_where_nothing_replaces_it(tmp_path):
    settings = resolve("mlp_binary", {})
    prepared = fake_pipeline("breast_cancer")
    model = build(settings, prepared, "float32")
    weights = {variable.path: variable.numpy() for variable in model.weights}
    weights |= {key: value + 0.5 for key, value in weights.items() if key.endswith("bias")}
    kept = records.examples(prepared, registry.get(prepared.task), None)
    version = export.export(settings, prepared, weights, kept, tmp_path)
    request = json.loads((version / "assets.extra" / "request.json").read_text())
    [row] = request["instances"]
    odd = {**row, "mean_area": float("nan")}
    (tmp_path / "ask.json").write_text(json.dumps({"instances": [row, odd, row]}))
    lines = predict.predict(version, [tmp_path / "ask.json"])
    assert 0 < next(lines)["probability"] < 1
    with pytest.raises(UsageError, match=r"ask\.json:1: the model has no answer without mean_area"):
        next(lines)


def test_an_answer_that_is_not_finite_is_an_error():
    columns = {"area": np.array([1.0, 1e38], np.float32)}
    outputs = {"value": np.array([2.0, np.nan], np.float32)}
    lines = predict._answers(examples.Batch(["a.csv:2", "a.csv:3"], columns), outputs, [])
    assert next(lines) == {"input": "a.csv:2", "value": 2.0}
    with pytest.raises(UsageError, match=r"a\.csv:3: the model has no answer that is a finite"):
        next(lines)


def test_tables_and_texts_are_read_in_the_encoding_of_training(tmp_path):
    rows = [[i, ["Höhe", "Tal"][i % 2], i * 1000.0] for i in range(400)]
    path = write(tmp_path / "hills.csv", [["area", "städt", "price"], *rows], encoding="cp1252")
    asked = {"pipeline": "csv", "data_files": path, "target": "price"}
    settings = resolve("mlp", asked | {"pipeline_options": {"encoding": "cp1252"}})
    prepared = data.load(settings, None)
    model = build(settings, prepared, "float32")
    weights = {variable.path: variable.numpy() for variable in model.weights}
    kept = records.examples(prepared, registry.get(prepared.task), None)
    version = export.export(settings, prepared, weights, kept, tmp_path)
    found = []
    for encoding in ("cp1252", "utf-8", "utf-16"):
        write(tmp_path / "ask.csv", [["area", "städt"], [3, "Höhe"]], encoding=encoding)
        found += predict.predict(version, [tmp_path / "ask.csv"], strict=True)
    assert [answer["unknown"] for answer in found] == [0, 0, 0]
    assert len({answer["value"] for answer in found}) == 1
    (tmp_path / "ask.txt").write_bytes("Höhe\n".encode("cp1252"))
    [batch] = examples.batches([tmp_path / "ask.txt"], {"text": Field((), "string")}, "", "cp1252")
    assert batch.columns["text"].tolist() == ["Höhe".encode()]
