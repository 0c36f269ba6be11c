"""Finished runs that the commands are asked about."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import tiny_settings, use_fake_data
from trainers.store import exports
from trainers.training import run


@pytest.fixture(scope="session")
def finished_runs(tmp_path_factory):
    """A run of images and a run of columns, on random rows."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        use_fake_data(patch)
        run.run(tiny_settings("cifar_cnn", folder / "cifar_cnn", epochs=1))
        # Random labels cannot be learned: the first epoch is the best, and not the last.
        changes = {"epochs": 3, "learning_rate": 0.1, "schedule": "constant", "l2": 0.0}
        run.run(tiny_settings("mlp_binary", folder / "mlp_binary", **changes))
    return folder


def command(module, *arguments: str) -> list:
    """What a command prints, as JSON lines."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", out)
        module.main([module.__name__, *arguments])
    return [json.loads(line) for line in out.getvalue().splitlines()]


def served(folder, raw, version=None) -> dict[str, np.ndarray]:
    """What the newest export of a run answers, or another version of it."""
    model = tf.saved_model.load(str(version or exports.newest(folder)))
    outputs = model.signatures["serving_default"](**{k: tf.constant(v) for k, v in raw.items()})
    return {key: value.numpy() for key, value in outputs.items()}
