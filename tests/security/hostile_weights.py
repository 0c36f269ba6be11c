"""HDF5 files with the weights of tests/test_hostile.py's model that hold something else instead."""

import struct

import h5py
import numpy as np

FIRST = "layers/dense/vars/0"  # (3, 2) float32


def _replaced(make):
    def change(path, secret):
        with h5py.File(path, "a") as file:
            del file[FIRST]
            make(file, str(secret))

    return change


def _filled(file, **words):
    file.create_dataset(FIRST, **words)


def _external_link(file, secret):
    file[FIRST] = h5py.ExternalLink(secret, "/kernel")


def _soft_link(file, secret):
    file[FIRST] = h5py.SoftLink("/layers/dense_1/vars/0")


def _external_storage(file, secret):
    _filled(file, shape=(3, 2), dtype="f4", external=[(secret, 0, 24)])


def _virtual(file, secret):
    layout = h5py.VirtualLayout((3, 2), "f4")
    layout[:] = h5py.VirtualSource(secret, "kernel", (3, 2), "f4")
    file.create_virtual_dataset(FIRST, layout)


def _group_in_itself(file, secret):
    file["layers/dense/vars/0"] = file["layers"]


def _one_for_two(file, secret):
    file[FIRST] = file["layers/dense/vars/1"]


def _named_type(file, secret):
    file[FIRST] = np.dtype("f4")


def _huge_attribute(path, secret):
    with h5py.File(path, "a", libver="latest") as file:  # of 64 KB at most in older formats
        file.create_group("more").attrs["dtype"] = np.zeros(10**5)


def _one_place_for_many(path, secret):
    """Arrays that were never written, but for the first, all said to lie where that one lies."""
    size = 2**20
    with h5py.File(path, "a") as file:
        file["more"] = np.zeros(size, "u1")
        place = file["more"].id.get_offset()
        for number in range(9):
            file.create_dataset(f"more{number}", (size,), "u1")
    content, nowhere = path.read_bytes(), struct.pack("<qQ", -1, size)
    assert content.count(nowhere) == 9
    path.write_bytes(content.replace(nowhere, struct.pack("<qQ", place, size)))


def _linked_group(path, secret):
    with h5py.File(path, "a") as file:
        del file["layers/dense"]
        file["layers/dense"] = h5py.ExternalLink(str(secret), "/")


def _flipped(path, secret):
    content = bytearray(path.read_bytes())
    content[9] ^= 0xFF  # the superblock's version
    path.write_bytes(content)


WEIGHTS = {  # name: what makes it of a good file, and what is said of it
    "2026-0897 shape": (
        _replaced(lambda file, _: _filled(file, shape=(2**18, 2**16), dtype="f4")),
        "header says .*262144.* but the data has another size",
    ),
    "ten arrays in one place": (_one_place_for_many, "the weights declare 104858"),
    "2026-0897 compressed": (
        _replaced(
            lambda file, _: _filled(
                file, shape=(2**18, 2**16), dtype="f4", chunks=(1024, 1024), compression="gzip"
            )
        ),
        "not stored plainly",
    ),
    "small, compressed": (
        _replaced(lambda file, _: _filled(file, data=np.zeros((3, 2), "f4"), compression="gzip")),
        "not stored plainly",
    ),
    "2026-1669 external link": (_replaced(_external_link), "is a ExternalLink"),
    "2026-1669 link of a group": (_linked_group, "is a ExternalLink"),
    "2026-1669 external storage": (_replaced(_external_storage), "stored in other files"),
    "2026-1669 virtual": (_replaced(_virtual), "stored in other files"),
    "soft link": (_replaced(_soft_link), "is a SoftLink"),
    "group in itself": (_replaced(_group_in_itself), "twice in the file"),
    "one array for two": (_replaced(_one_for_two), "twice in the file"),
    "attribute": (_huge_attribute, "has a huge attribute"),
    "type": (_replaced(_named_type), "neither numbers nor a group"),
    "texts": (_replaced(lambda file, _: _filled(file, data=["a", "b"])), "not stored plainly"),
    "no array": (_replaced(lambda file, _: None), "needs 44 bytes of weights, the file has 20"),
    "other shape": (
        _replaced(lambda file, _: _filled(file, data=np.zeros((7, 9), "f4"))),
        "could not be loaded",
    ),
    "cut": (lambda path, _: path.write_bytes(path.read_bytes()[:3000]), "truncated file"),
    "empty": (lambda path, _: path.write_bytes(b""), "signature not found"),
    "no HDF5": (lambda path, _: path.write_bytes(b"weights" * 99), "signature not found"),
    "flipped": (_flipped, "version number"),
}
