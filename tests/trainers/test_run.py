"""The command `run`, and `train` for notebooks: what is printed, and what is called."""

import json
import pathlib
import shlex

import keras
import pytest

from tests.conftest import tiny_settings
from trainers import run
from trainers.config.flags import command_line
from trainers.errors import UsageError

pytestmark = pytest.mark.usefixtures("_fake_data", "_unchecked_export")


class Steps(keras.callbacks.Callback):
    """Counts epochs."""

    epochs = 0

    def on_epoch_end(self, epoch, logs=None):
        Steps.epochs += 1


def test_train_calls_the_callbacks_of_its_user_and_returns_the_report(tmp_path):
    before = Steps.epochs
    report = run.train(
        "mlp_binary",
        callbacks=[Steps()],
        epochs=2,
        batch_size=16,
        hparams={"hidden": (3,)},
        workdir=str(tmp_path),
        report_baseline=False,
    )
    assert Steps.epochs - before == 2
    assert report["test"].keys() >= {"loss", "accuracy"}
    assert report["test"] == json.loads((tmp_path / "report.json").read_text())["test"]


def test_train_refuses_a_dry_run_instead_of_training(tmp_path):
    with pytest.raises(UsageError, match=r"the command trainers\.run has --dry_run"):
        run.train("mlp_binary", dry_run=True, workdir=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_train_refuses_an_unknown_setting_with_the_nearest(tmp_path):
    with pytest.raises(UsageError, match="epochs"):
        run.train("mlp_binary", epoch=2, workdir=str(tmp_path))


def test_command_ends_with_the_report_as_json_and_a_request_that_can_be_typed(tmp_path, capsys):
    settings = tiny_settings("mlp_binary", tmp_path / "a run")
    run.main(["run", *command_line(settings)])
    lines = capsys.readouterr().out.strip().splitlines()
    assert json.loads(lines[-1])["workdir"] == str(tmp_path / "a run")
    query = next(line for line in lines if line.startswith("query")).removeprefix("query").strip()
    _, _, module, workdir, request = shlex.split(query)
    assert (module, workdir) == ("trainers.predict", f"--workdir={tmp_path / 'a run'}")
    assert json.loads(pathlib.Path(request).read_text())["signature_name"] == "serving_default"


def test_dry_run_writes_nothing(tmp_path, capsys):
    settings = tiny_settings("mlp_binary", tmp_path / "run", dry_run=True)
    run.main(["run", *command_line(settings)])
    assert "6209" not in capsys.readouterr().out  # the tiny size has fewer parameters
    assert list(tmp_path.iterdir()) == []
