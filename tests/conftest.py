"""Every test runs with two logical CPU devices, a fixed seed, no network and no GPU."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if os.environ.get("ZOO_TEST_GPU") != "1":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

import atexit
import dataclasses
import functools
import pathlib
import re
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
from pipelines import Form, Pipeline, Rows, Schema
from pipelines.core.prepared import Prepared, prepare
from pipelines.storage import builders, tfds
from trainers.config import settings as settings_module
from trainers.serving import compare
from zoo.spec import Field

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_FILES = pathlib.Path(tempfile.mkdtemp(prefix="zoo_tests_"))
atexit.register(shutil.rmtree, _FILES, True)


def _small_image_folder() -> str:
    """Forty images in each of two folders, as users have them."""
    folder = _FILES / "images"
    for i, name in enumerate(("day", "night")):
        (folder / name).mkdir(parents=True)
        for j in range(40):
            picture = Image.linear_gradient("L").resize((20 + j % 3, 30)).convert("RGB")
            picture.paste((100 * i, 6 * j, 7), (0, j % 20, 9, 30))
            picture.save(folder / name / f"{j}.png")
    return str(folder)


def _small_table_of_images() -> str:
    """The same eighty images by name, with their class."""
    lines = [f"images/{c}/{i}.png,{c}\n" for c in ("day", "night") for i in range(40)]
    path = _FILES / "images.csv"
    path.write_text("file,light\n" + "".join(lines))
    return str(path)


def _small_table() -> str:
    """Words, numbers, categories and dates."""
    lines = [
        f"n{i},{i % 7}.5,{['cat', 'dog'][i % 2]},20{i + 10}-05-01,{i % 2}\n" for i in range(40)
    ]
    path = _FILES / "pets.csv"
    path.write_text("name,weight,kind,born,target\n" + "".join(lines))
    return str(path)


def _small_points() -> str:
    """Points in a square: how far they are from its corner, and where they are as two flags."""
    random, lines = np.random.default_rng(0), ["x,y,far,right,upper\n"]
    for x, y in random.random((100, 2)):
        lines.append(f"{x:.4f},{y:.4f},{np.hypot(x, y):.4f},{int(x > 0.5)},{int(y > 0.5)}\n")
    place = _FILES / "points.csv"
    place.write_text("".join(lines))
    return str(place)


def _small_texts() -> str:
    """A label, a tab and a text in each line, in two languages."""
    path = _FILES / "texts.tsv"
    texts = ["good\tthe film was good", "bad\t电影不好", "good\t好看的电影", "bad\tdull"]
    lines = [f"{texts[i % 4]} {'and so on ' * (i % 7)}{i}" for i in range(80)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def _small_text_folder() -> str:
    """Forty texts in each of two folders, a file each."""
    folder = _FILES / "reviews"
    for i, name in enumerate(("bad", "good")):
        (folder / name).mkdir(parents=True)
        for j in range(40):
            text = f"{['dull', '好看'][i]}\n\n{'and so on ' * (j % 7)}{j}"
            (folder / name / f"{j}.txt").write_text(text, encoding="utf-8")
    return str(folder)


def _small_table_of_texts() -> str:
    """Eighty texts, a line end in some, with their class beside them."""
    lines = [
        f'{i},"{["dull", "好看"][i % 2]},\n{"and so on " * (i % 7)}{i}",{["bad", "good"][i % 2]}\n'
        for i in range(80)
    ]
    path = _FILES / "reviews.csv"
    path.write_text("id,review,mood\n" + "".join(lines), encoding="utf-8")
    return str(path)


# A data set whose options cannot all be left out, with the options to test it with.
OPTIONS = {
    "csv": {"data_files": _small_table(), "target": "target"},
    "image_folder": {"data_files": _small_image_folder(), "image_size": 20, "padding": 1},
    "image_table": {
        "data_files": _small_table_of_images(),
        "target": "light",
        "image_size": 20,
        "padding": 1,
    },
    "text_folder": {"data_files": _small_text_folder()},
    "text_lines": {"data_files": _small_texts()},
    "text_table": {"data_files": _small_table_of_texts(), "target": "mood", "text": "review"},
    "tfds_image": {"dataset": "shapes"},
    "tfds_table": {"dataset": "breast_cancer", "data_dir": str(_FILES)},
    "tfds_text": {"dataset": "imdb_reviews"},
}
# Options of csv for every task that a table can have.
_POINTS = _small_points()
TABLES = {
    "binary": {"data_files": _POINTS, "target": "right"},
    "classification": {"data_files": _POINTS, "target": "right", "task": "classification"},
    "multi_label": {"data_files": _POINTS, "target": "right,upper"},
    "regression": {"data_files": _POINTS, "target": "far"},
}
# Options of tasks for few steps, and over the few words of random texts.
TASK_OPTIONS = {
    "rectified_flow": {"steps": 2},
    "word_vectors": {"row_length": 8, "window": 2, "negatives": 3, "subsample": 0.05},
    "cooccurrence": {"window": 2},
}
_PAIR = Field((2,), "float32")
NUM_ROWS = {"train": 70, "validation": 21, "test": 13, "all": 104}

_CPU = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(_CPU, [tf.config.LogicalDeviceConfiguration()] * 2)


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory):
    """Fails where a test wrote beside its folder: another in the same process may meet the file."""
    yield
    names = {path.name for path in tmp_path_factory.getbasetemp().iterdir()} - {".lock"}
    stray = sorted(name for name in names if not re.search(r"(\d|current)$", name))
    assert not stray, f"expected tests to write to their own folders, got {', '.join(stray)}"


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def built_in_data(tmp_path_factory) -> str:
    """A data folder in which the built-in sets are prepared once."""
    return str(tmp_path_factory.mktemp("tensorflow_datasets"))


def fake_rows(pipeline: Pipeline, schema: Schema, seed: int = 0) -> dict[str, Rows]:
    """Random rows of the fields that the schema declares."""
    random = np.random.default_rng(seed)
    target = None if schema.target is None else schema.target_name
    fields = dict(schema.raw) if target is None else {**schema.raw, target: schema.target}
    return {
        split: Rows(
            NUM_ROWS[split],
            fields,
            target,
            table={
                name: _fake_column(random, NUM_ROWS[split], field) for name, field in fields.items()
            },
        )
        for split in pipeline.splits or pipelines.SPLITS
    }


def fake_load(pipeline: Pipeline, data_dir=None, seed: int = 0):
    """Takes the place of pipelines.storage.tfds.load: random rows, or those of the test's files."""
    if pipeline.schema is None and pipeline.read is not None:
        rows, schema = pipeline.read()
        return pipeline, rows, schema
    if pipeline.declare is not None:
        info = builders.find_builder(pipeline.source, None).info
        schema, splits = pipeline.declare(info)
        pipeline = dataclasses.replace(pipeline, schema=schema, splits=splits)
    return pipeline, fake_rows(pipeline, pipeline.schema, seed), pipeline.schema


def _fake_column(random, num_rows: int, field: Field) -> np.ndarray:
    shape = (num_rows, *(size or 24 for size in field.shape))
    if field.dtype == "uint8":
        return random.integers(0, 256, shape, np.uint8)
    if field.dtype == "string":
        words = np.array([b"the", b"film", b"was", b"good", b"bad", "好".encode(), b"", b"\xff"])
        texts = [b" ".join(random.choice(words, random.integers(0, 30))) for _ in range(num_rows)]
        return np.array(texts, object)
    if field.dtype == "int64":
        return random.integers(0, field.ids or 2, shape)
    return random.normal(3.0, 2.0, shape).astype(field.dtype)


@functools.cache
def fake_pipeline(name: str, form: str = "", **options) -> Prepared:
    """The named pipeline over random rows, prepared."""
    pipeline = pipelines.get(name, **OPTIONS.get(name, {}), **options)
    return prepare(*_reordered(fake_load(pipeline)), form=form)


def _reordered(loaded: tuple) -> tuple:
    pipeline, rows, schema = loaded
    return pipeline, schema, rows


def made_pipeline(
    task: str,
    *,
    names: tuple[str, ...] = ("red", "green", "blue"),
    num_rows: int = 60,
    field: Field = _PAIR,
) -> Prepared:
    """A prepared pipeline of pairs of numbers, with targets that a linear model can find."""
    random = np.random.default_rng(0)
    weights = random.normal(size=(2, len(names)))
    names = {"binary": names[:2], "regression": ()}.get(task, names)
    target = {
        "classification": Field((), "int64", ids=len(names)),
        "binary": Field((), "int64", ids=2),
        "multi_label": Field((len(names),), "float32"),
        "regression": Field((), "float32"),
    }[task]
    rows = {}
    for split in ("train", "validation", "test"):
        x = random.normal(0, 2, (num_rows, *field.shape))
        scores = x @ weights
        labels = {
            "classification": scores.argmax(axis=1),
            "binary": (scores[:, 0] > 0).astype(np.int64),
            "multi_label": (scores > 0).astype(np.float32),
            "regression": (1000 + scores[:, 0]).astype(np.float32),
        }[task]
        table = {"x": x.astype(field.dtype), "label": labels}
        rows[split] = Rows(num_rows, {"x": field, "label": target}, "label", table=table)
    outputs = len(names) if task in ("classification", "multi_label") else 1
    schema = Schema({"x": field}, task, target, names, outputs)
    pipeline = Pipeline(
        name="made",
        source="made:1.0.0",
        schema=schema,
        forms={"pair": Form(preprocess=lambda raw: {"x": tf.identity(raw["x"])})},
    )
    statistics = {"mean": np.float32(1000), "std": np.float32(3)}
    state = {"target": statistics} if task == "regression" else {}
    return prepare(pipeline, schema, rows, state=state)


@pytest.fixture
def _fake_data(monkeypatch):
    """Lets runs load random rows in place of stored ones."""
    use_fake_data(monkeypatch)


def use_fake_data(patch) -> None:
    """Data is random, of the declared kind."""
    patch.setattr(tfds, "load", fake_load)


@pytest.fixture
def _unchecked_export(monkeypatch):
    """Runs that are not about the export save the process that reloads it, three seconds each."""
    unchecked_exports(monkeypatch)


def unchecked_exports(patch) -> None:
    """Exports are published without asking them in another process."""
    patch.setattr(compare, "run_in_new_process", lambda exported, arguments: None)
    patch.setattr(compare, "check_equal", lambda expected, received, exact=(): None)


def tiny_settings(model: str, workdir, **changes):
    """Settings of a run that takes seconds: the tiny size, one epoch, small batches."""
    entry = zoo.get(model)
    given = {"epochs": 2, "batch_size": 16, "hparams": dict(entry.tiny), "workdir": str(workdir)}
    given["report_baseline"] = False
    task = changes.get("task") or next(iter(entry.tasks), "")
    given["task_options"] = TASK_OPTIONS.get(task, {})
    if "packaged" in entry.start:  # those weights are of the full size
        given["init_from"] = ("none",)
    if entry.recipe.pipeline in OPTIONS:
        given["pipeline_options"] = OPTIONS[entry.recipe.pipeline]
    return settings_module.resolve(model, given | changes)


def a_report(**changes) -> dict:
    """The smallest report.json that a finished run may have."""
    report = dict.fromkeys(("model", "pipeline", "dataset", "precision"), "x")
    report |= dict.fromkeys(("epochs", "seed", "parameters"), 2)
    report |= {name: {} for name in ("seconds", "validation", "test", "baseline")}
    return report | {"export": "export/mlp/1"} | changes


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
