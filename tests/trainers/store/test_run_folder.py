"""What a run records, and that it goes on only under the settings and on the data it has."""

import json
import os

import numpy as np
import pytest

from tests.conftest import fake_pipeline, made_pipeline, tiny_settings
from trainers.config.settings import resolve
from trainers.errors import ArtefactError
from trainers.store import claim, run_folder, schema, sealed


@pytest.fixture
def prepared():
    return made_pipeline("binary")


def recorded(folder, prepared, **changes):
    settings = resolve("mlp", {"workdir": folder, **changes})
    run_folder.record(folder, settings, prepared, "float32", {"cores": 2})
    begin(folder)
    return settings


def begin(folder) -> None:
    """Gives a recorded run something to lose."""
    (folder / "checkpoints" / "step-00000001").mkdir(parents=True, exist_ok=True)


def edit(folder, change):
    facts = sealed.read(folder / "run.json")
    change(facts)
    (folder / "run.json").write_text(json.dumps(facts))


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
    begin(tmp_path)
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
    begin(settings.run_dir)
    return run_folder.record(settings.run_dir, settings, prepared, "float32", FACTS | facts)


def changed(folder, **changes) -> None:
    """Writes other values, or none where they are None, into run.json."""
    facts = sealed.read(folder / "run.json") | changes
    facts = {key: value for key, value in facts.items() if value is not None}
    (folder / "run.json").write_text(json.dumps(facts))


def test_record_keeps_the_number_and_every_start(settings, caplog):
    first, second = started(settings), started(settings)
    assert first.number == second.number
    stored = sealed.read(settings.run_dir / "run.json")
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


@pytest.mark.parametrize(
    ("left", "begun"),
    [
        ("checkpoints/step-00000008", True),
        ("checkpoints/.replaced-step-00000008", True),
        ("checkpoints/.damaged-step-00000008", True),
        ("report.json", True),
        ("weights.npz", True),
        ("export/mlp/1", True),
        ("baselines/linear", True),
        ("checkpoints", False),
        ("checkpoints/.writing-0123", False),
        ("pipeline/state.npz", False),
        ("metrics.jsonl", False),
        ("tensorboard/train", False),
    ],
)
def test_a_record_binds_only_what_there_is_to_lose(left, begun, tmp_path, prepared):
    (tmp_path / left).mkdir(parents=True)
    assert not run_folder.is_begun(tmp_path)
    settings = resolve("mlp", {"workdir": tmp_path})
    first = run_folder.record(tmp_path, settings, prepared, "float32", {"cores": 2})
    assert run_folder.is_begun(tmp_path) == begun
    other = resolve("mlp", {"workdir": tmp_path, "l2": 0.5})
    rows = made_pipeline("binary", num_rows=61)
    if begun:
        with pytest.raises(ArtefactError, match="other settings"):
            run_folder.check_identity(tmp_path, other, "float32")
        with pytest.raises(ArtefactError, match="the data is not that of"):
            run_folder.check_data(tmp_path, settings, rows)
    else:
        run_folder.check_identity(tmp_path, other, "float32")
        run_folder.check_data(tmp_path, settings, rows)
    second = run_folder.record(tmp_path, settings, prepared, "float32", {"cores": 2})
    assert (first.number == second.number) == begun
    assert len(second.facts["starts"]) == 1 + begun


def test_a_file_of_somebody_else_called_run_json_is_never_replaced(tmp_path, prepared):
    (tmp_path / "run.json").write_text('{"scripts": {}}')
    settings = resolve("mlp", {"workdir": tmp_path})
    with pytest.raises(ArtefactError, match="is damaged: see identity"):
        run_folder.check_identity(tmp_path, settings, "float32")
    with pytest.raises(ArtefactError, match="is damaged: see identity"):
        run_folder.record(tmp_path, settings, prepared, "float32", {})
    assert (tmp_path / "run.json").read_text() == '{"scripts": {}}'


def test_check_data_compares_the_state_also_where_the_rows_may_be_others(tmp_path):
    """--resume_with_changes: the weights mean something only under the state of their run."""
    rows = made_pipeline("regression", num_rows=61)
    recorded(tmp_path, made_pipeline("regression"))
    settings = resolve("mlp", {"workdir": tmp_path, "resume_with_changes": True})
    run_folder.check_data(tmp_path, settings, rows)
    other = rows.replace(state={"target": {"mean": np.float32(0), "std": np.float32(1)}})
    with pytest.raises(ArtefactError, match=r"state\.npz is not what the run fitted"):
        run_folder.check_data(tmp_path, settings, other)


def test_forget_takes_back_the_record_of_a_run_that_was_refused(tmp_path, prepared):
    settings = resolve("mlp", {"workdir": tmp_path})
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "state.npz").touch()
    run_folder.record(tmp_path, settings, prepared, "float32", {})
    run_folder.forget(tmp_path)
    assert list(tmp_path.iterdir()) == []
    for left in ("tensorboard", "weights.npz"):  # a folder of our own needs its record
        run_folder.record(tmp_path, settings, prepared, "float32", {})
        (tmp_path / left).mkdir()
        run_folder.forget(tmp_path)
        assert (tmp_path / "run.json").exists()
        (tmp_path / left).rmdir()


def test_settings_of_refuses_a_folder_with_links(tmp_path, prepared):
    recorded(tmp_path, prepared)
    (tmp_path / "metrics.jsonl").symlink_to("/dev/null")
    with pytest.raises(ArtefactError, match=r"'metrics\.jsonl' \(a symbolic link\)"):
        run_folder.settings_of(tmp_path)


def test_forget_that_is_cut_off_leaves_a_folder_that_can_be_claimed(tmp_path, monkeypatch):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "run.json").touch()

    def cut_off(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "rmdir", cut_off)
        with pytest.raises(KeyboardInterrupt):
            run_folder.forget(tmp_path)
    with claim.claim(tmp_path):
        run_folder.forget(tmp_path)
    assert os.listdir(tmp_path) == [".lock"]
