"""Splits with values that training never had: counted over all rows, warned of where many."""

import pytest

from tests.conftest import fake_pipeline, tiny_settings
from tests.pipelines.tables import load_csv, write
from trainers.evaluation import evaluate, unseen
from trainers.training import run

HEADER = ["town", "day", "n", "y"]


def split_files(folder, validation, test) -> str:
    train = [[["Ulm", "Bonn"][i % 2], f"2020-01-{i % 28 + 1:02}", i % 7, i] for i in range(100)]
    parts = {"train": train, "validation": validation, "test": test}
    paths = {k: write(folder / f"{k}.csv", [HEADER, *rows]) for k, rows in parts.items()}
    return ",".join(f"{name}={path}" for name, path in paths.items())


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Of 200 validation rows one is new; of 1100 test rows 110 are, from the 1001st on."""
    day = "2020-01-05"
    validation = [["Ulm", day, 1, 5]] * 150 + [["ULM", day, 1, 5]] * 49 + [["Mainz", day, 1, 5]]
    test = [["Bonn", day, 1, 5]] * 990 + [["", day, 1, 5]] * 10 + [["Köln", day, 1, 5]] * 100
    files = split_files(tmp_path_factory.mktemp("t"), validation, test)
    return {form: load_csv(files, form=form) for form in ("vector", "columns")}


@pytest.mark.parametrize("form", ["vector", "columns"])
def test_count_reads_every_row_of_a_split(prepared, form):
    assert unseen.count(prepared[form], "train") == {}
    assert unseen.count(prepared[form], "validation") == {
        ("town", "unknown"): (1, "'Mainz'", "row 199")
    }
    assert unseen.count(prepared[form], "test") == {
        ("town", "unknown"): (100, "'Köln'", "row 1000")
    }


def test_warn_names_columns_of_which_much_is_new(prepared, caplog):
    unseen.warn(prepared["vector"], ["validation", "test"])
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == (
        "test: town: 100 of 1100 values unknown to training, first 'Köln' (row 1000); training "
        "had 'Bonn', 'Ulm'"
    )
    caplog.clear()
    unseen.warn_of_all(prepared["vector"], "validation")
    assert "validation: town: 1 of 200 values unknown" in caplog.text


def test_warn_looks_at_evenly_spaced_rows_of_many(prepared, caplog, monkeypatch):
    monkeypatch.setattr(unseen, "_LOOKED_AT", 110)
    unseen.warn(prepared["vector"], ["test"])  # rows 0, 10, 20, ...: a tenth of the new ones
    [record] = caplog.records
    assert "town: 10 of 110 values unknown to training, first 'Köln' (row 1" in record.getMessage()


def test_data_that_does_not_tell_is_passed_over(caplog):
    fake = fake_pipeline("breast_cancer")
    assert unseen.count(fake, "test") == {}
    unseen.warn_of_all(fake, "test")
    assert not caplog.records


@pytest.mark.usefixtures("_unchecked_export")
def test_training_warns_and_evaluate_counts(tmp_path, caplog):
    rows = [["ULM", "2020-01-05", 1, 5]] * 30 + [["Mainz", "2020-01-05", 1, 6]]
    files = split_files(tmp_path, rows, [*rows, *[["Köln", "", 2, 4]] * 3])
    changes = {"pipeline": "csv", "data_files": files, "target": "y", "pipeline_options": {}}
    run.run(tiny_settings("mlp", tmp_path / "run", epochs=1, **changes))
    lines = [record.getMessage() for record in caplog.records if "unknown" in record.getMessage()]
    expected = "town: 4 of 34 values unknown to training, first 'Mainz' (row 30); training had"
    assert lines == [f"test: {expected} 'Bonn', 'Ulm'"]
    for split, line in (("test", expected), ("validation", "town: 1 of 31 values unknown")):
        caplog.clear()
        evaluate.evaluate_run(tmp_path / "run", split)
        assert f"{split}: {line}" in caplog.text
