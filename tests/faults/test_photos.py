"""Own photographs that change, vanish or whose decoded copies are damaged between two commands."""

import os
import pathlib
import shutil

import pytest
from PIL import Image

from pipelines import DataError
from pipelines.files import photos
from pipelines.storage import content, photo_cache
from tests.conftest import run_python, tiny_settings
from tests.faults.test_together import together
from tests.pipelines.files import photographs
from tests.pipelines.tables import write
from trainers import errors
from trainers.config.settings import Settings
from trainers.store import run_folder
from trainers.training import data, run

NUMBER = 72
LIMITED = """
import logging, resource, sys
logging.basicConfig(format="%(message)s", level=logging.WARNING)
import pipelines
from pipelines.storage import tfds
pipeline = pipelines.get("image_folder", data_files=sys.argv[1], data_dir=sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, -1))  # as on a full disk
_, rows, _ = tfds.load(pipeline)
print(sum(part.num_rows for part in rows.values()))
"""


def fill(folder: pathlib.Path, largest: int = 120) -> None:
    """Twelve photographs for each of six classes."""
    for i, (label, one) in enumerate(photographs.photographs(NUMBER, largest, seed=7)):
        path = folder / f"class{label}" / f"{i:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photographs.jpeg(one))


@pytest.fixture
def folder(tmp_path, monkeypatch) -> pathlib.Path:
    """Photographs; whatever their size and age, decoded ones are kept."""
    monkeypatch.setattr(photos, "_SMALLEST", 1)
    monkeypatch.setattr(content, "_YOUNG", -1)
    fill(tmp_path / "photos")
    (tmp_path / "data").mkdir()
    return tmp_path / "photos"


def settings_of(folder: pathlib.Path, **changes) -> Settings:
    changes = {"pipeline": "image_folder", "data_files": str(folder), **changes}
    options = {"image_size": 20, "padding": 1, **changes.pop("options", {})}
    changes |= {"data_dir": str(folder.parent / "data"), "pipeline_options": options}
    return tiny_settings("cifar_cnn", folder.parent / "run", **changes)


def fingerprint(folder: pathlib.Path) -> str:
    """Of the data that a command reads."""
    return run_folder.data_fingerprint(data.load(settings_of(folder), None))


def kept(folder: pathlib.Path, suffix: str) -> list[pathlib.Path]:
    return sorted((folder.parent / "data").rglob(f"*{suffix}"))


def warnings(caplog) -> list[str]:
    found = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    caplog.clear()
    return found


@pytest.mark.parametrize("suffix", [".pixels", ".npz", ".content-hashes.json"])
def test_damaged_copies_are_made_anew_and_never_used(suffix, folder, caplog):
    first = fingerprint(folder)
    caplog.clear()
    [path] = kept(folder, suffix)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    path.write_bytes(whole[: len(whole) * 2 // 3] if suffix == ".content-hashes.json" else whole)
    assert fingerprint(folder) == first
    said = warnings(caplog)
    if suffix == ".content-hashes.json":  # files are read again, and found by their content
        assert said == []
    else:
        assert len(said) == 1
        assert "of decoded photographs are damaged" in said[0]
    assert fingerprint(folder) == first
    assert warnings(caplog) == []


@pytest.mark.parametrize("change", ["content", "same size and time", "name"])
def test_photograph_that_changed_between_two_commands_is_read_again(change, folder, caplog):
    first = fingerprint(folder)
    path = folder / "class0" / "00.jpg"
    before = path.stat()
    black = photographs.jpeg(Image.new("RGB", (30, 30)))
    if change == "content":
        path.write_bytes(black)
    elif change == "same size and time":
        path.write_bytes(black + bytes(before.st_size - len(black)))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "name":
        path.rename(path.with_name("000.jpg"))  # still the first of its class
    assert (fingerprint(folder) == first) == (change == "name")
    assert warnings(caplog) == []


@pytest.mark.slow
@pytest.mark.usefixtures("_unchecked_export")
def test_full_disk_for_decoded_photographs_does_not_end_training(folder, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device", "data/.decoded-images")

    monkeypatch.setattr(photo_cache, "write", full)
    assert run.run(settings_of(folder, epochs=1))["test"]
    assert warnings(caplog)[0] == (
        "decoded photographs are not kept for the next command: the disk is full: "
        "data/.decoded-images"
    )
    assert (folder.parent / "run" / "report.json").exists()


def test_full_disk_ends_a_run_whose_photographs_do_not_fit_in_memory(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "data/.decoded-images")

    monkeypatch.setattr(photos, "RAM_BUDGET", 1)
    monkeypatch.setattr(photo_cache, "write", full)
    with pytest.raises(OSError, match="No space left") as caught:
        run.run(settings_of(folder))
    assert errors.exit_code(caught.value) == 6


def test_table_that_names_a_file_which_does_not_exist_is_refused_with_its_row(folder):
    names = sorted(path.relative_to(folder.parent) for path in folder.rglob("*.jpg"))
    rows = [["file", "kind"], *([name, name.parts[1]] for name in names)]
    path = write(folder.parent / "photos.csv", rows)
    for name in names[5:8]:
        (folder.parent / name).unlink()
    options = {"pipeline": "image_table", "data_files": path, "target": "kind"}
    first = rf"photos\.csv:7: .*{names[5].name} does not exist, and 2 more rows name no file"
    with pytest.raises(DataError, match=first) as caught:
        run.run(settings_of(folder, **options))
    assert errors.exit_code(caught.value) == 3
    found = data.load(settings_of(folder, **options, options={"skip_bad": True}), None)
    assert sum(part.num_rows for part in found.rows.values()) == NUMBER - 3


@pytest.mark.slow
def test_real_full_disk_is_one_line(tmp_path):
    fill(tmp_path / "photos", largest=1500)
    (tmp_path / "data").mkdir()
    done = run_python("-c", LIMITED, str(tmp_path / "photos"), str(tmp_path / "data"))
    assert done.stdout.split() == [str(NUMBER)]
    said = [line for line in done.stderr.splitlines() if "photographs" in line]
    assert len(said) == 1, done.stderr
    assert said[0].startswith("decoded photographs are not kept for the next command: File too la")
    assert kept(tmp_path / "photos", ".tmp") == kept(tmp_path / "photos", ".pixels") == []


@pytest.mark.slow
def test_twelve_processes_decode_each_photograph_once(tmp_path):
    fill(tmp_path / "photos", largest=1500)
    (tmp_path / "data").mkdir()
    for i in range(3):  # copies, which are stored once
        shutil.copy(tmp_path / "photos/class0/00.jpg", tmp_path / f"photos/class0/copy{i}.jpg")
    options = {"data_files": str(tmp_path / "photos"), "data_dir": str(tmp_path / "data")}
    assert len(set(together("read", "image_folder", options))) == 1
    pixels = kept(tmp_path / "photos", ".pixels")
    assert sum(path.stat().st_size for path in pixels) == NUMBER * 3 * 64**2
