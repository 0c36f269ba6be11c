"""Where things are kept for the next run: beside the data, or in a folder of the user's own."""

import os
import tempfile

import pytest

from pipelines.storage import caches


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    (tmp_path / "temp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    return tmp_path / "temp"


def test_folder_is_that_of_the_data_where_it_can_be_written(tmp_path):
    assert caches.folder(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("preferred", ["", "/nowhere/at/all"])
def test_folder_is_else_one_of_the_user_s_own(preferred, temporary):
    own = caches.folder(preferred)
    assert own == temporary / f"keras-tfds-zoo-{os.getuid()}"
    assert own.stat().st_mode & 0o777 == 0o700
    assert caches.folder(preferred) == own


@pytest.mark.parametrize("planted", ["link", "writable", "file"])
def test_folder_that_others_may_have_planted_is_not_used(planted, temporary, tmp_path):
    own = temporary / f"keras-tfds-zoo-{os.getuid()}"
    if planted == "link":
        (tmp_path / "theirs").mkdir()
        own.symlink_to(tmp_path / "theirs")
    elif planted == "writable":
        own.mkdir()
        own.chmod(0o777)
    else:
        own.write_text("")
    used = caches.folder("")
    assert used != own
    assert used.resolve().parent == temporary
    assert used.stat().st_mode & 0o777 == 0o700
