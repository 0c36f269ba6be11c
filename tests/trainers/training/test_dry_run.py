"""A dry run measures a few steps, tells what a run would be, and writes nothing."""

import os

import pytest

from pipelines import DataError
from tests.conftest import tiny_settings
from trainers.config.settings import resolve
from trainers.devices import loop
from trainers.errors import UsageError
from trainers.training import dry_run


def test_dry_run_of_a_built_in_set_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    text = dry_run.describe(resolve("mlp_binary", {"data_dir": str(data), "dry_run": True}))
    assert "parameters  6209" in text
    assert "learning_rate = 0.001" in text
    assert "12 an epoch, 1200 in all" in text
    assert "step not compiled by XLA, 3 steps per call" in text
    assert os.listdir(tmp_path) == []


def test_dry_run_downloads_nothing_for_a_set_that_is_made_of_another(tmp_path):
    changes = {"pipeline": "mnist_parity", "data_dir": str(tmp_path / "data"), "dry_run": True}
    with pytest.raises(DataError, match="not prepared, and a dry run downloads nothing"):
        dry_run.describe(resolve("mlp_binary", changes))
    assert os.listdir(tmp_path) == []


def test_batch_that_does_not_divide_is_refused_before_data_is_read(tmp_path):
    settings = tiny_settings("mlp_binary", tmp_path, batch_size=7)
    with pytest.raises(UsageError, match="batch_size=7 does not divide over 2 replicas"):
        dry_run.describe(settings.__class__(**{**vars(settings), "replicas": 2}))


@pytest.mark.usefixtures("_fake_data")
def test_dry_run_shows_the_sizes_that_the_rows_ask_for(tmp_path):
    text = dry_run.describe(resolve("mlp", {"workdir": str(tmp_path / "run"), "dry_run": True}))
    assert "batch_size = 16" in text  # for 72 random rows
    assert "steps       4 an epoch, 2000 in all" in text


@pytest.mark.usefixtures("_fake_data")
def test_chosen_batch_that_does_not_divide_is_refused_as_the_run_refuses_it(tmp_path):
    ways = {"way": ("accumulate",), "way_options": {"accumulate.steps": 3}}
    settings = resolve("mlp", {"workdir": str(tmp_path / "run"), "dry_run": True, **ways})
    with pytest.raises(UsageError, match="batch_size=16 does not divide over 1 replicas, in 3 par"):
        dry_run.describe(settings)


@pytest.mark.usefixtures("_fake_data")
def test_dry_run_takes_few_steps_whatever_a_call_would_take(tmp_path, monkeypatch):
    taken, step = [], loop.steps_to_take
    monkeypatch.setattr(loop, "steps_to_take", lambda *a: taken.append(step(*a)) or taken[-1])
    settings = tiny_settings("mlp_binary", tmp_path, steps_per_execution=5000)
    dry_run.describe(settings)
    assert 0 < sum(taken) <= 200


@pytest.mark.usefixtures("_fake_data")
def test_wrong_class_weights_are_refused_as_the_run_refuses_them(tmp_path):
    settings = tiny_settings("mlp_binary", tmp_path, class_weights=(1.0, 2.0, 3.0))
    with pytest.raises(UsageError, match="class_weights: expected 2 numbers, received 3"):
        dry_run.describe(settings)
