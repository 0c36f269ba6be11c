"""A new model and a new data set are one new file each: listed, tested and exported like ours."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

MODEL = '''
"""A stranger's model."""

import keras

import zoo
from zoo.spec import DataSpec, Recipe


@zoo.register(Recipe(pipeline="strange_squares", epochs=1), name="stranger_net", tiny={"width": 64})
def stranger_net(spec: DataSpec, *, width: int = 16) -> keras.Model:
    """One hidden layer, by somebody else."""
    inputs = zoo.keras_inputs(spec)
    x = keras.layers.Dense(width, activation="relu", name="hidden")(inputs["position"])
    logits = keras.layers.Dense(spec.num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="stranger_net")
'''
DATA_SET = '''
"""Points in a square, by which quarter they are in."""

import tensorflow as tf

from pipelines import Pipeline
from zoo.spec import Field


def pipeline() -> Pipeline:
    """Two coordinates a point."""
    return Pipeline(
        name="strange_squares",
        source="strange_squares:1.0.0",
        splits={"train": "train", "validation": "validation", "test": "test"},
        task="classification",
        target="quarter",
        class_names=("a", "b", "c", "d"),
        raw={"x": Field((), "float32"), "y": Field((), "float32")},
        preprocess=lambda raw: {"position": tf.stack([raw["x"], raw["y"]], axis=1)},
    )
'''


@pytest.mark.slow
def test_one_file_each_and_no_other_edit(tmp_path):
    for package in ("zoo", "pipelines", "trainers", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(pathlib.Path(ROOT, package), tmp_path / package, ignore=ignored)
    shutil.copy(pathlib.Path(ROOT, "pyproject.toml"), tmp_path)
    (tmp_path / "zoo" / "stranger.py").write_text(MODEL)
    (tmp_path / "pipelines" / "strange_squares.py").write_text(DATA_SET)

    def python(*words: str) -> str:
        variables = {**os.environ, "PYTHONPATH": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    listing = python("-m", "trainers.run", "--list")
    assert "stranger_net" in listing
    assert "One hidden layer, by somebody else." in listing
    assert "Points in a square, by which quarter they are in." in listing
    files = ("conformance/test_models", "conformance/test_pipelines", "conformance/test_runs")
    files = (*files, "trainers/serving/test_export", "test_architecture")
    chosen = "(stranger or strange_squares) and not died"
    words = ("-q", "-p", "no:cacheprovider", "-k", chosen, *(f"tests/{name}.py" for name in files))
    told = python("-m", "pytest", *words)
    assert "passed" in told
    assert "failed" not in told
    passed = int(told.rsplit(" passed", 1)[0].split()[-1])
    assert passed >= 25, told
