"""report.json and report.html of a whole run, written from what the run has kept."""

import json

import numpy as np
import pytest

from pipelines import DataError
from pipelines.storage import tfds
from tests.conftest import fake_load, made_pipeline, tiny_settings, use_fake_data
from tests.trainers.reports.past import Page, past_run
from trainers import report as command
from trainers.errors import ArtefactError, InterruptedRunError
from trainers.evaluation import baselines
from trainers.reports import html, page, write
from trainers.store import sealed
from trainers.training import run


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """A whole run, baseline included, on random rows; its report."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfds, "load", fake_load)
        patch.setattr(baselines, "_EPOCHS", 2)
        settings = tiny_settings("mlp_binary", folder, report_baseline=True, l2=0.5)
        return folder, run.run(settings)


def test_a_run_writes_its_page_with_both_baselines(complete):
    folder, content = complete
    assert content == sealed.read(folder / "report.json")
    found = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert set(content["baseline"]) == {"linear", "constant"}
    for entry in content["baseline"].values():
        assert set(entry["test"]) == set(content["test"])
        assert f"{entry['name']}, test" in found.text
        assert html.number(entry["test"]["loss"]) in found.text
    assert "0.5 instead of 0.02" in found.words
    assert str(folder / content["export"]) in found.words
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    last = next(line for line in reversed(lines) if "epoch/loss" in line)
    assert f"validation: {last['epoch/loss']:.5g} at 2" in found.text


def test_the_page_is_written_again_without_the_data(complete, capsys, monkeypatch):
    def gone(*arguments, **options):
        raise DataError("the data is gone")

    monkeypatch.setattr(tfds, "load", gone)
    folder, content = complete
    before = (folder / "report.html").read_text()
    (folder / "report.html").unlink()
    command.main(["report", f"--workdir={folder}"])
    assert capsys.readouterr().out.strip() == str(folder / "report.html")
    assert (folder / "report.html").read_text() == before
    assert sealed.read(folder / "report.json") == content
    with pytest.raises(ArtefactError, match="holds no run"):
        write.write_again(folder / "export")


def test_intervals_and_differences_are_of_the_same_resamples(tmp_path):
    """Against itself as a baseline a model has no difference, in any resample."""
    past = past_run(tmp_path, made_pipeline("binary"))
    kept = past.predictions["test"]
    kept["itself/logits"] = kept["outputs/logits"]
    past.report["baseline"]["itself"] = {"name": "itself", "meaning": "the same answers"}
    found = write.write(past)
    assert all(pair == [0.0, 0.0] for pair in found["baseline"]["itself"]["difference"].values())
    assert found["baseline"]["itself"]["intervals"] == found["intervals"]["test"]
    assert found["baseline"]["itself"]["test"] == pytest.approx(found["test"], rel=1e-5)
    low, high = found["baseline"]["constant"]["difference"]["loss"]
    constant = found["baseline"]["constant"]["test"]["loss"]
    assert low < found["test"]["loss"] - constant < high
    assert np.isfinite([low, high]).all()


def test_the_mean_of_both_logits_is_measured_beside_the_model(tmp_path):
    """By hand: the mean with three times the logits is twice the logits, with equal answers."""
    past = past_run(tmp_path, made_pipeline("binary"))
    kept = past.predictions["test"]
    kept["text_ngram/logits"] = 3 * kept["outputs/logits"]
    past.report["baseline"] = {"text_ngram": {"name": "n-gram model", "meaning": "others"}}
    both = write.write(past)["baseline"]["text_ngram"]["both"]
    logits, target = 2 * kept["outputs/logits"][:, 0].astype(np.float64), kept["target"]
    loss = (np.logaddexp(0, logits) - logits * target).mean()
    assert both["test"]["loss"] == pytest.approx(loss, rel=1e-5)
    assert both["test"]["accuracy"] == pytest.approx(((logits > 0) == target).mean())
    assert both["difference"]["accuracy"] == [0.0, 0.0]
    low, high = both["difference"]["loss"]
    assert low < loss - write.write(past)["test"]["loss"] < high


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_a_page_that_cannot_be_drawn_loses_no_run(tmp_path, monkeypatch, caplog):
    def fail(*arguments):
        raise RuntimeError("no\nink")

    draw = page.draw
    monkeypatch.setattr(page, "draw", fail)
    found = run.run(tiny_settings("mlp_binary", tmp_path))
    assert "no report.html (RuntimeError: no ink)" in caplog.text
    assert found == sealed.read(tmp_path / "report.json")
    assert found["test"]
    assert not (tmp_path / "report.html").exists()
    monkeypatch.setattr(page, "draw", draw)  # the defect is mended
    assert run.run(tiny_settings("mlp_binary", tmp_path))["intervals"]
    assert (tmp_path / "report.html").exists()
    (tmp_path / "report.json").unlink()
    with pytest.raises(ArtefactError, match="is not finished"):
        write.write_again(tmp_path)


@pytest.mark.usefixtures("_unchecked_export")
@pytest.mark.parametrize("error", [OSError(28, "no space"), InterruptedRunError("SIGTERM", 143)])
def test_page_that_was_interrupted_is_drawn_by_the_same_command(error, tmp_path, monkeypatch):
    def fail(*arguments):
        raise error

    use_fake_data(monkeypatch)
    settings = tiny_settings("mlp_binary", tmp_path)
    for function in ((page, "draw"), (write, "replace_whole")):
        with monkeypatch.context() as patch:
            patch.setattr(*function, fail)
            with pytest.raises(type(error)):
                run.run(settings)
        assert "intervals" not in sealed.read(tmp_path / "report.json")
    assert run.run(settings)["intervals"] == sealed.read(tmp_path / "report.json")["intervals"]
    assert (tmp_path / "report.html").exists()
