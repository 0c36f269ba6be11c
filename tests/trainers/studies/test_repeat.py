"""Runs of several seeds: their statistics by hand, refusals, failures, signals, the real thing."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT, run_python
from trainers.errors import UsageError
from trainers.studies import repeat


def test_statistics_by_hand():
    found = repeat.statistics([1.0, 2.0, 6.0])
    assert found["n"] == 3
    assert found["mean"] == 3.0
    assert found["deviation"] == pytest.approx(7**0.5)  # (4 + 1 + 9) / 2
    assert (found["min"], found["max"]) == (1.0, 6.0)
    # 4.30265 is the 97.5 % point of Student's t with two degrees of freedom, as in any table.
    reach = 4.30265 * 7**0.5 / 3**0.5
    assert found["low"] == pytest.approx(3 - reach, abs=1e-4)
    assert found["high"] == pytest.approx(3 + reach, abs=1e-4)


def test_one_value_has_no_spread():
    found = repeat.statistics([0.5])
    assert found["mean"] == 0.5
    assert found["deviation"] is found["low"] is found["high"] is None


@pytest.mark.parametrize(
    ("text", "seeds"), [("1", [0]), ("3", [0, 1, 2]), ("3,7,9", [3, 7, 9]), ("4,", [4])]
)
def test_seeds_are_a_number_or_a_list(text, seeds):
    assert repeat.parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["0", "-1", "x", "", ",", "1.5", "2,2", "1, 2"])
def test_other_seeds_are_refused(text):
    with pytest.raises(UsageError, match="--seeds"):
        repeat.parse_seeds(text)


def test_every_seed_has_its_own_folder_and_the_common_file_lies_beside_them():
    runs = repeat.plan([3, 7], ["--model=mlp_binary"])
    assert [str(run.run_dir) for run in runs] == [
        "runs/mlp_binary-breast_cancer-s3",
        "runs/mlp_binary-breast_cancer-s7",
    ]
    common = repeat._common(runs[0], "repeat.json")
    assert str(common) == "runs/mlp_binary-breast_cancer-repeat.json"
    runs = repeat.plan([3, 7], ["--model=mlp_binary", "--workdir=all/of them"])
    assert [str(run.run_dir) for run in runs] == ["all/of them/seed-3", "all/of them/seed-7"]
    assert str(repeat._common(runs[0], "repeat.json")) == "all/of them/repeat.json"


@pytest.mark.parametrize(
    ("words", "said"),
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
def test_flags_are_refused_before_anything_starts(words, said, monkeypatch):
    monkeypatch.setattr(repeat.subprocess, "Popen", lambda *a, **k: pytest.fail("started a run"))
    with pytest.raises(UsageError, match=said):
        repeat.main(["repeat", *words])


def test_help_and_refusals_import_no_tensorflow():
    probe = (
        "import sys\n"
        "from trainers import repeat\n"
        "repeat.main(['repeat', '--help'])\n"
        "repeat.main(['repeat', '--', '--list'])\n"
        "repeat.plan([0, 1], ['--model=cifar_cnn'])\n"
        "print(sorted(set(sys.modules) & {'keras', 'tensorflow', 'scipy', 'sklearn'}))"
    )
    told = run_python("-c", probe).stdout
    assert told.splitlines()[-1] == "[]"
    assert "One run a seed" in told
    assert "data sets (--pipeline=...)" in told


# Stands for trainers.run: seed 1 fails, the others report; seed 8 waits for a signal.
_CHILD = """
import json, pathlib, signal, sys, time
words = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:] if "=" in word)
seed, folder = int(words["seed"]), pathlib.Path(words["workdir"])
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
def place(tmp_path):
    """A folder whose `trainers.run` is the stand-in, and whose `repeat` is ours."""
    (tmp_path / "standin.py").write_text(_CHILD)
    (tmp_path / "repeating.py").write_text(
        "import sys\n"
        "from trainers import repeat\n"
        "from trainers.errors import run_command\n"
        "start = repeat.subprocess.Popen\n"
        "def popen(command, **options):\n"
        "    at = command.index('trainers.run')\n"
        "    return start([*command[: at - 1], 'standin.py', *command[at + 1 :]], **options)\n"
        "repeat.subprocess.Popen = popen\n"
        "run_command(repeat.main)\n"
    )
    return tmp_path


RUN = ("--", "--model=mlp_binary", "--workdir=all")


def test_a_run_that_fails_does_not_stop_the_others(place):
    done = run_python("repeating.py", "--seeds=0,1,2", *RUN, cwd=place, check=False)
    assert done.returncode == 3, done.stderr
    lines = done.stdout.splitlines()
    assert "seed 0: test accuracy 0.9000, fit 1.0 s, total 9.0 s" in lines
    assert "seed 1: exit code 3: error: the data is damaged" in lines
    table = [line.split() for line in lines]
    assert ["test", "accuracy", "2", "0.9100", "0.0141", "0.9000", "0.9200"] in [
        row[:7] for row in table
    ]
    assert ["seconds", "fit", "2", "2.0", "1.4", "1.0", "3.0"] in [row[:7] for row in table]
    result = json.loads(lines[-1])
    assert result == json.loads((place / "all" / "repeat.json").read_text())
    assert result["seeds"] == [0, 2]
    assert result["failed"] == [
        {"seed": 1, "exit_code": 3, "message": "error: the data is damaged"}
    ]
    assert result["statistics"]["validation"]["accuracy"]["values"] == [0.9, 0.92]
    assert (place / "all" / "seed-1.log").read_text() == "error: the data is damaged\n"


def test_an_earlier_result_stays_where_all_fail(place):
    (place / "all").mkdir()
    (place / "all" / "repeat.json").write_text("earlier")
    done = run_python("repeating.py", "--seeds=1,", *RUN, cwd=place, check=False)
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["statistics"] == {}
    assert (place / "all" / "repeat.json").read_text() == "earlier"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on_and_ends_the_repetition(number, place):
    command = [sys.executable, "repeating.py", "--seeds=0,8,2", *RUN]
    process = subprocess.Popen(
        command, cwd=place, env={**os.environ, "PYTHONPATH": ROOT}, stdout=subprocess.PIPE
    )
    for _ in range(600):
        if (place / "all" / "seed-8" / "waiting").exists():
            break
        time.sleep(0.05)
    process.send_signal(number)
    told, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    result = json.loads(told.decode().splitlines()[-1])
    assert result["seeds"] == [0]
    assert result["failed"] == [{"seed": 8, "exit_code": 128 + number, "message": "error: saved"}]
    assert not (place / "all" / "seed-2").exists()


@pytest.mark.slow
def test_two_seeds_of_a_real_model(tmp_path, built_in_data):
    command = [
        *("-m", "trainers.repeat", "--seeds=2", "--", "--model=mlp_binary", "--epochs=1"),
        f"--data_dir={built_in_data}",
    ]
    done = run_python(*command, cwd=tmp_path)
    result = json.loads(done.stdout.splitlines()[-1])
    reports = [
        json.loads((tmp_path / f"runs/mlp_binary-breast_cancer-s{seed}/report.json").read_text())
        for seed in (0, 1)
    ]
    for group in ("test", "validation", "seconds"):
        for name, found in result["statistics"][group].items():
            values = [report[group][name] for report in reports]
            assert found["values"] == values
            assert found["mean"] == pytest.approx(sum(values) / 2)
    kept = tmp_path / "runs" / "mlp_binary-breast_cancer-repeat.json"
    assert json.loads(kept.read_text()) == result
