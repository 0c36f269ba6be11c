"""The same command gives the same bits; --deterministic refuses what could not."""

import json

import pytest

import zoo
from tests.conftest import run_python, tiny_settings
from trainers import errors
from trainers.devices import precision as machine
from trainers.store import checkpoint
from trainers.training import run


def bits_of(folder) -> dict[str, bytes]:
    arrays = checkpoint.load_newest(folder / "checkpoints").arrays
    return {key: array.tobytes() for key, array in arrays.items()}


@pytest.mark.slow
@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_another_seed_gives_other_bits_and_the_same_seed_the_same(tmp_path):
    for place, seed in (("one", 0), ("two", 0), ("three", 1)):
        run.run(tiny_settings("cifar_cnn", tmp_path / place, seed=seed, epochs=1))
    one, two, three = (bits_of(tmp_path / place) for place in ("one", "two", "three"))
    assert one == two
    assert one["model/conv1/kernel"] != three["model/conv1/kernel"]


@pytest.mark.usefixtures("_fake_data", "_unchecked_export")
def test_a_run_keeps_to_the_mode_that_it_began_in(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(machine, "refuse_chance", lambda: asked.append(True))
    run.run(tiny_settings("mlp_binary", tmp_path, deterministic=True))
    assert asked
    with pytest.raises(errors.ArtefactError, match="deterministic True -> False"):
        run.run(tiny_settings("mlp_binary", tmp_path))


def test_chance_is_refused_by_tensorflow_itself():
    program = (
        "import tensorflow as tf\n"
        "from trainers.devices import precision as machine\n"
        "machine.refuse_chance()\n"
        "tf.random.normal([2])\n"
    )
    done = run_python("-c", program, check=False)
    assert done.returncode == 1
    assert "Random ops require a seed to be set when determinism is enabled" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.names())
def test_every_model_trains_with_deterministic_kernels_alone(name, tmp_path):
    """In one process each, twice: no operation is refused, and both end with the same bits."""
    program = (
        "import sys\n"
        "from tests.conftest import fake_rows, tiny_settings\n"
        "from pipelines.storage import tfds as source\n"
        "from trainers.serving import export\nfrom trainers.training import run\n"
        "source.load = lambda p, data_dir=None: (p, fake_rows(p))\n"
        "export._compare = lambda *_: None\n"
        "for place in ('a', 'b'):\n"
        "    run.run(tiny_settings(sys.argv[1], f'{sys.argv[2]}/{place}', deterministic=True))\n"
    )
    run_python("-c", program, name, str(tmp_path))
    assert bits_of(tmp_path / "a") == bits_of(tmp_path / "b")
    assert json.loads((tmp_path / "a" / "run.json").read_text())["identity"]["deterministic"]
