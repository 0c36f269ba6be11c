"""The command `doctor`: what it prints, and its exit code."""

import pytest

from trainers import doctor
from trainers.devices import doctor as examination


def test_doctor_prints_what_there_is(monkeypatch, capsys):
    monkeypatch.setattr(examination, "examine", lambda data_dir: (f"data {data_dir}", []))
    doctor.main(["doctor", "--data_dir=somewhere"])
    assert capsys.readouterr().out == "data somewhere\n"


def test_doctor_ends_with_6_and_names_each_problem(monkeypatch, capsys):
    monkeypatch.setattr(examination, "examine", lambda data_dir: ("cpu", ["one", "two"]))
    with pytest.raises(SystemExit) as ended:
        doctor.main(["doctor"])
    assert ended.value.code == 6
    assert capsys.readouterr().out == "cpu\nproblem: one\nproblem: two\n"
