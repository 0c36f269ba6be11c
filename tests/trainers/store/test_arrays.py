"""Files of arrays: what was written comes back; what hostile files hold is in tests/security."""

import os

import numpy as np
import pytest

from trainers.store import arrays

TEXTS = np.array([[b"one", b""], ["好".encode(), b"zero at the end\0"]], object)


def test_arrays_come_back_with_their_types_and_shapes(tmp_path):
    stored = {
        "part/a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "number": np.int64(7),
        "empty": np.zeros((0, 4), np.uint8),
        "by columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    }
    arrays.write(tmp_path / "a.npz", stored)
    again = arrays.read(tmp_path / "a.npz")
    assert again.keys() == stored.keys()
    for name, array in stored.items():
        assert again[name].dtype == array.dtype
        np.testing.assert_array_equal(again[name], array)
    assert os.listdir(tmp_path) == ["a.npz"]


def test_texts_come_back_as_bytes_of_any_content(tmp_path):
    arrays.write(tmp_path / "a.npz", {"texts": TEXTS, "none": np.array([], object)})
    again = arrays.read(tmp_path / "a.npz")
    assert again["texts"].tolist() == TEXTS.tolist()
    assert again["none"].shape == (0,)
    assert again.keys() == {"texts", "none"}


def test_other_objects_are_refused(tmp_path):
    with pytest.raises(TypeError, match="not bytes"):
        arrays.write(tmp_path / "a.npz", {"a": np.array([{}], object)})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "change",
    [
        {"a.ends": np.array([2, 1, 3])},  # backwards
        {"a.ends": np.array([1, 2])},  # shorter than the bytes
        {"a.ends": np.array([1, 2, 9])},
        {"a.ends": np.array([2**63 - 1, -(2**63), 3])},  # differences that overflow
        {"a.ends": np.array([-1, 2, 3])},
        {"a.ends": np.array([1.0, 2.0, 3.0])},
        {"a.bytes": np.zeros(3, np.int64)},
        {"a.bytes": np.zeros((3, 1), np.uint8)},
        {"a.bytes": None},
    ],
)
def test_texts_that_do_not_fill_their_bytes_are_refused(change, tmp_path):
    members = {"a.bytes": np.zeros(3, np.uint8), "a.ends": np.array([1, 2, 3])} | change
    np.savez(tmp_path / "a.npz", **{k: v for k, v in members.items() if v is not None})
    with pytest.raises(ValueError, match="texts"):
        arrays.read(tmp_path / "a.npz")
