"""Hostile .keras files: none is taken, none runs anything, writes anywhere or fills the memory.

The shapes of what has been reported against Keras, by CVE number, with payloads that would only
leave a mark; and what else a zip file, a config.json and an HDF5 file can be made to say.
"""

import json
import pathlib
import stat
import zipfile

import h5py
import keras
import numpy as np
import pytest

from tests.conformance.names import distinct, fake_data
from tests.conftest import run_python, tiny_settings
from tests.security.hostile_layers import LAYERS, lambda_layer, program, with_layer, write
from tests.security.hostile_watch import watched
from tests.security.hostile_weights import WEIGHTS
from trainers.errors import ArtefactError
from trainers.store import checkpoint, keras_file
from trainers.training import run
from trainers.training.compile import build


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    """The members of a good file: two layers with weights, and one without between them."""
    inputs = keras.Input((3,), name="x")
    x = keras.layers.Dense(2, name="first")(inputs)
    x = keras.layers.Activation("relu", name="middle")(x)
    model = keras.Model(inputs, keras.layers.Dense(1, name="last")(x), name="small")
    path = tmp_path_factory.mktemp("whole") / "model.keras"
    model.save(path)
    found = keras_file.load(path)
    assert found.keys() == {"first/kernel", "first/bias", "last/kernel", "last/bias"}
    np.testing.assert_array_equal(found["first/kernel"], model.layers[1].kernel)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def refused(path: pathlib.Path, said: str, monkeypatch) -> None:
    folder = path.parent.parent
    with watched(folder, monkeypatch), pytest.raises(ArtefactError, match=said) as caught:
        keras_file.load(path)
    assert len(str(caught.value)) < 300 + len(str(path)) + 20
    assert "\n" not in str(caught.value)


@pytest.fixture
def evil(tmp_path) -> pathlib.Path:
    """Where the file goes: what leaves its folder is still seen."""
    (tmp_path / "in").mkdir()
    return tmp_path / "in" / "evil.keras"


@pytest.mark.parametrize("name", LAYERS)
def test_hostile_layer_is_refused(name, whole, evil, tmp_path, monkeypatch):
    layer, said = LAYERS[name]
    write(evil, with_layer(whole, layer(tmp_path / "mark")))
    refused(evil, said, monkeypatch)


def test_payload_of_these_files_works(whole, evil, tmp_path):
    write(evil, with_layer(whole, lambda_layer(tmp_path / "mark")))
    keras.saving.load_model(evil, compile=False, safe_mode=False)
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", WEIGHTS)
def test_hostile_weights_are_refused(name, whole, evil, tmp_path, monkeypatch):
    make, said = WEIGHTS[name]
    (tmp_path / "secret").write_bytes(bytes(64))
    place = tmp_path / "made.h5"
    place.write_bytes(whole["model.weights.h5"])
    make(place, tmp_path / "secret")
    write(evil, {**whole, "model.weights.h5": place.read_bytes()})
    refused(evil, said, monkeypatch)


def altered(path: pathlib.Path, change) -> None:
    """Changes the entries of a zip file's directory, and thereby what its members seem to be."""
    with zipfile.ZipFile(path, "a") as archive:
        change({member.filename: member for member in archive.infolist()}, archive)
        archive._didModify = True


def _twice(path, whole):
    write(path, whole)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("config.json", whole["config.json"])


def _link(path, whole):
    member = zipfile.ZipInfo("config.json")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    write(path, {name: whole[name] for name in ("metadata.json", "model.weights.h5")})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, "secret")


def _compressed(path, whole):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (whole | {"model.weights.h5": bytes(10**8)}).items():
            archive.writestr(name, content)


def _overlapping(path, whole):
    write(path, {**whole, "model.weights.h5": bytes(10**5)})

    def change(members, archive):
        for name in ("config.json", "metadata.json"):
            member = members["model.weights.h5"]
            members[name].header_offset, members[name].CRC = member.header_offset, member.CRC
            members[name].file_size = members[name].compress_size = member.file_size

    altered(path, change)


def _larger(path, whole):
    write(path, whole)

    def change(members, archive):
        members["config.json"].file_size = members["config.json"].compress_size = 2**40

    altered(path, change)


def _encrypted(path, whole):
    write(path, whole)
    altered(path, lambda members, _: setattr(members["config.json"], "flag_bits", 1))


def _flipped(name):
    def change(path, whole):
        write(path, whole)
        content, place = bytearray(path.read_bytes()), path.read_bytes().index(whole[name])
        content[place + len(whole[name]) // 2] ^= 1
        path.write_bytes(content)

    return change


def _config(content):
    return lambda path, whole: write(path, {**whole, "config.json": content})


def _named(name):
    return lambda path, whole: write(path, {**whole, name: b"x"})


ARCHIVES = {  # name: what writes it, and what is said of it
    "2025-12638 out of the folder": (_named("assets/../../../escaped"), "leads out of it"),
    "absolute": (_named("/escaped"), "leads out of it"),
    "back slashes": (_named("assets\\..\\..\\escaped"), "leads out of it"),
    "assets": (_named("assets/layers/string_lookup/vocabulary.txt"), "missing or extra: assets"),
    "arrays that Keras reads too": (
        _named("model.weights.npz"),
        r"missing or extra: model\.weights\.npz",
    ),
    "no weights": (
        lambda path, whole: write(path, {"config.json": whole["config.json"]}),
        "missing or extra: metadata.json, model.weights.h5",
    ),
    "twice": (_twice, "'config.json' is twice in it"),
    "link": (_link, "'config.json' is a link"),
    "100 MB of nothing": (_compressed, "is compressed"),
    "overlapping": (_overlapping, "its members declare"),
    "1 TB": (_larger, "its members declare"),
    "encrypted": (_encrypted, "encrypted"),
    "bit of the weights": (_flipped("model.weights.h5"), "Bad CRC-32 .*model.weights.h5"),
    "bit of the config": (_flipped("config.json"), "Bad CRC-32 .*config.json"),
    "cut": (lambda path, whole: (write(path, whole), cut(path)), "not a zip file"),
    "empty": (lambda path, whole: path.write_bytes(b""), "not a zip file"),
    "folder": (lambda path, whole: path.mkdir(), "not a file that ends in .keras"),
    "nothing": (lambda path, whole: None, "not a file that ends in .keras"),
    "config of a list": (_config(b"[]"), "holds a list, not an object"),
    "config cut": (_config(b'{"module": '), "Expecting value"),
    "config of bytes": (_config(b"\xff\xfe\xfd"), "codec can't decode"),
    "config of nothing": (_config(b"{}"), "does not describe a model"),
    "config of a function": (
        _config(json.dumps(program(pathlib.Path("mark"))).encode()),
        "does not describe a model",
    ),
}


def cut(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.parametrize("name", ARCHIVES)
def test_hostile_archive_is_refused(name, whole, evil, tmp_path, monkeypatch):
    make, said = ARCHIVES[name]
    (tmp_path / "secret").write_bytes(whole["config.json"])
    make(evil, whole)
    refused(evil, said, monkeypatch)


@pytest.mark.parametrize("name", ["model.h5", "model.weights.h5", "model.npz", "model", "x.KERAS"])
def test_path_that_is_not_a_keras_file_is_refused(name, whole, evil, monkeypatch):
    """Keras would read a file of such a name in another way, .h5 without safe mode until 3.11.3."""
    path = evil.with_name(name)
    with h5py.File(path, "w") as file:
        layer = lambda_layer(evil.parent / "mark")
        file.attrs["model_config"] = json.dumps(with_layer(whole, layer)["config.json"].decode())
    refused(path, "not a file that ends in .keras", monkeypatch)
    path.rename(evil)
    refused(evil, "not a zip file", monkeypatch)


def test_address_is_never_asked(monkeypatch, tmp_path):
    for address in ("hf://keras/bert.keras", "http://127.0.0.1:9/a.keras", "gs://a/b.keras"):
        with watched(tmp_path, monkeypatch), pytest.raises(ArtefactError, match="not a file that"):
            keras_file.load(pathlib.Path(address))


def test_compiled_optimizer_and_loss_are_not_built(whole, evil, tmp_path, monkeypatch):
    config = json.loads(whole["config.json"])
    config["compile_config"] = {"loss": program(tmp_path / "mark"), "optimizer": "adam"}
    write(evil, {**whole, "config.json": json.dumps(config).encode()})
    with watched(tmp_path, monkeypatch):
        assert len(keras_file.load(evil)) == 4


@pytest.mark.parametrize("name", distinct())
def test_file_of_every_model_is_taken(name, tmp_path, monkeypatch):
    model = build(
        tiny_settings(name, tmp_path),
        fake_data(name),
        "float32",
    )
    model.save(tmp_path / "given.keras")
    with watched(tmp_path, monkeypatch):
        found = keras_file.load(tmp_path / "given.keras")
    assert found.keys() == {variable.path for variable in model.weights}
    for variable in model.weights:
        np.testing.assert_array_equal(found[variable.path], variable)


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_run_starts_from_a_file_of_keras(tmp_path, caplog):
    caplog.set_level("INFO", "trainers")
    settings = tiny_settings("mlp_binary", tmp_path / "run")
    model = build(settings, fake_data("mlp_binary"), "float32")
    path = tmp_path / "given.keras"
    model.save(path)
    changes = {"init_from": (str(path),), "learning_rate": 1e-12, "weight_decay": 0.0, "l2": 0.0}
    settings = tiny_settings("mlp_binary", tmp_path / "run", **changes)
    run.run(settings)
    number = len(model.weights)
    assert f"initial weights from {path}: {number} of {number} weights" in caplog.text
    assert "vocabulary or statistics were fitted anew" in caplog.text
    found = checkpoint.load_newest(tmp_path / "run" / "checkpoints").arrays
    for variable in model.weights:
        np.testing.assert_allclose(found[f"model/{variable.path}"], variable, atol=1e-6)
    path.unlink()  # a run that has begun has what it started from
    (tmp_path / "run" / "report.json").unlink()
    run.run(tiny_settings("mlp_binary", tmp_path / "run", **changes))


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_weights_that_do_not_fit_are_refused_or_new(tmp_path, caplog):
    caplog.set_level("INFO", "trainers")
    inputs = keras.Input((30,))
    x = keras.layers.Dense(16, name="dense1")(inputs)
    path = tmp_path / "given.keras"
    keras.Model(inputs, keras.layers.Dense(9, name="logits")(x)).save(path)
    changes = {"init_from": (str(path),)}
    with pytest.raises(ArtefactError, match="dense2/kernel absent, dense2/bias absent; --init_new"):
        run.run(tiny_settings("mlp_binary", tmp_path / "refused", **changes))
    run.run(tiny_settings("mlp_binary", tmp_path / "run", init_new=("dense2",), **changes))
    assert (
        f"initial weights from {path}: new: dense2/kernel, dense2/bias, logits/kernel, logits/bias"
        in caplog.text
    )


def test_command_refuses_a_hostile_file_in_one_line(whole, built_in_data, tmp_path):
    write(tmp_path / "evil.keras", with_layer(whole, lambda_layer(tmp_path / "mark")))
    words = [f"--init_from={tmp_path / 'evil.keras'}", f"--data_dir={built_in_data}"]
    words += ["--hparams=hidden=(4,4)", "--noreport_baseline", "--model=mlp_binary"]
    done = run_python("-m", "trainers.run", *words, cwd=tmp_path, check=False)
    assert done.returncode == 4
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert line.startswith(f"error: {tmp_path / 'evil.keras'} is refused: config.json asks for")
    assert done.stderr.splitlines()[-1] == line
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "mark").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.keras", "runs"]
