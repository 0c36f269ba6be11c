"""JSON files with a hash of what they say."""

import json

import pytest

from trainers.errors import ArtefactError
from trainers.store import sealed

CONTENT = {"rows": {"train": 80}, "pair": (1, 2.5), "path": None, "name": "é"}


def test_content_is_read_back_as_json_has_it(tmp_path):
    sealed.write(tmp_path / "a.json", CONTENT)
    assert sealed.read(tmp_path / "a.json") == CONTENT | {"pair": [1, 2.5]}
    assert sealed.read(tmp_path / "none.json") is None


def test_changed_value_is_refused(tmp_path):
    path = tmp_path / "a.json"
    sealed.write(path, CONTENT)
    text = path.read_text()
    path.write_text(text.replace("80", "90"))
    with pytest.raises(ArtefactError, match="damaged or was edited"):
        sealed.read(path)
    path.write_text(text.replace("sha256", "sha257"))
    assert sealed.read(path).keys() == {*CONTENT, "sha257"}  # without its hash it is an edit


def test_other_layout_is_no_damage(tmp_path):
    path = tmp_path / "a.json"
    sealed.write(path, CONTENT)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4, sort_keys=True))
    assert sealed.read(path)["rows"] == {"train": 80}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": ' * 2000, "\x00" * 100])
def test_file_that_is_not_json_is_refused(text, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ArtefactError, match=r"a\.json is damaged"):
        sealed.read(tmp_path / "a.json")
