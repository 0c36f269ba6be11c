"""Layers for a config.json that do something else than compute, with payloads that leave a mark."""

import base64
import copy
import json
import marshal
import pathlib
import zipfile

import keras

LAMBDA = "keras.layers.Lambda, which is none"


def program(mark: pathlib.Path) -> dict:
    """A function as Keras writes it: its code, which leaves a mark when it is called."""
    code = compile(f"lambda x: [open({str(mark)!r}, 'w').close(), x][1]", "evil", "eval")
    value = {"code": base64.b64encode(marshal.dumps(code.co_consts[0])).decode()}
    return {"class_name": "__lambda__", "config": {**value, "defaults": None, "closure": None}}


def made(module, kind: str, **config) -> dict:
    return {"module": module, "class_name": kind, "config": config, "registered_name": None}


def function(module: str, name: str) -> dict:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def lambda_layer(mark, **more) -> dict:
    return made("keras.layers", "Lambda", name="middle", function=program(mark), **more)


def dense(**changes) -> dict:
    return made("keras.layers", "Dense", **{"name": "middle", "units": 2, **changes})


def wide(units: int) -> dict:
    """A model inside, from two numbers to two, with so many between them."""
    start = made("keras.layers", "InputLayer", name="start", batch_shape=[None, 2])
    layers = [start, dense(name="wide", units=units), dense(name="narrow")]
    return made("keras", "Sequential", name="middle", layers=layers)


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
        lambda mark: made(
            "keras.layers", "StringLookup", name="middle", vocabulary=str(mark.with_name("secret"))
        ),
        "StringLookup, which is none",
    ),
    "2025-12058 vocabulary URL": (
        lambda mark: made("keras.layers", "IntegerLookup", vocabulary="http://127.0.0.1:9/v"),
        "IntegerLookup, which is none",
    ),
    "2025-12058 text": (
        lambda mark: made(
            "keras.layers", "TextVectorization", vocabulary=str(mark.with_name("secret"))
        ),
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
        lambda mark: made("keras.layers", "TorchModuleWrapper", name="middle"),
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
    "function of a known module": (
        lambda mark: dense(kernel_initializer=made("keras.initializers", "deserialize", config={})),
        "keras.initializers.deserialize",
    ),
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
        "compiles the Dense inside",
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
            units={
                "class_name": "__numpy__",
                "config": {"value": ["a"] * 99, "dtype": "S999999999"},
            }
        ),
        "S999999999",
    ),
    "4 TB of weights": (lambda mark: wide(10**12), r"needs \d+ bytes of weights"),
    "more weights than stored": (lambda mark: wide(2000), r"needs \d+ bytes of weights"),
    "10 000 levels": (lambda mark: 10_000 * "[" + 10_000 * "]", "nested too deeply"),
    "100 levels": (lambda mark: deep(100), "more than 64 levels"),
    "billion laughs": (lambda mark: laughs(8), "more than 200000 objects"),
    "a loop of 10^9 steps": (
        lambda mark: made("keras.layers", "SimpleRNN", units=1, unroll=True),
        "unrolls a loop",
    ),
    "our layer under a name of Keras's": (
        lambda mark: {**made("zoo.rnn", "Recurrence", cell="rnn", units=2), "registered_name": "a"},
        "asks for 'a' as Recurrence",
    ),
    "another name of our module": (lambda mark: made("zoo.rnn", "CELLS"), "none of the known"),
    "50 MB": (lambda mark: "a" * 50_000_000, "more than 4194304 bytes"),
    "kind that is not a text": (
        lambda mark: {"class_name": ["Dense"], "config": {}},
        r"asks for None.\['Dense'\]",
    ),
    "module that is not a text": (lambda mark: made({}, "Dense"), r"asks for {}.'Dense'"),
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


def write(path: pathlib.Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
