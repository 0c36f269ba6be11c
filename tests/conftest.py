"""Every test runs with two logical CPU devices, a fixed seed, no network and no GPU."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if os.environ.get("ZOO_TEST_GPU") != "1":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

import atexit
import dataclasses
import functools
import pathlib
import shutil
import subprocess
import sys
import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import pipelines
import zoo
from pipelines import Pipeline, Rows
from pipelines.core import specs
from pipelines.storage import tfds as source
from trainers.config import settings as settings_module
from trainers.serving import export
from zoo.spec import Field

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_FILES = pathlib.Path(tempfile.mkdtemp(prefix="zoo_tests_"))
atexit.register(shutil.rmtree, _FILES, True)


def _small_image_folder() -> str:
    """Three images in each of two folders, as users have them."""
    place = _FILES / "images"
    for i, name in enumerate(("day", "night")):
        (place / name).mkdir(parents=True)
        for j in range(3):
            Image.new("RGB", (20 + j, 30), (100 * i, 40 * j, 7)).save(place / name / f"{j}.png")
    return str(place)


def _small_table() -> str:
    """Words, numbers, categories and dates."""
    lines = [
        f"n{i},{i % 7}.5,{['cat', 'dog'][i % 2]},20{i + 10}-05-01,{i % 2}\n" for i in range(40)
    ]
    place = _FILES / "pets.csv"
    place.write_text("name,weight,kind,born,target\n" + "".join(lines))
    return str(place)


def _small_texts() -> str:
    """A label, a tab and a text in each line, in two languages."""
    place = _FILES / "texts.tsv"
    lines = ["good\tthe film was good", "bad\t电影不好", "good\t好看的电影", "bad\tdull"]
    place.write_text("\n".join(lines), encoding="utf-8")
    return str(place)


# A data set whose options cannot all be left out, with the options to test it with.
OPTIONS = {
    "csv": {"data_files": _small_table(), "target": "target"},
    "image_folder": {"data_files": _small_image_folder(), "image_size": 20, "padding": 1},
    "text_lines": {"data_files": _small_texts()},
    "tfds_image": {"dataset": "shapes"},
    "tfds_table": {"dataset": "breast_cancer", "data_dir": str(_FILES)},
    "tfds_text": {"dataset": "imdb_reviews"},
}
_PAIR = Field((2,), "float32")
NUM_ROWS = {"train": 70, "validation": 21, "test": 13, "all": 104}

_CPU = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(_CPU, [tf.config.LogicalDeviceConfiguration()] * 2)


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def built_in_data(tmp_path_factory) -> str:
    """A data folder in which the built-in sets are prepared once."""
    return str(tmp_path_factory.mktemp("tensorflow_datasets"))


def fake_rows(pipeline: Pipeline, seed: int = 0) -> dict[str, Rows]:
    """Random rows of the fields that the pipeline declares."""
    random = np.random.default_rng(seed)
    fields = {**pipeline.raw, pipeline.target: specs.target(pipeline)}
    return {
        split: Rows(
            NUM_ROWS[split],
            fields,
            pipeline.target,
            table={
                name: _fake_column(random, NUM_ROWS[split], field, len(pipeline.class_names))
                for name, field in fields.items()
            },
        )
        for split in pipeline.splits
    }


def _fake_column(random, num_rows: int, field: Field, num_classes: int) -> np.ndarray:
    shape = (num_rows, *(size or 24 for size in field.shape))
    if field.dtype == "uint8":
        return random.integers(0, 256, shape, np.uint8)
    if field.dtype == "string":
        words = np.array([b"the", b"film", b"was", b"good", b"bad", "好".encode(), b"", b"\xff"])
        texts = [b" ".join(random.choice(words, random.integers(0, 30))) for _ in range(num_rows)]
        return np.array(texts, object)
    if field.dtype == "int64":
        return random.integers(0, num_classes, shape)
    return random.normal(3.0, 2.0, shape).astype(field.dtype)


@functools.cache
def fake_pipeline(name: str, **options) -> Pipeline:
    """The named pipeline over random rows, prepared."""
    pipeline = pipelines.get(name, **OPTIONS.get(name, {}), **options)
    return pipelines.prepared(pipeline, fake_rows(pipeline))


def made_pipeline(
    task: str,
    *,
    names: tuple[str, ...] = ("red", "green", "blue"),
    num_rows: int = 60,
    field: Field = _PAIR,
) -> Pipeline:
    """A prepared pipeline of pairs of numbers, with targets that a linear model can find."""
    random = np.random.default_rng(0)
    weights = random.normal(size=(2, len(names)))
    names = {"binary": names[:2], "regression": ()}.get(task, names)
    rows = {}
    for split in ("train", "validation", "test"):
        x = random.normal(0, 2, (num_rows, *field.shape))
        scores = x @ weights
        target = {
            "classification": scores.argmax(axis=1),
            "binary": (scores[:, 0] > 0).astype(np.int64),
            "multi_label": (scores > 0).astype(np.float32),
            "regression": (1000 + scores[:, 0]).astype(np.float32),
        }[task]
        table = {"x": x.astype(field.dtype), "label": target}
        rows[split] = Rows(num_rows, {"x": field, "label": None}, "label", table=table)
    pipeline = Pipeline(
        name="made",
        source="made:1.0.0",
        splits={split: split for split in rows},
        task=task,
        target="label",
        class_names=names,
        raw={"x": field},
        preprocess=lambda raw: {"x": tf.identity(raw["x"])},
        rows=rows,
    )
    statistics = {"target_mean": np.float32(1000), "target_deviation": np.float32(3)}
    return dataclasses.replace(pipeline, state=statistics if task == "regression" else {})


@pytest.fixture
def _fake_data(monkeypatch):
    """Lets runs load random rows in place of stored ones."""
    monkeypatch.setattr(source, "load", lambda p, data_dir=None: (p, fake_rows(p)))


@pytest.fixture
def _unchecked_export(monkeypatch):
    """Runs that are not about the export save the process that reloads it, three seconds each."""
    monkeypatch.setattr(export, "_compare", lambda *_: None)


def tiny_settings(model: str, workdir, **changes):
    """Settings of a run that takes seconds: the tiny size, one epoch, small batches."""
    entry = zoo.get(model)
    given = {"epochs": 2, "batch_size": 16, "hparams": dict(entry.tiny), "workdir": str(workdir)}
    given["report_baseline"] = False
    if entry.recipe.pipeline in OPTIONS:
        given["pipeline_options"] = OPTIONS[entry.recipe.pipeline]
    return settings_module.resolve(model, given | changes)


def run_python(
    *words: str, cwd=None, check: bool = True, timeout: float | None = None, **environment: str
):
    """A process of this interpreter that finds our packages; its text output."""
    variables = {**os.environ, "PYTHONPATH": ROOT, **environment}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    if check and done.returncode:
        raise AssertionError(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def run_stranger(program: str, *words, cwd) -> str:
    """What a program prints that finds none of our packages, as on a server."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, "-I", "-c", program, *map(str, words)]
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def replaced(pipeline: Pipeline, **changes) -> Pipeline:
    """The pipeline with some fields changed."""
    return dataclasses.replace(pipeline, **changes)
