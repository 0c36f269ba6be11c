"""The command `export`: the next version, of the last or the best weights, without the data."""

import io
import json
import shutil

import numpy as np
import pytest

from pipelines import DataError
from pipelines.storage import tfds
from tests.conftest import fake_pipeline
from tests.trainers.conftest import served
from trainers import export
from trainers.errors import ArtefactError, UsageError
from trainers.store import exports
from trainers.store.finished import finished


@pytest.fixture
def folder(finished_runs, tmp_path, monkeypatch):
    """A copy of a run whose best and last weights differ; its data is gone."""

    def gone(*arguments, **options):
        raise DataError("the data is gone")

    monkeypatch.setattr(tfds, "load", gone)
    shutil.copytree(finished_runs / "mlp_binary", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    return tmp_path / "run"


def exported(folder, keep: str = ""):
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", out)
        export.main(["export", f"--workdir={folder}", f"--keep={keep}"])
    return folder / "export" / "mlp_binary" / out.getvalue().strip().rpartition("/")[2]


def raw_rows():
    prepared = fake_pipeline("breast_cancer")
    return {name: prepared.rows["test"].table[name][:4] for name in prepared.raw}


def test_the_next_version_gives_the_same_answers_without_data_and_optimizer(folder):
    before = served(folder, raw_rows())
    version = exported(folder)
    assert version.name == "2"
    np.testing.assert_array_equal(served(folder, raw_rows())["logits"], before["logits"])


def test_keep_chooses_the_weights(folder):
    steps = json.loads((folder / "report.json").read_text())["steps"]
    assert steps["best"] < steps["last"]
    last, best = exported(folder, "last"), exported(folder, "best")
    answers = [served(folder, raw_rows(), version)["logits"] for version in (last, best)]
    assert np.abs(answers[0] - answers[1]).max() > 1e-2
    kept = finished(folder, "best").weights
    assert exports.newest(folder) == best
    card = json.loads((best / "assets.extra" / "model.json").read_text())
    assert (
        card["weights"] != json.loads((last / "assets.extra" / "model.json").read_text())["weights"]
    )
    assert set(kept) == set(finished(folder, "last").weights)


def test_weights_that_are_gone_are_refused(folder):
    (folder / "weights-best.npz").unlink()
    with pytest.raises(ArtefactError, match="no weights of its best step"):
        exported(folder, "best")


def test_other_values_and_folders_are_refused(tmp_path):
    with pytest.raises(UsageError, match="last or best, received 'first'"):
        export.main(["export", f"--workdir={tmp_path}", "--keep=first"])
    with pytest.raises(ArtefactError, match="holds no run"):
        export.main(["export", f"--workdir={tmp_path}"])
