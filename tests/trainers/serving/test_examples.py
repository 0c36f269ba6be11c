"""Files as batches: their sizes, their order, and what comes before a fault."""

import json

import numpy as np
import pytest
from PIL import Image

from trainers.errors import UsageError
from trainers.serving import examples
from zoo.spec import Field

COLUMNS = {"n": Field((), "float32"), "k": Field((), "int32"), "t": Field((), "string")}


def read(files, fields=COLUMNS) -> tuple[list[examples.Batch], str]:
    """The batches, and the fault that ended them."""
    found = []
    try:
        for batch in examples.batches(files, fields, "serving_default"):
            found.append(batch)
    except UsageError as error:
        return found, str(error)
    return found, ""


def table(path, rows: int, last: str = "") -> list:
    path.write_text("t,k,n\n" + "".join(f"x{i},{i},{i / 4}\n" for i in range(rows)) + last)
    return [path]


def test_batches_of_a_table_are_full_but_for_the_last(tmp_path):
    found, fault = read(table(tmp_path / "a.csv", 600))
    assert fault == ""
    assert [len(batch.where) for batch in found] == [256, 256, 88]
    where = [name for batch in found for name in batch.where]
    assert where == [f"{tmp_path}/a.csv:{i + 2}" for i in range(600)]
    columns = {k: np.concatenate([batch.columns[k] for batch in found]) for k in COLUMNS}
    np.testing.assert_array_equal(columns["n"], np.arange(600, dtype=np.float32) / 4)
    np.testing.assert_array_equal(columns["k"], np.arange(600))
    assert {k: v.dtype.name for k, v in columns.items()} == {
        "n": "float32",
        "k": "int32",
        "t": "object",
    }
    assert columns["t"][599] == b"x599"


@pytest.mark.parametrize(
    ("last", "fault"),
    [
        ("x,1,big\n", "a.csv:302: column n: 'big' is not a number"),
        ("x,1.5,1\n", "a.csv:302: column k: '1.5' is not a whole number -2147483648 to 2147483647"),
        ("x,3000000000,1\n", "a.csv:302: column k: '3000000000' is not a whole number"),
        ("x,NA,1\n", "a.csv:302: column k: 'NA' is not a whole number"),
        ("x,1\n", "a.csv:302: 2 cells, the header has 3 columns"),
        ('"x,1,1\n', "a.csv:302: unexpected end of data"),
        ("x,\0,1\n", "a.csv:302: a NUL character"),
    ],
)
def test_batches_hold_all_rows_before_a_fault(tmp_path, last, fault):
    found, message = read(table(tmp_path / "a.csv", 300, last + "y,1,1\n" * 5))
    assert message.startswith(f"{tmp_path}/{fault}")
    assert [name for batch in found for name in batch.where][-1] == f"{tmp_path}/a.csv:301"
    assert sum(len(batch.where) for batch in found) == 300


def test_batches_are_bounded_by_their_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "_BYTES", 100)
    (tmp_path / "a.txt").write_text("\n".join(["x" * 40] * 5 + ["y" * 300, "z"]))
    found, _ = read([tmp_path / "a.txt"], {"text": Field((), "string")})
    assert [len(batch.where) for batch in found] == [2, 2, 1, 1, 1]
    assert found[3].columns["text"][0] == b"y" * 300


def test_batches_have_rows_of_one_shape_and_go_over_files(tmp_path):
    fields = {"image": Field((None, None, 3), "uint8")}
    files = []
    for i, width in enumerate((4, 4, 4, 5, 4)):
        files.append(tmp_path / f"{i}.png")
        Image.new("RGB", (width, 6), (i, 0, 0)).save(files[-1])
    request = {"instances": [{"image": np.full((6, 4, 3), 9).tolist()}] * 2}
    (tmp_path / "r.json").write_text(json.dumps(request))
    found, _ = read([*files, tmp_path / "r.json"], fields)
    assert [batch.columns["image"].shape for batch in found] == [
        (3, 6, 4, 3),
        (1, 6, 5, 3),
        (3, 6, 4, 3),
    ]
    assert found[2].columns["image"][:, 0, 0, 0].tolist() == [4, 9, 9]


def test_batches_are_read_as_they_are_asked_for(tmp_path):
    """The second file is not there when the first is answered."""
    files = [*table(tmp_path / "a.csv", 300), tmp_path / "b.csv"]
    batches = examples.batches(files, COLUMNS, "serving_default")
    assert len(next(batches).where) == 256
    table(tmp_path / "b.csv", 10)
    assert [len(batch.where) for batch in batches] == [44 + 10]


def test_an_image_file_that_is_too_large_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "_LARGEST_IMAGE", 1000)
    (tmp_path / "a.bmp").write_bytes(b"BM" + bytes(1000))
    found, fault = read([tmp_path / "a.bmp"], {"image": Field((2, 2, 3), "uint8")})
    assert not found
    assert fault == f"{tmp_path}/a.bmp is not an image: it has more than 1000 bytes"


def test_whole_numbers_of_64_bits_are_exact_or_refused(tmp_path):
    fields = {"seed": Field((), "int64")}
    path, numbers = tmp_path / "a.csv", [2**53 + 1, 2**63 - 1, -(2**63), 1000, 5, 0]
    cells = [str(number) for number in numbers[:3]] + ["1e3", "5.0", "0e99999999999999999999"]
    path.write_text("seed,note\n" + "".join(f"{cell},x\n" for cell in cells))
    found, fault = read([path], fields)
    assert fault == ""
    assert [n for batch in found for n in batch.columns["seed"].tolist()] == numbers
    for beyond in (2**63, -(2**63) - 1):
        path.write_text(f"seed,note\n{beyond},x\n")
        assert f"a.csv:2: column seed: '{beyond}' is not a whole number" in read([path], fields)[1]


def test_an_image_file_for_a_model_of_four_channels_is_refused_in_one_line(tmp_path):
    Image.new("RGBA", (2, 2)).save(tmp_path / "a.png")
    found, fault = read([tmp_path / "a.png"], {"image": Field((2, 2, 4), "uint8")})
    assert not found
    assert fault.startswith(f"{tmp_path}/a.png: this model takes images of 4 channels")
