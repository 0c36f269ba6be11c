"""An example request beside the export, as TensorFlow Serving's REST interface takes it."""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np


def request(signature: str, arguments: Mapping[str, np.ndarray], rows: int = 1) -> dict[str, Any]:
    """The first rows of a signature's arguments as JSON."""
    instances = [
        {name: _in_json(column[i]) for name, column in arguments.items()} for i in range(rows)
    ]
    return {"signature_name": signature, "instances": instances}


def _in_json(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value.tolist()
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}  # as TensorFlow Serving has it
