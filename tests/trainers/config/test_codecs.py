"""Texts of flags and the values that they mean, there and back, for each kind of value."""

import pathlib

import numpy as np
import pytest

from trainers.config.codecs import CODECS

PAIRS = [
    ("bool", "true", True),
    ("int", "-7", -7),
    ("float", "0.25", 0.25),
    ("float", "1e-06", 1e-6),
    ("str", "a,b=c", "a,b=c"),
    ("options", "", {}),
    ("options", "filters=(4, 6, 8),units=9", {"filters": (4, 6, 8), "units": 9}),
    ("options", "accumulate.steps=4,kind='relu'", {"accumulate.steps": 4, "kind": "relu"}),
    ("options", "ignore='a,b'", {"ignore": "a,b"}),
    ("options", "ignore='a=1,b=2',keep='c'", {"ignore": "a=1,b=2", "keep": "c"}),
    ("options", "labels=('a', 'b=c')", {"labels": ("a", "b=c")}),
    ("factors", "conv1=0.0,dense/kernel=2.5", (("conv1", 0.0), ("dense/kernel", 2.5))),
    ("factors", "a=0.0,(b|c)=1e-05,conv[12]=2.0", (("a", 0.0), ("(b|c)", 1e-5), ("conv[12]", 2.0))),
    ("factors", "a{1,2}=0.5,(?=b).*=2.0", (("a{1,2}", 0.5), ("(?=b).*", 2.0))),
    ("class_weights", "1.0,2.5", (1.0, 2.5)),
    ("class_weights", "balanced", "balanced"),
    ("names", "private,accumulate", ("private", "accumulate")),
    ("patterns", "conv[12],logits", ("conv[12]", "logits")),
    ("paths", "runs/a,model.keras", ("runs/a", "model.keras")),
    ("paths", "", ()),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "value"), PAIRS)
def test_codec_parses_accepts_and_writes(kind, text, value):
    codec = CODECS[kind]
    assert codec.accept(codec.parse(text)) == value
    assert codec.write(value) == text


def test_options_take_text_without_quotes():
    parse = CODECS["options"].parse
    assert parse("activation=relu,units=9") == {"activation": "relu", "units": 9}
    assert parse("ignore=a,b,task=binary") == {"ignore": "a,b", "task": "binary"}
    with pytest.raises(ValueError, match="name=value"):
        parse("units")


def test_paths_that_exist_keep_their_commas(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b").mkdir()
    (tmp_path / "b").mkdir()
    parse = CODECS["paths"].parse
    assert parse("a,b") == ("a,b",)
    assert parse("b,a,b,c.keras") == ("b", "a,b", "c.keras")


def test_values_from_python_and_json_are_those_of_flags():
    accept = {kind: codec.accept for kind, codec in CODECS.items()}
    assert accept["options"]({"widths": [4, [5]], "rate": np.float32(0.5)}) == {
        "widths": (4, (5,)),
        "rate": 0.5,
    }
    assert accept["options"](None) == {}
    assert accept["factors"]([["conv1", 0]]) == (("conv1", 0.0),)
    assert accept["class_weights"]([1, 2]) == (1.0, 2.0)
    assert accept["class_weights"]("") == ()
    assert accept["paths"]("runs/a,b") == ("runs/a,b",)  # as runs before had it: one path
    assert accept["paths"]("") == ()
    assert accept["paths"](["runs/a", pathlib.Path("b")]) == ("runs/a", "b")
    assert accept["str"](pathlib.Path("a/b")) == "a/b"
    assert accept["float"](3) == 3.0


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("bool", 1),
        ("int", True),
        ("int", 2.5),
        ("int", "3"),
        ("int", None),
        ("float", "1"),
        ("float", False),
        ("str", ["a"]),
        ("options", "abc"),
        ("options", {1: 2}),
        ("factors", [1]),
        ("factors", [["conv1", -1.0]]),
        ("factors", [["(", 1.0]]),
        ("factors", [[1, 2]]),
        ("class_weights", 5),
        ("class_weights", "even"),
        ("class_weights", [1.0, -1.0]),
        ("class_weights", [float("nan")]),
        ("names", [1]),
        ("patterns", ["("]),
    ],
)
def test_wrong_values_are_refused(kind, value):
    with pytest.raises((TypeError, ValueError)):
        CODECS[kind].accept(value)


def test_patterns_keep_the_commas_within_them():
    text = "a{1,2},b[,;],(c,d)"
    patterns = CODECS["patterns"].parse(text)
    assert patterns == ("a{1,2}", "b[,;]", "(c,d)")
    assert CODECS["patterns"].parse(CODECS["patterns"].write(patterns)) == patterns
