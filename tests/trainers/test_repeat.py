"""The command `trainers.repeat`: refusals, failures, signals, the real thing."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT, run_python
from trainers import repeat
from trainers.errors import UsageError
from trainers.studies import child


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model=mlp_binary"], "after '--'"),
        (["--seeds=2", "--", "--model=mlp_binary", "--seed=1"], "--seeds="),
        (["--seeds=2", "--", "--model=mlp_binary", "-seed", "1"], "--seeds="),
        (["--seeds=2", "--", "--model=mlp_binry"], "mlp_binary"),
        (["--seeds=2", "--", "--epochs=3"], "--model is missing"),
        (["--seeds=2", "--", "--model=mlp_binary", "--dry_run"], "--dry_run"),
        (["--seeds=2", "--first=2", "--", "--model=mlp_binary"], "first"),
        (["--seeds=none", "--", "--model=mlp_binary"], "--seeds takes"),
        (["--seeds=4294967296,", "--", "--model=mlp_binary"], "--seed must be"),
    ],
)
def test_flags_are_refused_before_anything_starts(flags, message, monkeypatch):
    monkeypatch.setattr(child, "run", lambda *a: pytest.fail("started a run"))
    with pytest.raises(UsageError, match=message):
        repeat.main(["repeat", *flags])


def test_help_and_refusals_import_no_tensorflow():
    probe = (
        "import sys\n"
        "from trainers import repeat\n"
        "from trainers.studies.repeat import plan\n"
        "repeat.main(['repeat', '--help'])\n"
        "repeat.main(['repeat', '--', '--list'])\n"
        "plan([0, 1], ['--model=cifar_cnn'])\n"
        "print(sorted(set(sys.modules) & {'keras', 'tensorflow', 'scipy', 'sklearn'}))"
    )
    output = run_python("-c", probe).stdout
    assert output.splitlines()[-1] == "[]"
    assert "Runs once for each seed" in output
    assert "data sets (--pipeline=...)" in output


# Stands for trainers.run: seed 1 fails, the others report; seed 8 waits for a signal.
_RUN = """
import json, pathlib, signal, sys, time
flags = dict(flag.lstrip("-").split("=", 1) for flag in sys.argv[1:] if "=" in flag)
seed, folder = int(flags["seed"]), pathlib.Path(flags["workdir"])
folder.mkdir(parents=True)
if seed == 1:
    print("error: the data is damaged", file=sys.stderr)
    sys.exit(3)
if seed == 8:
    def stop(number, frame):
        print("error: saved")
        sys.exit(128 + number)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    (folder / "waiting").touch()
    time.sleep(60)
report = {"dataset": "d:1", "parameters": 7, "seconds": {"fit": 1.0 + seed, "total": 9.0}}
report |= {split: {"loss": 0.5, "accuracy": 0.9 + seed / 100} for split in ("validation", "test")}
(folder / "report.json").write_text(json.dumps(report))
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with `repeating.py`, our command, whose runs are those of the stand-in."""
    (tmp_path / "stand_in" / "trainers").mkdir(parents=True)
    (tmp_path / "stand_in" / "trainers" / "__init__.py").touch()
    (tmp_path / "stand_in" / "trainers" / "run.py").write_text(_RUN)
    (tmp_path / "repeating.py").write_text(
        "import os\n"
        "from trainers import repeat\n"
        "from trainers.errors import run_command\n"
        "os.chdir('stand_in')\n"
        "run_command(repeat.main)\n"
    )
    return tmp_path


def command(folder, seeds: str) -> list[str]:
    run_flags = ("--", "--model=mlp_binary", f"--workdir={folder / 'all'}")
    return ["repeating.py", f"--seeds={seeds}", *run_flags]


def test_a_run_that_fails_does_not_stop_the_others(folder):
    done = run_python(*command(folder, "0,1,2"), cwd=folder, check=False)
    assert done.returncode == 3, done.stderr
    lines = done.stdout.splitlines()
    progress = done.stderr.splitlines()
    assert "seed 0: test accuracy 0.9000, fit 1.0 s, total 9.0 s" in progress
    assert "seed 1: exit code 3: error: the data is damaged" in progress
    rows = [line.split()[:7] for line in lines]
    assert ["test", "accuracy", "2", "0.9100", "0.0141", "0.9000", "0.9200"] in rows
    assert ["seconds", "fit", "2", "2.0", "1.4", "1.0", "3.0"] in rows
    result = json.loads(lines[-1])
    assert result == json.loads((folder / "all" / "repeat.json").read_text())
    assert result["seeds"] == [0, 2]
    assert (folder / "all" / "seed-1.log").read_text() == "error: the data is damaged\n"


def test_an_earlier_result_stays_where_all_fail(folder):
    (folder / "all").mkdir()
    (folder / "all" / "repeat.json").write_text("earlier")
    done = run_python(*command(folder, "1,"), cwd=folder, check=False)
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["statistics"] == {}
    assert (folder / "all" / "repeat.json").read_text() == "earlier"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on_and_ends_the_repetition(number, folder):
    process = subprocess.Popen(
        [sys.executable, *command(folder, "0,8,2")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ROOT},
        stdout=subprocess.PIPE,
    )
    for _ in range(600):
        if (folder / "all" / "seed-8" / "waiting").exists():
            break
        time.sleep(0.05)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    result = json.loads(output.decode().splitlines()[-1])
    assert result["seeds"] == [0]
    assert result["failed"] == [{"seed": 8, "exit_code": 128 + number, "message": "error: saved"}]
    assert not (folder / "all" / "seed-2").exists()


@pytest.mark.slow
def test_two_seeds_of_a_real_model(tmp_path, built_in_data):
    words = ("-m", "trainers.repeat", "--seeds=2", "--", "--model=mlp_binary", "--epochs=1")
    done = run_python(*words, f"--data_dir={built_in_data}", cwd=tmp_path)
    result = json.loads(done.stdout.splitlines()[-1])
    reports = [
        json.loads((tmp_path / f"runs/mlp_binary-breast_cancer-s{seed}/report.json").read_text())
        for seed in (0, 1)
    ]
    for group in ("test", "validation", "seconds"):
        for name, figures in result["statistics"][group].items():
            values = [report[group][name] for report in reports]
            assert figures["values"] == values
            assert figures["mean"] == pytest.approx(sum(values) / 2)
    kept = tmp_path / "runs" / "mlp_binary-breast_cancer-repeat.json"
    assert json.loads(kept.read_text()) == result
