"""A run folder is of one process at a time, and holds runs alone."""

import os
import pathlib
import socket

import pytest

from trainers.errors import ArtefactError, BusyError, UsageError
from trainers.store.claim import claim


def test_claim_is_for_one_process_at_a_time(tmp_path):
    with claim(tmp_path / "run") as folder:
        assert folder.is_dir()
        with pytest.raises(BusyError, match="in use by process"), claim(folder):
            pass
    with claim(tmp_path / "run"):
        pass


def test_claim_refuses_files_and_folders_with_other_things(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match=r"already contains other files \(notes\.txt\)"):
        claim(tmp_path).__enter__()
    with pytest.raises(UsageError, match="is a file"):
        claim(tmp_path / "notes.txt").__enter__()


def test_claim_clears_what_a_killed_process_left(tmp_path):
    for place in (tmp_path, tmp_path / "pipeline", tmp_path / "predictions"):
        place.mkdir(exist_ok=True)
        (place / ".writing-1").touch()
        (place / ".writing-2").mkdir()
        (place / ".writing-2" / "half").touch()
    (tmp_path / "run.json").touch()
    with claim(tmp_path):
        assert sorted(os.listdir(tmp_path)) == [".lock", "pipeline", "predictions", "run.json"]
        assert os.listdir(tmp_path / "pipeline") == os.listdir(tmp_path / "predictions") == []


def test_claim_takes_a_folder_of_a_run_that_was_cut_off_and_no_other_with_a_pipeline(tmp_path):
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "state.npz").touch()
    (tmp_path / "pipeline" / ".writing-1").touch()
    with claim(tmp_path):
        pass
    (tmp_path / "pipeline" / "model.py").touch()
    with pytest.raises(UsageError, match=r"already contains other files \(pipeline\)"):
        claim(tmp_path).__enter__()


def make_lock(kind: str, folder) -> None:
    """What somebody may have put in the place of the lock."""
    lock, mine = folder / ".lock", pathlib.Path("mine").resolve()
    if kind == "link":
        lock.symlink_to(mine)
    elif kind == "hard link":
        os.link(mine, lock)
    elif kind == "FIFO":
        os.mkfifo(lock)
    elif kind == "folder":
        lock.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(lock))


@pytest.mark.parametrize("kind", ["link", "hard link", "FIFO", "folder", "socket"])
def test_claim_writes_into_no_lock_that_is_not_its_own(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    (tmp_path / "mine").write_text("mine")
    folder = pathlib.Path("run")
    folder.mkdir()
    make_lock(kind, folder)
    with pytest.raises(ArtefactError, match="is not a plain file"):
        claim(folder).__enter__()
    assert (tmp_path / "mine").read_text() == "mine"


def test_claim_follows_links_to_the_folder_but_none_in_it(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    with claim(tmp_path / "run"):
        pass
    (tmp_path / "disk" / "run.json").touch()
    (tmp_path / "disk" / "checkpoints").symlink_to(tmp_path)
    with pytest.raises(ArtefactError, match=r"'checkpoints' \(a symbolic link\)"):
        claim(tmp_path / "run").__enter__()
