"""Which export of a run is the newest."""

import pytest

from trainers.errors import ArtefactError
from trainers.store import exports


def test_versions_are_numbers_in_order(tmp_path):
    for name in ("2", "10", ".writing-1", "notes", "9"):
        (tmp_path / name).mkdir()
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
def test_of_report_takes_exports_of_the_run_alone(named, tmp_path):
    version = exports.model_folder(tmp_path / "run", "mlp") / "1"
    version.mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "run" / "export" / "other" / "1").mkdir(parents=True)
    assert exports.of_report(tmp_path / "run", "mlp", {"export": "export/mlp/1"}) == version
    with pytest.raises(ArtefactError, match="is gone"):
        exports.of_report(tmp_path / "run", "mlp", {"export": named})
