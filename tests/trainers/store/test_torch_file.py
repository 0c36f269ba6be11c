"""PyTorch's files are read without PyTorch, and nothing but tensors is read from them."""

import collections
import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest

from trainers.errors import ArtefactError
from trainers.store import torch_file

MAGIC = 0x1950A86A20F9469CFC6C
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
NUMBERS = np.arange(24, dtype="<f4")


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def whole(*numbers: int) -> bytes:
    return b"(" + b"".join(b"J" + struct.pack("<i", n) for n in numbers) + b"t"


def tensor(
    shape=(24,),
    strides=(1,),
    *,
    offset=0,
    size=24,
    key="a",
    storage="torch\nFloatStorage",
    part=b"N",
) -> bytes:
    """The operations with which PyTorch pickles a tensor."""
    parts = [text("storage"), b"c" + storage.encode() + b"\n", text(key), text("cpu")]
    reference = b"(" + b"".join(parts) + b"J" + struct.pack("<i", size) + part + b"tQ"
    hooks = b"ccollections\nOrderedDict\n)R"
    call = b"ctorch._utils\n_rebuild_tensor_v2\n("
    numbers = b"J" + struct.pack("<i", offset) + whole(*shape) + whole(*strides)
    return call + reference + numbers + b"\x89" + hooks + b"tR"


def described(*items: tuple[str, bytes]) -> bytes:
    """An ordered dictionary of such tensors, with the attribute that PyTorch sets on it."""
    entries = b"".join(text(name) + operations for name, operations in items)
    state = b"}" + text("_metadata") + b"}s"
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + entries + b"u" + state + b"b."


def content(tensors: bytes, numbers: dict[str, np.ndarray] | None = None) -> bytes:
    """A whole file."""
    numbers = {"a": NUMBERS} if numbers is None else numbers
    file = io.BytesIO()
    for value in (MAGIC, 1001, SYSTEM):
        file.write(pickle.dumps(value, 2))
    file.write(tensors)
    file.write(pickle.dumps(list(numbers), 2))
    for array in numbers.values():
        file.write(struct.pack("<q", len(array)) + array.tobytes())
    return file.getvalue()


def loaded(path, data: bytes):
    path.write_bytes(data)
    return torch_file.load(path)


def test_load_gives_the_arrays_in_their_shapes(tmp_path):
    counter = tensor((), (), size=1, key="b", storage="torch\nLongStorage")
    tensors = described(
        ("rows", tensor((4, 6), (6, 1))),
        # As converted networks have them: the axes in another order than in memory.
        ("columns", tensor((6, 4), (1, 6))),
        ("end", tensor((2,), (1,), offset=22)),
        ("counter", counter),
    )
    arrays = loaded(tmp_path / "a.pth", content(tensors, {"a": NUMBERS, "b": np.array([7], "<i8")}))
    assert list(arrays) == ["rows", "columns", "end", "counter"]
    np.testing.assert_array_equal(arrays["rows"], NUMBERS.reshape(4, 6))
    np.testing.assert_array_equal(arrays["columns"], NUMBERS.reshape(4, 6).T)
    np.testing.assert_array_equal(arrays["end"], [22, 23])
    assert arrays["counter"].dtype == np.int64
    assert arrays["counter"] == 7


class Evil:
    def __init__(self, call, *arguments):
        self.reduced = call, arguments

    def __reduce__(self):
        return self.reduced


def test_a_pickle_that_calls_anything_else_is_refused_and_not_run(tmp_path):
    made = tmp_path / "made"
    for evil in (Evil(os.mkdir, str(made)), {"weight": Evil(os.mkdir, str(made))}):
        for protocol in (0, 2, 4):
            with pytest.raises(ArtefactError, match="is refused: its pickle"):
                loaded(tmp_path / "a.pth", content(pickle.dumps(evil, protocol)))
    assert not made.exists()
    with pytest.raises(ArtefactError, match="asks for builtins eval, which is no tensor"):
        loaded(tmp_path / "a.pth", content(b"\x80\x02cbuiltins\neval\n(" + text("1") + b"tR."))
    with pytest.raises(ArtefactError, match="asks for torch load, which is no tensor"):
        loaded(tmp_path / "a.pth", content(described(("a", tensor(storage="torch\nload")))))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (described(("a", tensor((25,), (1,)))), r"a tensor of \(25,\) reads beyond"),
        (described(("a", tensor((2, 3), (20, 2)))), "reads beyond its storage of 24"),
        (described(("a", tensor((2,), (1,), offset=23))), "reads beyond"),
        (described(("a", tensor((10**9,), (0,)))), "reads beyond"),
        (described(("a", tensor((2,), (-1,), offset=5))), "strides"),
        (described(("a", tensor((2, 3), (1,)))), "strides"),
        (described(("a", tensor(size=25))), "declares 25 numbers and has another size"),
        (described(("a", tensor(size=2**31 - 1))), "has another size"),
        (described(("a", tensor(key="b"))), "the storages are not those of its tensors"),
        (described(("a", tensor(part=b")"))), "refers to something that is no storage"),
        (described(("a", text("b"))), "expected a dictionary of tensors"),
        (b"\x80\x02K\x07.", "expected a dictionary of tensors"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "is refused"),
        (b"\x80\x02ccollections\nOrderedDict\n(" + text("a") + b"tR.", "calls collections Ordered"),
        (b"\x80\x02ctorch\nFloatStorage\n)R.", "calls torch FloatStorage"),
        (b"\x80\x02h\x05.", "is refused"),  # what was never numbered
        (b"\x80\x02t.", "is refused"),  # no mark
        (pickle.dumps(collections.Counter("ab"), 2), "collections Counter, which is no tensor"),
        (pickle.dumps(1.5, 2), "has the operation BINFLOAT"),
    ],
)
def test_load_refuses_what_is_damaged_or_no_tensor(tensors, message, tmp_path):
    with pytest.raises(ArtefactError, match=message):
        loaded(tmp_path / "a.pth", content(tensors))


def test_load_refuses_other_files(tmp_path):
    good = content(described(("a", tensor())))
    with pytest.raises(ArtefactError, match="goes on after its last storage"):
        loaded(tmp_path / "a.pth", good + b"x")
    for length in (0, 10, 40, len(good) // 2, len(good) - 1):
        with pytest.raises(ArtefactError, match="is refused"):
            loaded(tmp_path / "a.pth", good[:length])
    with pytest.raises(ArtefactError, match=r"not a file of torch\.save"):
        loaded(tmp_path / "a.pth", pickle.dumps(MAGIC + 1, 2) + good)
    with zipfile.ZipFile(tmp_path / "b.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    with pytest.raises(ArtefactError, match=r"of PyTorch 1\.6 or later"):
        torch_file.load(tmp_path / "b.pth")
