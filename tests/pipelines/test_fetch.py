"""Data sets prepared from a folder of archives, where the network is forbidden."""

import hashlib
import importlib
import io
import pathlib
import resource
import shutil
import socket
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds

from pipelines import DataError, fetch
from tests.conftest import ROOT, run_python

# A data set as others write them: two archives asked for one after the other, and their checksums.
BUILDER = '''
import numpy as np
import tensorflow_datasets as tfds

class MirroredToy(tfds.core.GeneratorBasedBuilder):
    """Numbers in a zip file, their names in another file."""

    VERSION = tfds.core.Version("1.2.0")

    def _info(self):
        features = {"number": tfds.features.Scalar(np.int32), "name": tfds.features.Text()}
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        place = dl_manager.download_and_extract("https://archives.invalid/get?numbers")
        names = dl_manager.download({"names": "https://archives.invalid/names.txt"})
        return {"train": self._generate_examples(place, names["names"])}

    def _generate_examples(self, place, names):
        lines = (place / "numbers.txt").read_text().split()
        for number, name in zip(lines, names.read_text().split()):
            yield int(number), {"number": int(number), "name": name}

class UnregisteredToy(MirroredToy):
    """Its second file has no checksum."""

    def _split_generators(self, dl_manager):
        dl_manager.download("https://archives.invalid/other.txt")

class ManualToy(MirroredToy):
    """Its files are handed out by their owners."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = "Ask for secret.txt\\n  at https://owners.invalid."

    def _split_generators(self, dl_manager):
        place = dl_manager.manual_dir
        return {"train": self._generate_examples(place, place / "secret.txt")}

class KaggleToy(MirroredToy):
    """Its files come through a program of somebody else."""

    def _split_generators(self, dl_manager):
        dl_manager.download_kaggle_data("owner/toys")
'''


def archives() -> dict[str, bytes]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr(zipfile.ZipInfo("numbers.txt"), "1\n2\n3\n")
    return {"numbers.zip": packed.getvalue(), "names.txt": b"one\ntwo\nthree\n"}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """The folder above the builder's package, in which its checksums are registered."""
    code = tmp_path_factory.mktemp("code")
    place = code / "mirrored_toy_sets"
    place.mkdir()
    (place / "__init__.py").write_text(BUILDER)
    urls = {"numbers.zip": "get?numbers", "names.txt": "names.txt"}
    lines = [
        f"https://archives.invalid/{urls[name]}\t{len(content)}\t{sha256(content)}\t{name}\n"
        for name, content in archives().items()
    ]
    (place / "checksums.tsv").write_text("".join(lines))
    return code


@pytest.fixture(autouse=True)
def _no_network(code, monkeypatch):
    def refuse(*arguments, **words):
        pytest.fail(f"asked the network: {arguments} {words}")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.syspath_prepend(str(code))
    importlib.import_module("mirrored_toy_sets")


@pytest.fixture
def mirror(tmp_path):
    """Both archives, under other names and in a folder below."""
    place = tmp_path / "mirror"
    (place / "deep" / "er").mkdir(parents=True)
    (place / "deep" / "er" / "blob").write_bytes(archives()["numbers.zip"])
    (place / "b.bin").write_bytes(archives()["names.txt"])
    (place / "same size").write_bytes(b"x" * len(archives()["names.txt"]))
    return place


def command(capsys, *words: str) -> tuple[int, str, str]:
    code = fetch.main(["fetch", *map(str, words)])
    return code, *capsys.readouterr()


def test_a_set_is_prepared_from_its_archives_whatever_they_are_called(mirror, tmp_path, capsys):
    words = ("mirrored_toy", f"--mirror={mirror}", f"--data_dir={tmp_path / 'data'}")
    code, told, _ = command(capsys, *words)
    assert (code, told) == (
        0,
        f"mirrored_toy/1.2.0 is now in {tmp_path}/data/mirrored_toy/1.2.0: 3 train\n",
    )
    builder = tfds.builder("mirrored_toy", data_dir=tmp_path / "data")
    found = {int(e["number"]): e["name"] for e in tfds.as_numpy(builder.as_dataset(split="train"))}
    assert found == {1: b"one", 2: b"two", 3: b"three"}
    assert builder.info.download_size == sum(map(len, archives().values()))
    shutil.rmtree(mirror)
    mirror.mkdir()
    code, told, _ = command(capsys, *words)  # it needs no mirror any more
    assert (code, told.split(":")[0]) == (
        0,
        f"mirrored_toy/1.2.0 is in {tmp_path}/data/mirrored_toy/1.2.0",
    )
    code, _, said = command(capsys, *words, "--file_format=array_record")
    assert code == 3
    assert "tfrecord: choose another --data_dir" in said


def test_array_records_on_request(mirror, tmp_path):
    fetch.fetch("mirrored_toy", str(tmp_path / "data"), mirror, "array_record")
    builder = tfds.builder("mirrored_toy", data_dir=tmp_path / "data")
    assert sorted(int(row["number"]) for row in builder.as_data_source(split="train")) == [1, 2, 3]


def test_all_missing_files_are_listed_at_once_and_adding_them_helps(mirror, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    words = ("mirrored_toy:1.2.0", f"--mirror={empty}", f"--data_dir={tmp_path / 'data'}")
    code, told, said = command(capsys, *words)
    assert code == 3
    content = archives()
    numbers, names = content["numbers.zip"], content["names.txt"]
    assert told.splitlines() == [
        f"https://archives.invalid/get?numbers\tnumbers.zip\t{len(numbers)}\t{sha256(numbers)}",
        f"https://archives.invalid/names.txt\tnames.txt\t{len(names)}\t{sha256(names)}",
    ]
    assert f"error: mirrored_toy/1.2.0 needs 2 more file(s) in {empty}" in said
    (empty / "first").write_bytes(numbers)
    code, told, _ = command(capsys, *words)
    assert (code, told.count("\n"), told.split("\t")[1]) == (3, 1, "names.txt")
    (empty / "second").write_bytes(names)
    assert command(capsys, *words)[0] == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda whole: whole[:-20], "{size} bytes, not {whole}"),
        (lambda whole: b"", "0 bytes, not {whole}"),
        (lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]), "another SHA-256"),
    ],
    ids=["truncated", "empty", "one bit"],
)
def test_damaged_archives_are_not_taken(content, said, mirror, tmp_path, capsys):
    whole = archives()["numbers.zip"]
    damaged = content(whole)
    (mirror / "deep" / "er" / "blob").unlink()
    (mirror / "numbers.zip").write_bytes(damaged)
    code, told, error = command(
        capsys, "mirrored_toy", f"--mirror={mirror}", f"--data_dir={tmp_path / 'data'}"
    )
    assert code == 3
    assert told.count("\n") == 1
    said = said.format(size=len(damaged), whole=len(whole))
    assert f"; {mirror / 'numbers.zip'} has {said}" in error
    assert not list((tmp_path / "data").rglob("dataset_info.json"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "unregistered_toy",
            r"no checksum for 1 file\(s\)(.|\n)*https://archives.invalid/other.txt",
        ),
        ("manual_toy", r"Ask for secret.txt at https://owners.invalid\. Put them into .*mirror"),
        ("kaggle_toy", r"Kaggle's own program fetches owner/toys"),
        ("mirrored_toy:9.9.9", r"9\.9\.9"),
        ("mirrored_toi", r"nearest: mirrored_toy"),
        ("rored_toy", r"nearest: mirrored_toy$"),
    ],
)
def test_sets_that_no_mirror_can_hold(name, said, mirror, tmp_path):
    with pytest.raises(DataError, match=said):
        fetch.fetch(name, str(tmp_path / "data"), mirror)


def test_a_tilde_that_a_shell_has_left_is_the_home_folder(mirror, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    code, told, _ = command(capsys, "mirrored_toy", "--mirror=~/mirror", "--data_dir=~/data")
    assert code == 0
    assert f" is now in {tmp_path}/data/mirrored_toy/1.2.0: 3 train" in told


def test_an_archive_that_is_already_where_its_link_would_be_stays(mirror, tmp_path, capsys):
    """The mirror is the folder of downloads itself, without the notes that TFDS keeps there."""
    downloads = tmp_path / "data" / "downloads"
    words = ("mirrored_toy", f"--data_dir={tmp_path / 'data'}")
    assert command(capsys, *words, f"--mirror={mirror}")[0] == 0
    shutil.rmtree(tmp_path / "data" / "mirrored_toy")
    for path in sorted(downloads.rglob("*")):
        if path.is_symlink():
            content = path.read_bytes()
            path.unlink()
            path.write_bytes(content)
        elif path.suffix == ".INFO":
            path.unlink()
    assert command(capsys, *words, f"--mirror={downloads}")[0] == 0
    files = [path for path in downloads.rglob("*") if path.is_file() and not path.is_symlink()]
    assert {*archives().values()} <= {path.read_bytes() for path in files}


def test_files_that_owners_hand_out_are_found_by_name(mirror, tmp_path):
    (mirror / "secret.txt").write_text("eins zwei")
    (mirror / "numbers.txt").write_text("1 2")
    assert "2 train" in fetch.fetch("manual_toy", str(tmp_path / "data"), mirror)


def test_the_archives_of_a_real_set(tmp_path):
    """MNIST's four files, as tensorflow-datasets has registered them."""
    with pytest.raises(DataError) as caught:
        fetch.fetch("mnist", str(tmp_path / "data"), tmp_path)
    lines = [line.split("\t") for line in str(caught.value).splitlines()[1:]]
    assert [name for _, name, *_ in lines] == [
        f"{part}-ubyte.gz"
        for part in (
            "t10k-images-idx3",
            "t10k-labels-idx1",
            "train-images-idx3",
            "train-labels-idx1",
        )
    ]
    assert np.sum([int(size) for _, _, size, _ in lines]) == 11_594_722


def test_sets_that_need_no_archives_are_prepared_too(tmp_path):
    assert "1797 train" in fetch.fetch("digits", str(tmp_path / "data"), tmp_path)


def test_a_folder_that_is_not_there_is_a_usage_error(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        fetch.main(["fetch", "mnist", f"--mirror={tmp_path / 'none'}"])
    assert caught.value.code == 2
    assert "is not a folder" in capsys.readouterr().err


def test_help_imports_no_tensorflow():
    probe = (
        "import sys\nfrom pipelines import fetch\n"
        "try: fetch.main(['fetch', '--help'])\n"
        "except SystemExit as end: print(end.code, 'tensorflow' in sys.modules)"
    )
    told = run_python("-c", probe).stdout
    assert told.splitlines()[-1] == "0 False"
    assert "--mirror" in told


@pytest.mark.slow
def test_the_command_as_a_process_without_network(code, mirror, tmp_path):
    probe = (
        "import runpy, socket, sys\n"
        "def refuse(*a, **k): raise SystemExit('asked the network')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "sys.path.insert(0, sys.argv.pop(1))\n"
        "import mirrored_toy_sets\n"
        "runpy.run_module('pipelines.fetch', run_name='__main__')"
    )
    place = pathlib.Path(tmp_path, "data")
    done = run_python(
        "-c", probe, code, "mirrored_toy", f"--mirror={mirror}", f"--data_dir={place}"
    )
    assert done.stdout.endswith("3 train\n")
    assert done.stdout.count("\n") == 1
    (mirror / "b.bin").unlink()
    shutil.rmtree(place)
    done = run_python(
        *("-c", probe, code, "mirrored_toy", f"--mirror={mirror}", f"--data_dir={place}"),
        check=False,
    )
    assert done.returncode == 3
    assert done.stdout.startswith("https://archives.invalid/names.txt\t")


@pytest.mark.slow
@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_full_disk_is_said_in_one_line_and_leaves_no_set(file_format, tmp_path):
    """In a process whose files may have 20 kB: TensorFlow and array_record say it otherwise."""
    command = [sys.executable, "-m", "pipelines.fetch", "digits", f"--data_dir={tmp_path}"]
    done = subprocess.run(
        [*command, f"--file_format={file_format}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert done.returncode == 6, done.stderr
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"error: File too large: {tmp_path}/digits/incomplete."), done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "digits").iterdir()) == []
