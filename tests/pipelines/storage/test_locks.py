"""Locks between processes: waited for with a word, freed by a death, absent on some disks."""

import errno
import fcntl
import os
import subprocess
import sys
import time

import pytest

from pipelines.storage import locks
from tests.conftest import ROOT

HOLD = (
    "import pathlib, sys, time\n"
    "from pipelines.storage import locks\n"
    "with locks.alone(pathlib.Path(sys.argv[1]), 'a set'):\n"
    "    print('held', flush=True)\n"
    "    time.sleep(600)\n"
)


def test_alone_waits_with_one_line_until_the_other_is_done(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "pipelines")
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            fcntl.flock(other, fcntl.LOCK_UN)

    with open(tmp_path / "lock", "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        monkeypatch.setattr(time, "sleep", sleep)
        with locks.alone(tmp_path / "lock", "digits/1.0.0") as held:
            assert held
            with pytest.raises(BlockingIOError), open(tmp_path / "lock") as again:
                fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go of
    assert len(slept) == 3
    assert caplog.messages == ["waiting for another process that prepares digits/1.0.0"]


def test_lock_of_a_killed_process_is_free(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    environment = {**os.environ, "PYTHONPATH": ROOT}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as holder:
        assert holder.stdout.readline() == "held\n"
        with locks.if_free(tmp_path / "lock") as free:
            assert not free
        holder.kill()
        holder.wait()
    with locks.if_free(tmp_path / "lock") as free:
        assert free
    with locks.if_free(tmp_path / "nowhere") as free:
        assert not free
    assert os.listdir(tmp_path) == ["lock"]


def test_lock_file_can_be_opened_by_colleagues_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        with locks.alone(tmp_path / "lock", "a set"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o666


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_disk_without_locks_is_used_without_them_and_said(number, tmp_path, monkeypatch, caplog):
    def refuse(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locks.alone(tmp_path / "lock", "a set") as held:
        assert not held
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"{tmp_path}/lock cannot be locked" in caplog.text


def test_lock_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "lock").symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="lock"), locks.alone(tmp_path / "lock", "a set"):
        pass
    assert (tmp_path / "mine").read_text() == "mine"
