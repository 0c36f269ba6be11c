"""Requests as TensorFlow Serving takes them: the example, and values that a field cannot hold."""

import base64
import json
import os

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from trainers.errors import UsageError
from trainers.serving.request import LARGEST_REQUEST, instances, request, tensor
from zoo.spec import Field

BYTE, NUMBER, TEXT = Field((2,), "uint8"), Field((), "float32"), Field((), "string")
FIELDS = {"a": NUMBER, "b": TEXT}


def test_rows_become_instances():
    columns = {
        "x": np.array([[1.5, 2.0], [3.0, 4.0]], np.float32),
        "n": np.array([7, 8], np.uint8),
        "text": np.array(["好".encode(), b"b"], object),
    }
    found = json.loads(json.dumps(request("serving_default", columns, rows=2)))
    assert found["signature_name"] == "serving_default"
    assert found["instances"] == [
        {"x": [1.5, 2.0], "n": 7, "text": "好"},
        {"x": [3.0, 4.0], "n": 8, "text": "b"},
    ]


def test_bytes_that_are_not_text_are_base64():
    found = request("denoise", {"text": np.array([b"\xff\x00"], object)})
    assert base64.b64decode(found["instances"][0]["text"]["b64"]) == b"\xff\x00"


@pytest.mark.parametrize(
    ("value", "field", "expected"),
    [
        ("[0, 255]", BYTE, np.array([0, 255], np.uint8)),
        ("[-32768, 7]", Field((None,), "int16"), np.array([-32768, 7], np.int16)),
        ("[[1], [2]]", Field((2, 1), "int64"), np.array([[1], [2]])),
        ("1", NUMBER, np.float32(1)),
        ("1e-3", NUMBER, np.float32(0.001)),
        ("NaN", NUMBER, np.float32("nan")),
        ("-3.4e38", NUMBER, np.float32(-3.4e38)),
        ("[]", Field((None,), "float32"), np.zeros(0, np.float32)),
        ("[true, false]", Field((2,), "bool"), np.array([True, False])),
        ('"été"', TEXT, np.array("été".encode(), object)),
        ('{"b64": "/w=="}', TEXT, np.array(b"\xff", object)),
        ('["a", {"b64": ""}]', Field((2,), "string"), np.array([b"a", b""], object)),
    ],
)
def test_tensor_has_the_type_and_shape_of_its_field(value, field, expected):
    found = tensor("f", json.loads(value), field)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype


def test_a_server_takes_for_bytes_what_no_byte_holds():
    """What docs/requests.md says of others, so that it is corrected when TensorFlow changes."""
    message = tensor_pb2.TensorProto(dtype=types_pb2.DT_UINT8, int_val=[300, -1])
    message.tensor_shape.dim.add(size=2)
    sent = tf.io.parse_tensor(message.SerializeToString(), tf.uint8)  # as TensorFlow Serving does
    for found in (sent, tf.constant([300, -1], tf.uint8), tf.cast([300, -1], tf.uint8)):
        assert found.numpy().tolist() == [44, 255]
    assert tf.cast([0.5, 1.7, float("nan")], tf.uint8).numpy().tolist() == [0, 1, 0]


WHOLE = "expected whole numbers 0 to 255"


@pytest.mark.parametrize(
    ("value", "field", "message"),
    [
        ("[0, 300]", BYTE, rf"f\[1\] is 300, {WHOLE}$"),
        ("[-1, 0]", BYTE, rf"f\[0\] is -1, {WHOLE}$"),
        ("[0, 1.7]", BYTE, rf"f\[1\] is 1.7, {WHOLE}$"),
        ("[0, 1.0]", BYTE, rf"f\[1\] is 1.0, {WHOLE}$"),
        ("[0, NaN]", BYTE, rf"f\[1\] is NaN, {WHOLE}$"),
        ("[0, Infinity]", BYTE, rf"f\[1\] is Infinity, {WHOLE}$"),
        ("[0, true]", BYTE, rf"f\[1\] is true, {WHOLE}$"),
        ('[0, "1"]', BYTE, rf"f\[1\] is '1', {WHOLE}$"),
        ("[0, null]", BYTE, rf"f\[1\] is null, {WHOLE}$"),
        ("[0, {}]", BYTE, rf"f\[1\] is an object, {WHOLE}$"),
        ("[0, 0.25]", BYTE, rf"f\[1\] is 0.25, {WHOLE}; these look like fractions of 0 to 1"),
        ("[[0, 1], [2, 256]]", Field((2, 2), "uint8"), r"f\[1, 1\] is 256"),
        ("7", BYTE, r"f has shape \(\), expected \(2,\)"),
        ("[1, 2, 3]", BYTE, r"f has shape \(3,\), expected \(2,\)"),
        ("[[1], [2, 3]]", Field((2, None), "uint8"), "f has lists of different lengths"),
        ("[[1], 2]", Field((2, None), "uint8"), "f has values beside lists"),
        (f"{'[' * 900}1{']' * 900}", BYTE, r"f has shape \(1, 1, .*…"),
        ('"1"', NUMBER, r"f is '1', expected numbers up to 3.4e\+38, or NaN for one that is miss"),
        ("Infinity", NUMBER, "f is Infinity, expected numbers"),
        ("1e39", NUMBER, r"f is 1e\+39, expected numbers"),
        ("9" * 400, NUMBER, "f is 99999.*…9999999999999, expected numbers"),
        ("true", NUMBER, "f is true, expected numbers"),
        ("[1]", NUMBER, r"f has shape \(1,\), expected \(\)"),
        ("1", Field((), "bool"), "f is 1, expected true or false"),
        ("2", TEXT, "f is 2, expected string"),
        ('{"b64": "?"}', TEXT, "f is an object: "),
        ('{"b64": 1}', TEXT, "f is an object: "),
        ('{"b64": "", "c": 1}', TEXT, "f is an object, expected string"),
        ('"\\ud800"', TEXT, r"f is '\\ud800': 'utf-8' codec can't encode"),
    ],
)
def test_tensor_refuses_what_the_field_cannot_hold(value, field, message):
    with pytest.raises(UsageError, match=message):
        tensor("f", json.loads(value), field)


def ask(path, content: str | bytes) -> list:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(instances(path, FIELDS, "serving_default"))


def test_instances_are_numbered_and_in_the_order_of_the_fields(tmp_path):
    content = '{"instances": [{"b": "x", "a": 1}, {"a": NaN, "b": ""}], "signature_name": '
    content += '"serving_default"}'
    for encoded in (content.encode(), content.encode("utf-8-sig"), content.encode("utf-16")):
        (first, values), (second, _) = ask(tmp_path / "r.json", encoded)
        assert (first, second) == (f"{tmp_path}/r.json:0", f"{tmp_path}/r.json:1")
        assert values == (1, b"x")


def test_instances_are_those_of_a_request_of_our_own(tmp_path):
    columns = {"a": np.float32([2.5, 3]), "b": np.array([b"\xff", b"y"], object)}
    found = ask(tmp_path / "r.json", json.dumps(request("serving_default", columns, rows=2)))
    assert [values for _, values in found] == [(2.5, b"\xff"), (3, b"y")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not a request: Expecting value"),
        ("[]", r"is not a request: expected \{'instances': "),
        ("7", "is not a request: expected"),
        ('{"inputs": {}}', "is not a request: expected"),
        ('{"instances": {"a": 1}}', "is not a request: expected"),
        ('{"instances": []}', "is not a request: it has no instances"),
        ('{"instances": [], "instances": []}', "is not a request: 'instances' is twice"),
        ('{"instances": [1]}', r"json:0 is 1, expected \{a, b\}"),
        ('{"instances": [[1]]}', r"json:0 is a list, expected \{a, b\}"),
        ('{"instances": [null]}', r"json:0 is null, expected \{a, b\}"),
        ('{"instances": [{"a": 1}]}', "json:0: b missing; the model takes a, b"),
        ('{"instances": [{"a": 1, "b": null}]}', "json:0: b missing"),
        ('{"instances": [{"a": 1, "b": "", "c\u202e": 1}]}', r"json:0: 'c\\u202e' not taken"),
        ('{"instances": [{"a": 1, "b": "", "a": 2}]}', "'a' is twice in one object"),
        ('{"instances": [{"a": 1, "b": ""}], "signature_name": "x"}', "names the signature 'x'"),
        ('{"instances": [{"a": 1, "b": ""}], "signature_name": []}', "names the signature a list"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"a":' * 100_000, "is nested too deeply"),
        (b'{"instances": [{"a": 1, "b": "\xff"}]}', "is not a request: 'utf-8' codec"),
        (f'{{"instances": [{{"a": {"9" * 5000}, "b": ""}}]}}', "is not a request: Exceeds"),
    ],
)
def test_instances_refuse_what_is_not_a_request(content, message, tmp_path):
    with pytest.raises(UsageError, match=message) as caught:
        ask(tmp_path / "r.json", content)
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_instances_refuse_a_file_that_is_too_large_without_reading_it_whole(tmp_path):
    path = tmp_path / "r.json"
    path.touch()
    os.truncate(path, 60 * 2**30)  # takes no room on disk
    with pytest.raises(UsageError, match=f"has more than {LARGEST_REQUEST} bytes"):
        list(instances(path, FIELDS, "serving_default"))
