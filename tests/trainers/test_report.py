"""The command `report`: the page again, from the run's folder alone."""

import shutil

import pytest

from pipelines import DataError
from pipelines.storage import tfds
from trainers import report
from trainers.errors import ArtefactError


def test_it_writes_the_page_and_prints_its_path(finished_runs, tmp_path, capsys, monkeypatch):
    def gone(*arguments, **options):
        raise DataError("the data is gone")

    monkeypatch.setattr(tfds, "load", gone)
    folder = tmp_path / "run"
    shutil.copytree(finished_runs / "cifar_cnn", folder)
    before = (folder / "report.html").read_text()
    (folder / "report.html").unlink()
    shutil.rmtree(folder / "checkpoints")
    report.main(["report", f"--workdir={folder}"])
    assert capsys.readouterr().out.strip() == str(folder / "report.html")
    # The folder's own path stands on the page, so the copies differ there alone.
    again = (folder / "report.html").read_text()
    assert again.replace(str(folder), "") == before.replace(str(finished_runs / "cifar_cnn"), "")


def test_an_export_that_is_gone_is_refused(finished_runs, tmp_path):
    shutil.copytree(finished_runs / "cifar_cnn", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "export")
    with pytest.raises(ArtefactError, match=r"is gone: python -m trainers\.export makes another"):
        report.main(["report", f"--workdir={tmp_path / 'run'}"])


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ArtefactError, match="holds no run"):
        report.main(["report", f"--workdir={tmp_path}"])
