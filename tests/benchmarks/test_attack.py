"""The judge of attacked runs, over commands of a few lines that do what no command should."""

import importlib
import json
import os
import pathlib
import signal
import time
import types

import numpy as np
import pytest

from tests.conftest import ROOT
from trainers.errors import ArtefactError

# A fork of a process with threads may only do what these commands do: read and write files.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture(name="script")
def _script(monkeypatch):
    """Imports a module of benchmarks/, whose files import each other as scripts do."""
    monkeypatch.syspath_prepend(f"{ROOT}/benchmarks")
    return importlib.import_module


def run_of(argv: list[str]) -> pathlib.Path:
    """The folder that a command line names."""
    [folder] = [word.partition("=")[2] for word in argv if word.startswith("--workdir=")]
    return pathlib.Path(folder)


def careless(argv):
    """Believes what it reads."""
    print((run_of(argv) / "numbers.json").read_text(errors="replace"))


def careful(argv):
    """Refuses all but one content."""
    content = (run_of(argv) / "numbers.json").read_text(errors="replace")
    if content != json.dumps([1, 2, 3]):
        raise ArtefactError("numbers.json is damaged")
    print(content)


def parsing(argv):
    """Does not foresee that its file is damaged."""
    print(json.dumps(json.loads((run_of(argv) / "numbers.json").read_text())))


def writing(argv):
    """Writes where somebody may have put a link, and prints the same whatever happens."""
    (run_of(argv) / ".lock").write_text("held")
    print("[1, 2, 3]")


@pytest.fixture(name="attacked")
def _attacked(script, monkeypatch, tmp_path):
    """A function: the outcomes of an attack's changes to a run, met by a command of ours."""
    runs, lives = script("attack_runs"), script("lives")
    source = tmp_path / "source"
    source.mkdir()
    (source / "numbers.json").write_text(json.dumps([1, 2, 3]))
    (source / "metrics.jsonl").write_text('{"step": 1}\n')

    def outcomes(command, changes, attack=runs, limit=5.0):
        monkeypatch.setitem(lives.COMMANDS, "evaluate", types.SimpleNamespace(main=command))
        case = runs.Case("numbers", (), tmp_path)
        expected = {"evaluate": {"answers": "[1, 2, 3]\n", "warnings": []}}
        one = runs.Source(case, "finished", False, source, expected, {"evaluate": limit})
        kinds = []
        for i, (label, path, change) in enumerate(changes):
            tried = runs.Try(one, label, path, change, "evaluate")
            folder = tmp_path / f"{command.__name__}{i}"
            hook = attack.hook(folder) if attack is not runs else None
            life = runs.attempt(tried, folder, hook)
            kinds.append(attack.judged(tried, life, folder / "run").kind)
        return kinds

    return outcomes


def flips(script, source, path="numbers.json"):
    """Every damage of attack_flips to one file."""
    damages = script("attack_flips").damages
    found = damages(path, source, source, 3, np.random.default_rng(0))
    return [(label, path, change) for label, change in found]


def test_numbers_that_nobody_checks_are_silent_differences(script, attacked, tmp_path):
    changes = flips(script, tmp_path / "source")
    assert len(changes) == 6  # three bytes, half, nothing, another run's: which is the same
    kinds = attacked(careless, changes)
    assert kinds[:3] == ["silent difference"] * 3
    assert attacked(careful, changes) == ["refused"] * 5 + ["same"]
    assert "traceback" in attacked(parsing, changes)


def test_logs_stop_no_command(attacked):
    def refusing(argv):
        raise ArtefactError("metrics.jsonl is damaged")

    nothing = [("no byte", "metrics.jsonl", lambda run: None)]
    assert attacked(refusing, nothing) == ["stopped by a log"]
    assert attacked(careless, nothing) == ["same"]


def test_what_lies_outside_is_watched(script, attacked):
    links = script("attack_links")
    changes = [(label, ".lock", change) for label, change in links.plants(".lock").items()]
    names = [label for label, _, _ in changes]
    found = dict(zip(names, attacked(writing, changes, links, limit=1.0), strict=True))
    assert found == {
        "a link to a file": "touched outside",
        "a link to a folder": "refused",  # an OSError has its exit code
        "a link to nothing": "touched outside",
        "a FIFO": "hang",
        "a folder": "refused",
        "a file": "same",
    }


def test_every_operation_on_files_is_seen(script, monkeypatch, tmp_path):
    kills, runs, lives = script("attack_kills"), script("attack_runs"), script("lives")

    def saving(argv):
        run = run_of(argv)
        run.mkdir()
        (run / ".writing-a").write_text("content")
        os.replace(run / ".writing-a", run / "state")
        (run / "state").unlink()

    monkeypatch.setitem(lives.COMMANDS, "run", types.SimpleNamespace(main=saving))
    case = runs.Case("saving", (), tmp_path)
    snaps = kills.snapshots(case, "run", None, tmp_path / "snaps")
    labels = [label for label, _ in snaps]
    assert labels == [
        "operation 00002 before open .writing-a",  # before the first there was no run
        "operation 00003 before os.rename .writing-a state",
        "operation 00003 half of os.rename .writing-a state",
        "operation 00004 before os.remove state",
    ]
    content = [{p.name: p.read_text() for p in snap.iterdir()} for _, snap in snaps]
    assert content == [{}, {".writing-a": "content"}, {".writing-a": "con"}, {"state": "content"}]


def test_lives_end_by_sigkill_until_one_is_long_enough(script, monkeypatch, tmp_path):
    soak, runs, lives = script("soak_all"), script("attack_runs"), script("lives")

    def slow(argv):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(0.4)
        print("done")

    monkeypatch.setitem(lives.COMMANDS, "run", types.SimpleNamespace(main=slow))
    random = np.random.default_rng(0)
    case = runs.Case("slow", (), tmp_path)
    life, reached = soak.killed(case, tmp_path, 0.3, 3, random)
    assert (life.code, life.out, reached) == (0, "done\n", [0, 0, 0])
