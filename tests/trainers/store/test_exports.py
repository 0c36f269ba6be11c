"""Which export of a run is the newest, and whether it is of that run."""

import contextlib
import json

import pytest

from tests.conftest import a_report
from trainers.errors import ArtefactError
from trainers.store import exports, report_file


def test_versions_are_numbers_in_order(tmp_path):
    for name in ("2", "10", ".writing-1", "notes", "9", "²", "٣", "0", "-1", "01"):
        (tmp_path / name).mkdir()
    (tmp_path / "11").touch()
    assert exports.versions(tmp_path) == [2, 9, 10]
    assert exports.versions(tmp_path / "nothing") == []


def test_newest_is_the_highest_number(tmp_path):
    place = exports.model_folder(tmp_path, "mlp")
    for name in ("9", "10"):
        (place / name).mkdir(parents=True)
    assert exports.newest(tmp_path) == tmp_path / "export" / "mlp" / "10"


@pytest.mark.parametrize("name", [None, "mlp/.writing-1"])
def test_newest_of_none_is_refused(name, tmp_path):
    if name:
        (tmp_path / "export" / name).mkdir(parents=True)
    with pytest.raises(ArtefactError, match="has no export"):
        exports.newest(tmp_path)


@pytest.mark.parametrize("named", ["../other", "/other", "export/other/1", None, 5, ".", "1"])
def test_report_takes_exports_of_the_run_alone(named, tmp_path):
    version = exports.model_folder(tmp_path / "run", "mlp") / "1"
    version.mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "run" / "export" / "other" / "1").mkdir(parents=True)
    exports.check_of_report(tmp_path / "run", "mlp", {"export": "export/mlp/1"})
    with pytest.raises(ArtefactError, match="is gone"):
        exports.check_of_report(tmp_path / "run", "mlp", {"export": named})


def exported(run, weights: str):
    card = exports.model_folder(run, "mlp") / "1" / exports.CARD
    card.parent.mkdir(parents=True)
    card.write_text(json.dumps({"weights": weights}))


REPORT = a_report(weights={"last": "a1", "best": "b2"})


@pytest.mark.parametrize(("weights", "own"), [("a1", True), ("b2", True), ("c3", False)])
def test_export_of_another_run_is_refused(weights, own, tmp_path):
    exported(tmp_path, weights)
    report_file.write(tmp_path, REPORT)
    with contextlib.nullcontext() if own else pytest.raises(ArtefactError, match="another run"):
        assert exports.newest(tmp_path).name == "1"
    with contextlib.nullcontext() if own else pytest.raises(ArtefactError, match="another run"):
        exports.check_of_report(tmp_path, "mlp", report_file.read(tmp_path))


def test_export_without_a_description_is_damaged(tmp_path):
    exported(tmp_path, "a1")
    report_file.write(tmp_path, REPORT)
    (exports.model_folder(tmp_path, "mlp") / "1" / exports.CARD).write_text("{")
    with pytest.raises(ArtefactError, match="is damaged"):
        exports.newest(tmp_path)
