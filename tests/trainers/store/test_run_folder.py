"""The run folder: one run, one process, and only under the settings that the run has."""

import json
import os

import numpy as np
import pytest

from tests.conftest import fake_pipeline, made_pipeline, tiny_settings
from trainers.config.settings import resolve
from trainers.errors import ArtefactError, BusyError, UsageError
from trainers.store import run_folder, schema


@pytest.fixture
def prepared():
    return made_pipeline("binary")


def recorded(folder, prepared, **changes):
    settings = resolve("mlp", {"workdir": folder, **changes})
    run_folder.record(folder, settings, prepared, "float32", {"cores": 2})
    return settings


def edit(folder, change):
    facts = json.loads((folder / "run.json").read_text())
    change(facts)
    (folder / "run.json").write_text(json.dumps(facts))


def test_claim_is_for_one_process_at_a_time(tmp_path):
    with run_folder.claim(tmp_path / "run") as folder:
        assert folder.is_dir()
        with pytest.raises(BusyError, match="in use by process"), run_folder.claim(folder):
            pass
    with run_folder.claim(tmp_path / "run"):
        pass


def test_claim_refuses_files_and_folders_with_other_things(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match=r"already contains other files \(notes\.txt\)"):
        run_folder.claim(tmp_path).__enter__()
    with pytest.raises(UsageError, match="is a file"):
        run_folder.claim(tmp_path / "notes.txt").__enter__()


def test_settings_of_reads_back_what_record_wrote(tmp_path, prepared):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "run.json").touch()
    settings = recorded(
        tmp_path,
        prepared,
        hparams={"hidden": (4, 5), "dropout": 0.5},
        lr_scale=(("logits", 2.0),),
        class_weights=(1.0, 2.0),
        optimizer_options={"beta_2": 0.98},
        init_from=(str(tmp_path / "source"), "none"),
        init_new=("logits",),
        pipeline_options={"split_seed": 3},
    )
    again, facts = run_folder.settings_of(tmp_path)
    assert again == settings
    assert facts["identity"]["optimizer_options"] == {"beta_2": 0.98}
    run_folder.check_identity(tmp_path, again, "float32")


def test_settings_of_reads_run_json_of_version_0_1(tmp_path, prepared):
    source = tmp_path / "with,commas"
    source.mkdir()
    (source / "run.json").touch()
    settings = recorded(tmp_path, prepared, init_from=(str(source),), epochs=3)

    def as_before(facts):
        for part in (facts["settings"], facts["identity"]):
            for name in ("task", "way", "way_options", "init_new"):
                part.pop(name, None)
            part["init_from"] = str(source)  # one path
        del facts["settings"]["recipe"]["optimizer_options"]
        del facts["identity"]["optimizer_options"]

    edit(tmp_path, as_before)
    again, _ = run_folder.settings_of(tmp_path)
    assert again == settings
    run_folder.check_identity(tmp_path, again, "float32")


def test_check_identity_lists_what_differs(tmp_path, prepared):
    recorded(tmp_path, prepared)
    other = {"workdir": tmp_path, "l2": 0.5, "optimizer_options": {"beta_2": 0.98}}
    message = r"l2 0.0 -> 0.5; optimizer_options.beta_2 None -> 0.98; precision 'float32' -> 'bf"
    with pytest.raises(ArtefactError, match=message):
        run_folder.check_identity(tmp_path, resolve("mlp", other), "bfloat16")
    continued = resolve("mlp", {**other, "resume_with_changes": True})
    run_folder.check_identity(tmp_path, continued, "bfloat16")
    elsewhere = {"replicas": 1, "data_dir": "elsewhere", "max_minutes": 5, "workdir": tmp_path}
    run_folder.check_identity(tmp_path, resolve("mlp", elsewhere), "float32")


def test_check_identity_refuses_a_damaged_record(tmp_path, prepared):
    settings = recorded(tmp_path, prepared)
    edit(tmp_path, lambda facts: facts["identity"].update(epochs="many"))
    with pytest.raises(ArtefactError, match="is damaged: --epochs takes an integer"):
        run_folder.check_identity(tmp_path, settings, "float32")


def test_settings_of_a_folder_without_a_run(tmp_path):
    with pytest.raises(ArtefactError, match="holds no run: train one with"):
        run_folder.settings_of(tmp_path)


def test_record_keeps_the_number_of_the_run_and_every_start(tmp_path, prepared):
    settings = resolve("mlp", {"workdir": tmp_path})
    first = run_folder.record(tmp_path, settings, prepared, "float32", {"cores": 2})
    second = run_folder.record(tmp_path, settings, prepared, "float32", {"cores": 4})
    assert first.number == second.number
    assert second.facts["starts"] == [{"cores": 2}, {"cores": 4}]


def test_check_data_compares_the_fingerprint(tmp_path, prepared):
    settings = recorded(tmp_path, prepared)
    run_folder.check_data(tmp_path, settings, prepared)
    with pytest.raises(ArtefactError, match="the data is not that of"):
        run_folder.check_data(tmp_path, settings, made_pipeline("binary", num_rows=61))


FACTS = {"replicas": 1, "versions": {"keras": "3.15.1"}}


@pytest.fixture
def settings(tmp_path):
    return tiny_settings("mlp_binary", tmp_path)


def started(settings, prepared=None, **facts) -> run_folder.Run:
    prepared = prepared or fake_pipeline("breast_cancer")
    return run_folder.record(settings.run_dir, settings, prepared, "float32", FACTS | facts)


def changed(folder, **changes) -> None:
    """Writes other values, or none where they are None, into run.json."""
    facts = json.loads((folder / "run.json").read_text()) | changes
    facts = {key: value for key, value in facts.items() if value is not None}
    (folder / "run.json").write_text(json.dumps(facts))


def test_claim_clears_what_a_killed_process_left(tmp_path):
    (tmp_path / "pipeline").mkdir()
    for path in (tmp_path / ".writing-1", tmp_path / "pipeline" / ".writing-2"):
        path.touch()
    with run_folder.claim(tmp_path):
        assert sorted(os.listdir(tmp_path)) == [".lock", "pipeline"]
        assert os.listdir(tmp_path / "pipeline") == []


def test_record_keeps_the_number_and_every_start(settings, caplog):
    first, second = started(settings), started(settings)
    assert first.number == second.number
    stored = json.loads((settings.run_dir / "run.json").read_text())
    assert stored == json.loads(json.dumps(second.facts))
    assert second.facts["starts"] == [FACTS, FACTS]
    assert "other conditions" not in caplog.text
    third = started(settings, replicas=2)
    assert "replicas 1 -> 2" in caplog.text
    assert [start["replicas"] for start in third.facts["starts"]] == [1, 1, 2]


def test_record_holds_what_serving_needs(settings):
    prepared = fake_pipeline("breast_cancer")
    serving = started(settings).facts["serving"]
    assert serving["form"] == prepared.form
    assert schema.from_json(json.loads(json.dumps(serving["schema"]))) == prepared.schema


def test_check_data_compares_every_row_in_memory(settings):
    prepared = made_pipeline("binary")
    started(settings, prepared)
    run_folder.check_data(settings.run_dir, settings, prepared)
    table = dict(prepared.rows["test"].table)
    table["x"] = table["x"].copy()
    table["x"][7, 1] += 1e-3
    other = prepared.replace(
        rows={**prepared.rows, "test": prepared.rows["test"]._replace(table=table)}
    )
    with pytest.raises(ArtefactError, match="the data is not that of"):
        run_folder.check_data(settings.run_dir, settings, other)


def test_check_data_compares_the_identity_of_rows_on_disk():
    prepared = made_pipeline("binary")
    prints = set()
    for identity in ("a", "b"):
        on_disk = prepared.rows["train"]._replace(table=None, identity=identity)
        prints.add(run_folder.data_fingerprint(prepared.replace(rows={"train": on_disk})))
    assert len(prints) == 2


def test_data_fingerprint_covers_the_state():
    prepared = made_pipeline("regression")
    other = prepared.replace(state={"target": {"mean": np.float32(0), "std": np.float32(1)}})
    assert run_folder.data_fingerprint(prepared) != run_folder.data_fingerprint(other)


def test_a_run_of_the_earlier_format_goes_on_without_its_data_being_compared(settings, caplog):
    started(settings)
    changed(settings.run_dir, format=None, serving=None)
    run_folder.check_data(settings.run_dir, settings, made_pipeline("binary"))
    assert "its data cannot be compared" in caplog.text
    assert started(settings).facts["format"] == run_folder.FORMAT


def test_a_run_of_a_later_format_is_refused(settings):
    started(settings)
    changed(settings.run_dir, format=run_folder.FORMAT + 1)
    with pytest.raises(ArtefactError, match="this version reads up to"):
        run_folder.settings_of(settings.run_dir)


def test_finished_report_is_that_of_as_many_epochs(settings):
    assert run_folder.finished_report(settings.run_dir, settings) is None
    run_folder.write_json(settings.run_dir / "report.json", {"epochs": 2})
    assert run_folder.finished_report(settings.run_dir, settings) == {"epochs": 2}
    longer = tiny_settings("mlp_binary", settings.run_dir, epochs=3)
    assert run_folder.finished_report(settings.run_dir, longer) is None
