"""Bounds on files that anybody may have made; tests/security has more of them."""

import zipfile

import pytest

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
