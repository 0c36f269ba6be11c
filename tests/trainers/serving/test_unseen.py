"""Values that training never had, asked in files: counted, shown safely, refused by --strict."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf

from pipelines import DataError
from tests.conftest import unchecked_exports
from tests.pipelines.test_csv import write
from tests.trainers.conftest import command
from trainers import predict as predict_command
from trainers.config.settings import resolve
from trainers.errors import UsageError, exit_code
from trainers.evaluation import records
from trainers.serving import examples, export, predict, unseen
from trainers.store import saved_model
from trainers.tasks import registry
from trainers.training import data
from trainers.training.compile import build

HEADER = ["shop", "zip", "sex", "sold", "size", "price"]
ZIPS = ("02134", "10001", "00501", "94103")
# Each row with the faults that it has by hand.
ASKED = [
    (["1.0", "2134", "FEMALE", "2020-01-05", "3"], 0),
    (["1", "02134", "Female", "2020-01-05", "3"], 0),
    (["9", "99999", "none of these", "05/01/2020", "3"], 4),
    (["", "", "?", "", ""], 0),
    (["2.5", "501", " male ", "2020-02-31", "4"], 2),
]


def exported(model, folder):
    """A model with its start weights; tables are `vector` for mlp and `columns` for tabular."""
    rows = [
        [i % 5 + 1, ZIPS[i % 4], ["Female", "male"][i % 2], f"2020-01-{i % 28 + 1:02}", i / 7, i]
        for i in range(400)
    ]
    path = write(folder / "shops.csv", [HEADER, *rows])
    options = {"categories": "shop"}
    settings = resolve(
        model,
        {"pipeline": "csv", "data_files": path, "target": "price", "pipeline_options": options},
    )
    prepared = data.load(settings, None)
    built = build(settings, prepared, "float32")
    weights = {variable.path: variable.numpy() for variable in built.weights}
    first = records.examples(prepared, registry.get(prepared.task), None)
    return export.export(settings, prepared, weights, first, folder / model)


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shops")
    found = {"mlp": exported("mlp", folder)}
    with pytest.MonkeyPatch.context() as patch:
        unchecked_exports(patch)  # the comparison of one of them is enough
        return {**found, "tabular": exported("tabular", folder)}


def asked(folder, rows=None):
    rows = [row for row, _ in ASKED] if rows is None else rows
    write(folder / "new.csv", [HEADER[:5], *rows])
    return folder / "new.csv"


def test_predict_counts_what_the_served_model_counts(versions, tmp_path, caplog):
    path, messages = asked(tmp_path), []
    raw = {name: tf.constant([row[i] for row, _ in ASKED]) for i, name in enumerate(HEADER[:4])} | {
        "size": tf.constant([3, 3, 3, np.nan, 4], tf.float32)
    }
    for version in versions.values():
        caplog.clear()
        lines = list(predict.predict(version, [path]))
        assert [line["unknown"] for line in lines] == [faults for _, faults in ASKED]
        signatures = tf.saved_model.load(str(version)).signatures
        served = signatures["serving_default"](**raw)
        assert served["unknown"].dtype == tf.int32
        assert served["unknown"].numpy().tolist() == [faults for _, faults in ASKED]
        np.testing.assert_allclose(served["value"], [line["value"] for line in lines], rtol=1e-6)
        # 1.0, 2134 and FEMALE are what training had as 1, 02134 and Female.
        assert lines[0]["value"] == lines[1]["value"] != lines[3]["value"]
        found = signatures["unseen"](**raw)
        assert {name: int(value.numpy().sum()) for name, value in found.items()} == {
            "unknown": 4,
            "unreadable": 2,
        }
        messages.append([record.getMessage() for record in caplog.records])
    assert messages[0] == messages[1]
    assert sorted(messages[0]) == sorted(
        [
            f"shop: 2 of 5 values unknown to training, first '9' ({path}:4); training had '1', "
            "'2', '3', '4', '5'",
            f"zip: 1 of 5 values unknown to training, first '99999' ({path}:4); training had "
            "'00501', '02134', '10001', '94103'",
            f"sex: 1 of 5 values unknown to training, first 'none of these' ({path}:4); training "
            "had 'Female', 'male'",
            f"sold: 2 of 5 values unreadable, first '05/01/2020' ({path}:4); expected a date such "
            "as 2024-01-31",
        ]
    )


def test_predict_says_nothing_of_known_and_missing_values(versions, tmp_path, caplog):
    path = asked(tmp_path, [row for row, faults in ASKED if not faults])
    assert len(list(predict.predict(versions["mlp"], [path], strict=True))) == 3
    assert not caplog.records


def test_strict_refuses_before_the_first_answer(versions, tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "ROWS", 2)
    good = [row for row, faults in ASKED if not faults]
    path = asked(tmp_path, good * 3 + [["1", "02134", "F", "2020-01-01", "1"]] * 2)
    expected = (
        f"sex: 2 of 11 values unknown to training, first 'F' ({path}:11); training had 'Female', "
        "'male'"
    )
    with pytest.raises(DataError, match=re.escape(expected)) as caught:
        next(predict.predict(versions["tabular"], [path], strict=True))
    assert exit_code(caught.value) == 3
    path = asked(tmp_path)
    with pytest.raises(DataError, match=r"^shop: 2 of 5 .*'5'; also in zip, sex, sold$"):
        next(predict.predict(versions["mlp"], [path], strict=True))
    lines = list(predict.predict(versions["mlp"], [path], strict=False))
    assert len(lines) == 5


def test_strict_is_a_switch_of_the_command(versions, tmp_path, capsys):
    folder = versions["mlp"].parents[2]
    path = asked(tmp_path)
    assert len(command(predict_command, f"--workdir={folder}", str(path))) == 5
    with pytest.raises(DataError, match="unknown to training"):
        command(predict_command, f"--workdir={folder}", "--strict", str(path))
    assert capsys.readouterr().out == ""
    path = asked(tmp_path, [row for row, faults in ASKED if not faults])
    assert len(command(predict_command, f"--workdir={folder}", "--strict", str(path))) == 3


def test_requests_in_json_are_counted_too(versions, tmp_path, caplog):
    row = {"shop": "1", "zip": "2134", "sex": "x\u202e" * 99, "sold": "soon", "size": 1.0}
    (tmp_path / "ask.json").write_text(json.dumps({"instances": [row, row]}))
    lines = list(predict.predict(versions["mlp"], [tmp_path / "ask.json"]))
    assert [line["unknown"] for line in lines] == [2, 2]
    one, two = sorted(record.getMessage() for record in caplog.records)
    assert one.startswith("sex: 2 of 2 values unknown to training, first 'x\\u202ex")
    assert len(one) < 300
    assert two.startswith(f"sold: 2 of 2 values unreadable, first 'soon' ({tmp_path}/ask.json:0);")


def test_values_before_a_fault_are_reported(versions, tmp_path, caplog):
    path = asked(tmp_path, [ASKED[2][0]] * 3 + [["1", "", "", "", "big"]])
    lines = predict.predict(versions["mlp"], [path])
    assert [next(lines)["unknown"] for _ in range(3)] == [4] * 3
    with pytest.raises(UsageError, match=r"new\.csv:5: column size: 'big'"):
        next(lines)
    assert "sex: 3 of 3 values unknown to training" in caplog.text


def test_an_export_without_the_signature_is_asked_as_before(
    versions, tmp_path, monkeypatch, caplog
):
    """As an earlier version wrote it: without `unknown`, `unseen` and `expected`."""
    load = saved_model.load

    class Earlier:
        def __init__(self, model):
            serve = model.signatures["serving_default"]

            def without(**raw):
                return {k: v for k, v in serve(**raw).items() if k != "unknown"}

            self.signatures = {"serving_default": without}

    monkeypatch.setattr(saved_model, "load", lambda folder: Earlier(load(folder)))
    lines = list(predict.predict(versions["mlp"], [asked(tmp_path)]))
    assert [set(line) for line in lines] == [{"input", "value"}] * 5
    assert not caplog.records
    with pytest.raises(UsageError, match=r"--strict: .* does not tell which values training had"):
        next(predict.predict(versions["mlp"], [asked(tmp_path)], strict=True))


def test_the_card_describes_what_training_had(versions):
    for version in versions.values():
        card = json.loads((version / "assets.extra" / "model.json").read_text())
        assert card["expected"]["sex"] == "'Female', 'male'"
        assert card["outputs"]["unknown"] == ["int32"]
        assert card["signatures"]["unseen"]["outputs"] == {
            "unknown": ["bool", 5],
            "unreadable": ["bool", 5],
        }
        assert list(card["inputs"]) == HEADER[:5]


def test_add_and_lines_by_hand():
    counts: unseen.Counts = {}
    none = np.zeros((2, 2), bool)
    for where, unknown in (("a", [[0, 0], [0, 1]]), ("b", [[1, 1], [0, 1]])):
        found = {"unknown": np.array(unknown, bool), "unreadable": none}
        columns = {"x": [b"p", b"q"], "y": [b"r", b"\xff\n"]}
        unseen.add(counts, found, columns, [f"{where}:1", f"{where}:2"])
    assert counts == {
        ("y", "unknown"): (3, "'\ufffd\\n'", "a:2"),
        ("x", "unknown"): (1, "'p'", "b:1"),
    }
    assert unseen.lines(counts, 4, {"x": "'z'"})[1] == (
        "x: 1 of 4 values unknown to training, first 'p' (b:1); training had 'z'"
    )
    many = {(f"c{i}", "unknown"): unseen.Count(1, "'v'", "f:2") for i in range(30)}
    assert len(unseen.lines(many, 1, {})) == 21
    assert unseen.lines(many, 1, {})[-1] == "and 10 more columns"
