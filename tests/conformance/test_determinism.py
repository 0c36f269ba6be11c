"""The same command gives the same bits; --deterministic refuses what could not."""

import json

import pytest

from tests.conformance.names import heavy
from tests.conftest import run_python, tiny_settings
from trainers import errors
from trainers.devices import precision
from trainers.store import checkpoint
from trainers.training import run


def bits_of(folder) -> dict[str, bytes]:
    arrays = checkpoint.load_newest(folder / "checkpoints").arrays
    return {key: array.tobytes() for key, array in arrays.items()}


@pytest.mark.slow
@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_run_gives_the_same_bits_for_the_same_seed_alone(tmp_path):
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        run.run(tiny_settings("cifar_cnn", tmp_path / name, seed=seed, epochs=1))
    one, two, three = (bits_of(tmp_path / name) for name in ("one", "two", "three"))
    assert one == two
    assert one["model/conv1/kernel"] != three["model/conv1/kernel"]


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_run_keeps_the_mode_that_it_began_in(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(precision, "require_determinism", lambda: asked.append(True))
    run.run(tiny_settings("mlp_binary", tmp_path, deterministic=True))
    assert asked
    with pytest.raises(errors.ArtefactError, match="deterministic True -> False"):
        run.run(tiny_settings("mlp_binary", tmp_path))


def test_require_determinism_lets_tensorflow_refuse():
    program = (
        "import tensorflow as tf\n"
        "from trainers.devices import precision\n"
        "precision.require_determinism()\n"
        "tf.random.normal([2])\n"
    )
    done = run_python("-c", program, check=False)
    assert done.returncode == 1
    assert "Random ops require a seed to be set when determinism is enabled" in done.stderr


_TWICE = """
import json, pathlib, sys
import pytest
from tests.conformance.names import Case
from tests.conftest import unchecked_exports, use_fake_data
from trainers.training import run

case = Case(sys.argv[1], json.loads(sys.argv[2]))
with pytest.MonkeyPatch.context() as patch:
    use_fake_data(patch)
    unchecked_exports(patch)
    for name in ("a", "b"):
        run.run(case.settings(pathlib.Path(sys.argv[3], name), deterministic=True))
"""


@pytest.mark.slow
@pytest.mark.parametrize("case", heavy())
def test_run_with_deterministic_kernels_gives_the_same_bits(case, tmp_path):
    """In one process, twice: no operation is refused."""
    run_python("-c", _TWICE, case.model, json.dumps(case.changes), str(tmp_path))
    assert bits_of(tmp_path / "a") == bits_of(tmp_path / "b")
    assert json.loads((tmp_path / "a" / "run.json").read_text())["identity"]["deterministic"]
