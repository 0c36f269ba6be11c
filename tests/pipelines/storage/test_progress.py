"""Long work is reported on stderr, short work is not, and the items are what they were."""

import io
import sys

import pytest

from pipelines.storage import progress as progress_module
from pipelines.storage.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_gives_the_items_and_says_nothing_of_short_work(capsys):
    assert list(progress(iter("abc"), 3, "reading")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("stream", [io.StringIO, Terminal], ids=["log", "terminal"])
def test_progress_of_long_work_goes_to_stderr_alone(stream, capsys, monkeypatch):
    monkeypatch.setattr(progress_module, "_DELAY", 0.0)
    monkeypatch.setattr(progress_module, "_LOG_INTERVAL", 0.0)
    monkeypatch.setattr(sys, "stderr", stream())
    assert list(progress(range(4), 4, "reading cifar10")) == [0, 1, 2, 3]
    shown = sys.stderr.getvalue()
    assert "reading cifar10" in shown
    assert "/4" in shown
    assert capsys.readouterr().out == ""


def test_progress_in_a_log_has_a_line_now_and_then(monkeypatch):
    monkeypatch.setattr(progress_module, "_DELAY", 0.0)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert list(progress(range(5000), 5000, "reading")) == list(range(5000))
    assert sys.stderr.getvalue().count("reading") <= 2  # thirty seconds apart, and at the end
