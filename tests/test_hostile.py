"""Hostile .keras files: none is taken, none runs anything, writes anywhere or fills the memory.

The shapes of what has been reported against Keras, by CVE number, with payloads that would only
leave a mark; and what else a zip file, a config.json and an HDF5 file can be made to say.
"""

import base64
import contextlib
import copy
import json
import marshal
import pathlib
import resource
import sys
import tempfile
import zipfile

import keras
import numpy as np
import pytest
from conftest import run_python, tiny_settings
from hostile_weights import WEIGHTS

import zoo
from trainers import checkpoint, run
from trainers.setup import keras_file
from trainers.setup.errors import ArtefactError

LAMBDA = "keras.layers.Lambda, which is none"


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


def write(path: pathlib.Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def program(mark: pathlib.Path) -> dict:
    """A function as Keras writes it: its code, which leaves a mark when it is called."""
    code = compile(f"lambda x: [open({str(mark)!r}, 'w').close(), x][1]", "evil", "eval")
    value = {"code": base64.b64encode(marshal.dumps(code.co_consts[0])).decode()}
    return {"class_name": "__lambda__", "config": {"value": {**value, "defaults": None}}}


def made(module, kind: str, **config) -> dict:
    return {"module": module, "class_name": kind, "config": config, "registered_name": None}


def function(module: str, name: str) -> dict:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def lambda_layer(mark, **more) -> dict:
    return made("keras.layers", "Lambda", name="middle", function=program(mark), **more)


def dense(**changes) -> dict:
    return made("keras.layers", "Dense", name="middle", units=2, **changes)


def called(*arguments) -> dict:
    return {"inbound_nodes": [{"args": list(arguments), "kwargs": {}}]}


def deep(levels: int) -> list:
    return [deep(levels - 1)] if levels else []


def laughs(levels: int) -> dict:
    """A model that calls one twenty times that calls one twenty times that ..."""
    inner = laughs(levels - 1) if levels else made("keras.layers", "Identity", name="ha")
    node = called({"class_name": "__keras_tensor__", "config": {}})["inbound_nodes"][0]
    inner = {**inner, "inbound_nodes": [node] * 20}
    return made("keras.src.models.functional", "Functional", name="middle", layers=[inner])


def of_the_user(mark) -> dict:
    """A class of this process, asked for under the name of one of Keras's."""

    @keras.saving.register_keras_serializable("tests")
    class Evil(keras.layers.Layer):
        def __init__(self, **words):
            mark.touch()
            super().__init__(**words)

    layer = made("keras.layers", "Identity", name="middle")
    return {**layer, "registered_name": "tests>Evil"}


# Name: what stands in place of the middle layer, and what is said of it.
LAYERS = {
    "2024-3660 lambda": (lambda_layer, LAMBDA),
    "2025-1550 os.system": (
        lambda mark: {**function("os", "system"), **called(f"touch {mark}")},
        "asks for os.function",
    ),
    "2025-1550 as activation": (
        lambda mark: dense(activation=function("os", "system")),
        "asks for os.function",
    ),
    "2025-8747 get_file": (
        lambda mark: {
            **function("keras.utils", "get_file"),
            **called(str(mark), f"file://{__file__}"),
        },
        "asks for keras.utils.function",
    ),
    "2025-8747 as a class": (
        lambda mark: {**made("keras.utils", "get_file"), **called(str(mark), "http://127.0.0.1:9")},
        "asks for keras.utils.get_file",
    ),
    "2025-9906 unsafe": (
        lambda mark: function("keras.config", "enable_unsafe_deserialization"),
        "asks for keras.config.function",
    ),
    "2025-9906 as a class": (
        lambda mark: made("keras.config", "enable_unsafe_deserialization"),
        "asks for keras.config.enable",
    ),
    "2025-12058 vocabulary file": (
        lambda mark: made("keras.layers", "StringLookup", name="middle", vocabulary=__file__),
        "StringLookup, which is none",
    ),
    "2025-12058 vocabulary URL": (
        lambda mark: made("keras.layers", "IntegerLookup", vocabulary="http://127.0.0.1:9/v"),
        "IntegerLookup, which is none",
    ),
    "2025-12058 text": (
        lambda mark: made("keras.layers", "TextVectorization", vocabulary=__file__),
        "TextVectorization, which is none",
    ),
    "2025-12060 get_file extract": (
        lambda mark: made(
            "keras.utils",
            "get_file",
            origin="http://127.0.0.1:9/a.tar",
            extract=True,
            cache_dir=str(mark.parent),
        ),
        "asks for keras.utils.get_file",
    ),
    "2026-1462 saved model": (
        lambda mark: made("keras.layers", "TFSMLayer", filepath=str(mark.parent)),
        "TFSMLayer, which is none",
    ),
    "2026-12479 name": (
        lambda mark: made("keras.layers", "Identity", name=f"../{mark.name}"),
        "a name with a path",
    ),
    "2026-12479 back slashes": (
        lambda mark: made("keras.layers", "Identity", name="a\\..\\b"),
        "a name with a path",
    ),
    "2026-12481 safe_mode None": (lambda mark: lambda_layer(mark, safe_mode=None), LAMBDA),
    "2026-12481 inside a wrapper": (
        lambda mark: made("keras.layers", "TimeDistributed", layer=lambda_layer(mark)),
        LAMBDA,
    ),
    "function as initializer": (
        lambda mark: dense(kernel_initializer=program(mark)),
        "None.__lambda__",
    ),
    "torch": (
        lambda mark: made("keras.layers", "TorchModuleWrapper", module=""),
        "TorchModuleWrapper",
    ),
    "jax": (lambda mark: made("keras.layers", "JaxLayer", call_fn=program(mark)), "JaxLayer"),
    "operation that takes a function": (
        lambda mark: made("keras.src.ops.core", "Map", function=program(mark)),
        r"ops\.core\.Map",
    ),
    "module of another package": (lambda mark: made("subprocess", "Popen"), "subprocess.Popen"),
    "private module": (
        lambda mark: made("keras.src.utils.file_utils", "Path"),
        "file_utils.Path",
    ),
    "attribute of a module": (lambda mark: made("keras.layers", "os.system"), "os.system"),
    "class registered here": (of_the_user, "tests>Evil"),
    "old format": (
        lambda mark: {"class_name": "Lambda", "config": {"function": program(mark)}},
        "None.Lambda",
    ),
    "compiled inside": (
        lambda mark: {**dense(), "compile_config": {"loss": "mse"}},
        "compiles the Dense inside",
    ),
    "compiled inside by a function": (
        lambda mark: {**dense(), "compile_config": {"loss": program(mark)}},
        "compiles the Dense inside|None.__lambda__",
    ),
    "typespec": (
        lambda mark: dense(dtype={"class_name": "__typespec__", "config": []}),
        "None.__typespec__",
    ),
    "computes 10^12 numbers": (
        lambda mark: {**made("keras.src.ops.numpy", "Arange"), **called(0, 10**12)},
        "calls Arange on no tensor",
    ),
    "calls of Keras 2": (
        lambda mark: {**dense(), "inbound_nodes": [[["first", 0, 0, {}]]]},
        "on no tensor",
    ),
    "texts of 1 GB each": (
        lambda mark: dense(
            units={"class_name": "__numpy__", "config": {"value": ["a"] * 99, "dtype": "S999999999"}}
        ),
        "S999999999",
    ),
    "4 TB of weights": (lambda mark: dense(units=10**12), r"needs \d+ bytes of weights"),
    "more weights than stored": (lambda mark: dense(units=2000), r"needs \d+ bytes of weights"),
    "10 000 levels": (lambda mark: 10_000 * "[" + 10_000 * "]", "nested too deeply"),
    "100 levels": (lambda mark: deep(100), "more than 64 levels"),
    "billion laughs": (lambda mark: laughs(8), "more than 200000 objects"),
    "a loop of 10^9 steps": (
        lambda mark: made("keras.layers", "SimpleRNN", units=1, unroll=True),
        "unrolls a loop",
    ),
    "50 MB": (lambda mark: "a" * 50_000_000, "more than 4194304 bytes"),
    "kind that is no text": (lambda mark: {"class_name": ["Dense"], "config": {}}, "refused"),
    "module that is no text": (lambda mark: made({}, "Dense"), "refused"),
    "layer without a config": (lambda mark: {**dense(), "config": None}, "without a config"),
}


def with_layer(whole, layer) -> dict[str, bytes]:
    """The good file with another middle layer, called where that was unless it says how."""
    config = json.loads(whole["config.json"])
    layers = config["config"]["layers"]
    (place,) = (i for i, given in enumerate(layers) if given["name"] == "middle")
    if isinstance(layer, dict):
        nodes = copy.deepcopy(layers[place]["inbound_nodes"])
        layer = {"inbound_nodes": nodes, "name": "middle", **layer}
    layers[place] = "HERE"
    text = json.dumps(config).replace(
        '"HERE"', layer if isinstance(layer, str) and layer[0] == "[" else json.dumps(layer)
    )
    return {**whole, "config.json": text.encode()}


@contextlib.contextmanager
def watched(folder: pathlib.Path, monkeypatch):
    """Nothing may appear in the folder, nor may the process take 1 GB more than it has."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = sorted(folder.rglob("*"))
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**30, limits[1]))
    with process_events() as events:
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, limits)
    assert sorted(folder.rglob("*")) == before
    assert events == []


_EVENTS: list | None = None
_WATCHED = ("os.system", "subprocess.Popen", "socket.connect", "socket.getaddrinfo", "os.symlink")


def _heard(event, arguments):
    if _EVENTS is not None and (
        event in _WATCHED or (event == "open" and arguments[0] == __file__)
    ):
        _EVENTS.append((event, str(arguments)))


sys.addaudithook(_heard)


@contextlib.contextmanager
def process_events():
    """Commands, connections and secrets read meanwhile, as the interpreter itself reports them."""
    global _EVENTS
    _EVENTS = []
    try:
        yield _EVENTS
    finally:
        _EVENTS = None


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
def test_a_hostile_layer_is_refused(name, whole, evil, tmp_path, monkeypatch):
    layer, said = LAYERS[name]
    write(evil, with_layer(whole, layer(tmp_path / "mark")))
    refused(evil, said, monkeypatch)


def test_the_payload_of_these_files_works(whole, evil, tmp_path):
    write(evil, with_layer(whole, lambda_layer(tmp_path / "mark", output_shape=[2])))
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
