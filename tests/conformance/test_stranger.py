"""A stranger's model, data set, task and way are one new file each, and no other edit."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

_STRANGERS = pathlib.Path(ROOT, "tests", "conformance", "strangers")
# Trains, evaluates, exports and reports, in one process: what the commands call.
_LIFE = """
import json, pathlib, sys
from pipelines import DataError
from pipelines.storage import tfds
from trainers.evaluation.evaluate import evaluate_run
from trainers.reports.write import write_again
from trainers.run import train
from trainers.serving.export import export_run
from trainers.serving.predict import predict

folder = pathlib.Path(sys.argv[1])
columns = train("stranger_columns", workdir=str(folder / "columns"), report_baseline=False)
report = train(
    "stranger_autoencoder",
    workdir=str(folder / "denoise"),
    way=("shrink",),
    way_options={"shrink.fraction": 1e-4},
)
again = evaluate_run(folder / "denoise", "test")

def gone(*arguments, **options):
    raise DataError("the data is gone")

tfds.load = gone  # from here on the run's folder has to be enough
version = export_run(folder / "denoise")
page = write_again(folder / "denoise").read_text()
[answer] = predict(version, [version / "assets.extra" / "request.json"])
result = {"columns": columns, "report": report, "again": again, "version": str(version)}
print(json.dumps(result | {"page": page, "answer": answer}))
"""


@pytest.fixture
def python(tmp_path):
    """Runs Python in a copy of the packages into which the strangers' files were dropped."""
    for package in ("zoo", "pipelines", "trainers", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "strangers")
        shutil.copytree(pathlib.Path(ROOT, package), tmp_path / package, ignore=ignored)
    shutil.copy(pathlib.Path(ROOT, "pyproject.toml"), tmp_path)
    shutil.copytree(_STRANGERS, tmp_path, dirs_exist_ok=True)

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_strangers_live_a_whole_life_without_another_edit(
    python, tmp_path, built_in_data, monkeypatch
):
    monkeypatch.setenv("TFDS_DATA_DIR", built_in_data)
    listing = python("-m", "trainers.run", "--list")
    for line in (
        "One hidden layer, by somebody else.",
        "Points in a square, by which quarter they are in.",
        "Vectors without the noise that was added to them; the data's own target is not used.",
        "Every weight loses a fraction after each update, whatever the optimizer.",
    ):
        assert line in listing
    found = json.loads(python("-c", _LIFE, str(tmp_path / "runs")).splitlines()[-1])

    assert found["columns"]["test"]["accuracy"] > 0.6  # a form of the table that it asked for
    facts = json.loads((tmp_path / "runs" / "columns" / "run.json").read_text())
    assert facts["serving"]["form"] == "columns"

    report = found["report"]
    assert report["task"] == "denoise"
    assert set(report["test"]) == {"loss", "largest_error"}
    # The exported `score` gives what fit measured in its last validation, draws included.
    lines = (tmp_path / "runs" / "denoise" / "metrics.jsonl").read_text().splitlines()
    last = [line for line in map(json.loads, lines) if line["split"] == "validation"][-1]
    for metric, value in report["validation"].items():
        assert last[f"epoch/{metric}"] == pytest.approx(value, rel=1e-5)
    assert found["again"] == report["test"]
    assert report["test"]["loss"] < 0.5  # noise alone is 1/12, an untrained network is about 1
    low, high = report["intervals"]["test"]["loss"]
    assert low < report["test"]["loss"] < high

    assert found["version"].endswith("/stranger_autoencoder/2")
    card = json.loads((pathlib.Path(found["version"]) / "assets.extra/model.json").read_text())
    assert card["signature"] == "denoise"
    assert set(card["signatures"]) == {"denoise", "score"}
    assert len(found["answer"]["restored"]) == 30
    assert set(found["answer"]["sign"]) <= {"+", "-"}
    assert "Half of the largest errors are below" in found["page"]
    run = json.loads((tmp_path / "runs" / "denoise" / "run.json").read_text())
    assert run["settings"]["way"] == ["shrink"]


@pytest.mark.slow
def test_strangers_are_in_conformance_and_in_the_export_test(python):
    files = ("conformance/test_models", "conformance/test_pipelines", "conformance/test_runs")
    files = (*files, "trainers/serving/test_export", "trainers/tasks/test_registry")
    files = (*files, "test_architecture")
    chosen = "(stranger or strange_squares or denoise or shrink or rules) and not death"
    options = ("-q", "-p", "no:cacheprovider", "-k", chosen)
    output = python("-m", "pytest", *options, *(f"tests/{name}.py" for name in files))
    assert "passed" in output
    assert "failed" not in output
    passed = int(output.rsplit(" passed", 1)[0].split()[-1])
    assert passed >= 25, output
