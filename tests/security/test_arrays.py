"""Hostile arrays: in checkpoints and in fitted state, with hashes that are right."""

import json
import pickle
import struct
import zipfile

import numpy as np
import pytest

from tests.security.hostile_watch import watched
from trainers.errors import ArtefactError
from trainers.store import arrays, checkpoint, files, state


class Payload:
    """What pickle calls when it reads this back."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return open, (self.mark, "w")


def npy(shape="(2,)", descr="'<f4'", content=bytes(8), version=1, more="") -> bytes:
    """An array as a file, with a header that says anything."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, {more}}}\n".encode()
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + size + header + content


def holding(content: bytes, name: str = "a.npy", **words):
    def make(path, mark):
        with zipfile.ZipFile(path, "w", **words) as archive:
            archive.writestr("good.npy", npy())
            archive.writestr(name, content)

    return make


def _objects(path, mark):
    with open(path, "wb") as file:
        np.savez(file, a=np.array([Payload(mark)], object))


def _raw_pickle(path, mark):
    holding(pickle.dumps(Payload(mark)))(path, mark)


def _twice(path, mark):
    with pytest.warns(UserWarning, match="Duplicate"):
        holding(npy(), "good.npy")(path, mark)


def _changed(change):
    def make(path, mark):
        holding(npy())(path, mark)
        path.write_bytes(change(bytearray(path.read_bytes())))

    return make


def _flip(content):
    content[content.index(b"\n") + 3] ^= 1
    return content


ARRAYS = {  # name: what writes it, and what is said of it
    "objects": (_objects, "holds Python objects"),
    "a pickle": (_raw_pickle, "magic string"),
    "objects in fields": (holding(npy(descr="[('a', '|O')]")), "holds Python objects"),
    "64 GB": (holding(npy("(16, 1073741824)")), "header says .*, but the data has another size"),
    "more than there are atoms": (holding(npy(f"({2**63}, {2**63})")), "the data has another size"),
    "negative": (holding(npy("(-2,)")), "the data has another size"),
    "negative twice": (holding(npy("(-1, -2)")), "the data has another size"),
    "a few bytes too many": (holding(npy(content=bytes(12))), "the data has another size"),
    "no size": (holding(npy("(1000000000000,)", "'|S0'", b"")), "itemsize cannot be zero"),
    "code for a shape": (
        holding(npy("__import__('os').system('touch mark')")),
        "has no header: malformed node",
    ),
    "parentheses": (holding(npy("(" * 3000 + ")" * 3000)), "has no header: Cannot parse"),
    "minus signs": (holding(npy("-" * 9000 + "1")), "has no header: MemoryError"),
    "long header": (
        holding(npy(more=f"'a': '{'a' * 60000}'")),
        "has no header: Header info length",
    ),
    "header of 4 GB": (
        holding(b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{}"),
        "no header: EOF",
    ),
    "another format": (holding(npy(version=3)), r"array format \(3, 0\)"),
    "100 MB of nothing": (
        holding(npy("(25000000,)", content=bytes(10**8)), compression=zipfile.ZIP_DEFLATED),
        "is compressed",
    ),
    "twice": (_twice, "'good.npy' is twice in it"),
    "out of the folder": (holding(npy(), "../../escaped.npy"), "leads out of it"),
    "absolute": (holding(npy(), "/escaped.npy"), "leads out of it"),
    "no array": (holding(b"x", "a.txt"), "is not an array"),
    "cut": (_changed(lambda content: content[:-40]), "not a zip file"),
    "flipped": (_changed(_flip), "Bad CRC-32"),
    "no zip": (lambda path, mark: path.write_bytes(pickle.dumps(Payload(mark))), "not a zip"),
    "empty": (lambda path, mark: path.write_bytes(b""), "not a zip"),
}


def checkpoint_with(folder, meta=None, make=None, mark=None):
    """A checkpoint of step 1 whose hashes are right, whatever it holds."""
    place = folder / "step-00000001"
    place.mkdir(parents=True)
    if make is None:
        arrays.write(place / "state.npz", {"model/a": np.zeros(2, np.float32)})
    else:
        make(place / "state.npz", mark)
    facts = {"step": 1, "sha256": files.sha256(place / "state.npz")}
    facts |= {"dtypes": dict.fromkeys(("model/a", "a", "good"), "float32"), **(meta or {})}
    text = json.dumps({**facts, "meta_sha256": checkpoint._digest(facts)})
    (place / "meta.json").write_text(text)
    return place


@pytest.mark.parametrize("name", ARRAYS)
def test_hostile_arrays_are_refused(name, tmp_path, monkeypatch):
    make, said = ARRAYS[name]
    checkpoint_with(tmp_path / "checkpoints", make=make, mark=tmp_path / "mark")
    (tmp_path / "pipeline").mkdir()
    make(tmp_path / "pipeline" / "state.npz", tmp_path / "mark")
    with watched(tmp_path, monkeypatch):
        with pytest.raises(ArtefactError, match=said):
            checkpoint.load(tmp_path / "checkpoints", 1)
        with pytest.raises(ArtefactError, match=said):
            state.load(tmp_path, "vector")


META = {
    "step as text": ({"step": "1"}, "not as it was written"),
    "hash of another kind": ({"sha256": ["a"]}, "not the file"),
    "no types": ({"dtypes": None}, "not subscriptable"),
    "types of others": ({"dtypes": {}}, "model/a"),
    "objects": ({"dtypes": {"model/a": "O"}}, "array of references"),
    "a class": ({"dtypes": {"model/a": "finfo"}}, "array of references"),
    "an attribute": ({"dtypes": {"model/a": "__loader__"}}, "Cannot interpret"),
    "a list": ({"dtypes": {"model/a": [["a", "O"]]}}, "must be string"),
    "a table": ({"dtypes": {"model/a": "(99999999999,)f4"}}, "does not fit into a C int"),
}


@pytest.mark.parametrize("name", META)
def test_hostile_description_of_a_checkpoint_is_refused(name, tmp_path, monkeypatch):
    change, said = META[name]
    checkpoint_with(tmp_path, change)
    with watched(tmp_path, monkeypatch), pytest.raises(ArtefactError, match=said):
        checkpoint.load(tmp_path, 1)
