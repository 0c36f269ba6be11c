"""report.json: complete, damaged, and the files that it names."""

import dataclasses
import json

import pytest

from tests.conftest import a_report, tiny_settings
from trainers.errors import ArtefactError
from trainers.store import report_file


def test_report_is_complete_for_as_many_epochs(tmp_path):
    settings = tiny_settings("mlp_binary", tmp_path)
    assert report_file.complete(tmp_path, settings) is None
    report_file.write(tmp_path, a_report())
    assert report_file.complete(tmp_path, settings) == a_report(workdir=str(tmp_path))
    longer = dataclasses.replace(settings, recipe=dataclasses.replace(settings.recipe, epochs=3))
    assert report_file.complete(tmp_path, longer) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": "2"}, "see epochs"),
        ({"test": {"loss": "low"}}, r"see test\.loss"),
        ({"test": []}, "see test"),
        ({"seconds": {"fit": None}}, r"see seconds\.fit"),
        ({"export": 7, "model": None}, "see model, export"),
    ],
)
def test_report_with_other_values_is_refused(changes, said, tmp_path):
    (tmp_path / "report.json").write_text(json.dumps(a_report(**changes)))
    with pytest.raises(ArtefactError, match=said):
        report_file.read(tmp_path)


def test_file_of_another_run_is_refused(tmp_path):
    (tmp_path / "predictions").mkdir()
    for name in ("a.npz", "predictions/test.npz"):
        (tmp_path / name).write_bytes(name.encode())
    named = {"files": report_file.hashes(tmp_path, ["a.npz", "predictions/test.npz"])}
    report_file.check_file(tmp_path, named, "predictions/test.npz")
    report_file.check_file(tmp_path, {}, "a.npz")  # of an earlier version
    (tmp_path / "predictions" / "test.npz").write_bytes(b"of another")
    with pytest.raises(ArtefactError, match="of another run"):
        report_file.check_file(tmp_path, named, "predictions/test.npz")
