"""The example request is what TensorFlow Serving's REST interface takes."""

import base64
import json

import numpy as np

from trainers.serving.request import request


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
