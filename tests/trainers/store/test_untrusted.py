"""Bounds on files that anybody may have made; tests/security has more of them."""

import os
import socket
import zipfile

import pytest

from trainers.errors import ArtefactError
from trainers.store import untrusted


def test_read_json_returns_an_object(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [1, 2]}')
    assert untrusted.read_json(tmp_path / "a.json") == {"a": [1, 2]}


@pytest.mark.parametrize("text", ["[]", "", "1", '{"a": ', '{"a":' * 10_000])
def test_read_json_refuses_anything_else(text, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"a\.json|line 1|Expecting"):
        untrusted.read_json(tmp_path / "a.json")


def test_parse_json_has_a_largest_size():
    with pytest.raises(ValueError, match="more than"):
        untrusted.parse_json(b'{"a": "' + b"b" * 2**23 + b'"}', "a.json")


@pytest.mark.parametrize(
    ("name", "compression", "message"),
    [
        ("a", zipfile.ZIP_STORED, None),
        ("folder/a", zipfile.ZIP_STORED, None),
        ("a", zipfile.ZIP_DEFLATED, "compressed"),
        ("../a", zipfile.ZIP_STORED, "leads out"),
        ("/a", zipfile.ZIP_STORED, "leads out"),
        ("b\\a", zipfile.ZIP_STORED, "leads out"),
    ],
)
def test_stored_members_are_plain(name, compression, message, tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(name, bytes(1000))
    with zipfile.ZipFile(path) as archive:
        if message is None:
            assert [member.filename for member in untrusted.stored_members(archive)] == [name]
        else:
            with pytest.raises(ValueError, match=message):
                untrusted.stored_members(archive)


def test_check_plain_takes_files_and_folders_and_a_link_to_the_folder_itself(tmp_path):
    (tmp_path / "run" / "a" / "b").mkdir(parents=True)
    (tmp_path / "run" / "a" / "b" / "c").touch()
    os.link(tmp_path / "run" / "a" / "b" / "c", tmp_path / "run" / "a" / "d")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    for place in ("run", "link", "nothing", "run/a/d"):
        untrusted.check_plain(tmp_path / place)


def test_check_plain_names_three_of_what_is_neither_and_opens_none(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "link").symlink_to("/")
    (tmp_path / "a" / "dangling\n\x1b[2J").symlink_to("nowhere")
    os.mkfifo(tmp_path / "state.npz")
    os.mkfifo(tmp_path / "z")
    with pytest.raises(ArtefactError) as caught:
        untrusted.check_plain(tmp_path)
    named = r"""'a/dangling\n\x1b[2J' (a symbolic link), 'a/link' (a symbolic link), """
    assert f"{named}'state.npz' (a FIFO); remove" in str(caught.value)
    monkeypatch.chdir(tmp_path / "a")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
    for name in ("link", "dangling\n\x1b[2J"):
        os.unlink(name)
    with pytest.raises(ArtefactError, match=r"'s' \(a socket\)"):
        untrusted.check_plain(tmp_path / "a")


def test_check_plain_goes_on_where_entries_vanish(tmp_path, monkeypatch):
    """Another process may be writing there."""
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / "c" / "link").symlink_to("/")
    scandir, listed = os.scandir, []

    def vanishing(folder):
        listed.append(os.path.basename(folder))
        if listed[-1] in ("a", "b"):
            raise FileNotFoundError(folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", vanishing)
    with pytest.raises(ArtefactError, match="c/link"):
        untrusted.check_plain(tmp_path)
    assert {"a", "b"} < set(listed)
