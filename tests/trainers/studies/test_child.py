"""A run in a process of its own: exit codes, the last line of its output, signals."""

import pathlib
import signal
import threading
import time

import pytest

from trainers.studies import child

# Stands for trainers.run: it is found first, in the current folder.
_RUN = """
import signal, sys, time
print("flags", *sys.argv[1:], flush=True)
if "--fail" in sys.argv:
    print("error: the data is damaged", file=sys.stderr)
    print("epilogue")
    sys.exit(3)
if "--wait" in sys.argv:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit("error: saved"))
    open("waiting", "w").close()
    time.sleep(60)
if "--die" in sys.argv:
    signal.raise_signal(signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def _stand_in(tmp_path, monkeypatch):
    (tmp_path / "trainers").mkdir()
    (tmp_path / "trainers" / "__init__.py").touch()
    (tmp_path / "trainers" / "run.py").write_text(_RUN)
    monkeypatch.chdir(tmp_path)


def test_run_appends_the_output_and_returns_its_last_line(tmp_path):
    log = tmp_path / "log"
    log.write_text("error: of an earlier process\n")
    assert child.run(["--a=1", "--b"], log) == child.Ended(0, 0, "flags --a=1 --b")
    assert log.read_text() == "error: of an earlier process\nflags --a=1 --b\n"


@pytest.mark.parametrize(
    ("flag", "ended"),
    [
        ("--fail", child.Ended(3, 0, "error: the data is damaged")),
        ("--die", child.Ended(128 + signal.SIGKILL, 0, "flags --die")),
    ],
)
def test_run_returns_the_code_and_the_error_line(flag, ended, tmp_path):
    assert child.run([flag], tmp_path / "log") == ended


def test_run_passes_a_signal_on_and_puts_handlers_back(tmp_path):
    def send():
        while not pathlib.Path(tmp_path, "waiting").exists():
            time.sleep(0.02)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=send)
    thread.start()
    ended = child.run(["--wait"], tmp_path / "log")
    thread.join()
    assert ended == child.Ended(1, signal.SIGTERM, "error: saved")
    assert signal.getsignal(signal.SIGTERM) == before
