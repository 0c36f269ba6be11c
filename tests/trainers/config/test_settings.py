"""Flags, flagfiles, their order, and what is refused before keras is imported."""

import dataclasses
import json
import math
import re
import time

import numpy as np
import pytest

import zoo
from tests.conftest import run_python
from trainers.config import flags as recipe_flags
from trainers.config.settings import Settings, resolve
from trainers.errors import UsageError
from zoo.spec import Recipe

REFUSED = {
    "--modle=cifar_cnn": "model",
    "--model=cifarcnn": "cifar_cnn",
    "--model=cifar_cnn --batch_size=0": "at least 1",
    "--model=cifar_cnn --batch_size=ten": "ten",
    "--model=cifar_cnn --epochs=0": "at least 1",
    "--model=cifar_cnn --learning_rate=-1": "more than 0",
    "--model=cifar_cnn --learning_rate=nan": "nan",
    "--model=cifar_cnn --learning_rate=inf": "inf",
    "--model=cifar_cnn --optimizer=adma": "adam",
    "--model=cifar_cnn --schedule=cosin": "cosine",
    "--model=cifar_cnn --precision=float64": "float32",
    "--model=cifar_cnn --kernels=fast": "keras",
    "--model=cifar_cnn --monitor=acuracy": "accuracy",
    "--model=cifar_cnn --keep=first": "last",
    "--model=cifar_cnn --label_smoothing=1": "less than 1",
    "--model=cifar_cnn --hparams=depth=3": "dropout",
    "--model=cifar_cnn --hparams=units": "name=value",
    "--model=cifar_cnn --hparams=units=many": "int",
    "--model=cifar_cnn --pipeline=cifar100": "cifar10",
    "--model=cifar_cnn --pipeline_options=crop=2": "augment",
    "--model=cifar_cnn --dataset=mnist": "tfds_image",
    "--model=cifar_cnn --pipeline=tfds_image": "--dataset",
    "--model=cifar_cnn --replicas=3": "128",
    "--model=cifar_cnn --replicas=-1": "at least 0",
    "--model=cifar_cnn --flagfile=nowhere": "neither a file nor a recipe",
    "--model=cifar_cnn --class_weights=even": "--class_weights=even",
    "--model=cifar_cnn --lr_scale=(=1": "regular expression",
    "--model=cifar_cnn --lr_scale=conv1=-1": "at least 0",
    "--model=cifar_cnn --workdir=gs://bucket/run": "local disk",
    "--model=cifar_cnn --max_minutes=-1": "at least 0",
    "--model=cifar_cnn --init_from=nowhere": "it is not there",
    "--model=cifar_cnn --init_from=nowhere/model.keras": "it is not there",
    "--model=cifar_cnn --init_from=/": "model.save('name.keras'); it is neither",
    "--model=cifar_cnn --init_from=hf://someone/model.keras": "local disk",
    "--model=cifar_cnn stray": "stray",
    "": "--model is missing",
}


def parse(line: str) -> Settings:
    return recipe_flags.parse(["run", *line.split()])


@pytest.mark.parametrize("line", REFUSED)
def test_refusals_say_what_was_expected_in_one_line(line):
    with pytest.raises(UsageError) as caught:
        parse(line)
    assert REFUSED[line] in str(caught.value)


def test_only_files_of_keras_3_are_started_from(tmp_path):
    for name in ("model.h5", "model.weights.h5", "model.keras.zip", "saved_model.pb"):
        (tmp_path / name).touch()
        with pytest.raises(UsageError, match=r"model\.save\('name\.keras'\); it is neither"):
            parse(f"--model=cifar_cnn --init_from={tmp_path / name}")


def test_every_field_is_a_flag_of_its_type(tmp_path):
    (tmp_path / "run.json").touch()
    values = {
        "int": ("7", 7),
        "float": ("0.25", 0.25),
        "bool": ("true", True),
    }
    special = {
        "keep": ("best", "best"),
        "optimizer": ("sgd", "sgd"),
        "schedule": ("step", "step"),
        "precision": ("float32", "float32"),
        "kernels": ("keras", "keras"),
        "monitor": ("accuracy", "accuracy"),
        "pipeline": ("cifar10", "cifar10"),
        "lr_scale": ("conv1=0,dense/kernel=2.5", (("conv1", 0.0), ("dense/kernel", 2.5))),
        "class_weights": ("1,2", (1.0, 2.0)),
        "hparams": ("filters=(4,6,8),units=9", {"filters": (4, 6, 8), "units": 9}),
        "pipeline_options": ("augment=False", {"augment": False}),
        "dataset": ("", ""),
        "data_files": ("", ""),
        "target": ("", ""),
        "data_dir": ("/data", "/data"),
        "workdir": ("here", "here"),
        "init_from": (str(tmp_path), str(tmp_path)),
        "replicas": ("2", 2),
    }
    for cls in (Recipe, Settings):
        for field in dataclasses.fields(cls):
            if field.name in ("recipe", "model"):
                continue
            text, value = special.get(field.name) or values[field.type.__name__]
            settings = parse(f"--model=cifar_cnn --{field.name}={text}")
            owner = settings.recipe if cls is Recipe else settings
            assert getattr(owner, field.name) == value, field.name
            assert field.metadata["help"], field.name


def test_model_recipe_then_flagfiles_then_command_line(tmp_path):
    inner, outer = tmp_path / "inner.flags", tmp_path / "outer.flags"
    inner.write_text("# a comment\n--epochs=5\n--batch_size=32\n--seed=3\n")
    outer.write_text(f"--flagfile={inner}\n\n--batch_size=48\n")
    own = zoo.describe("cifar_cnn").recipe
    for line in (
        f"--model=cifar_cnn --seed=9 --flagfile={outer}",
        f"--flagfile={outer} --seed=9 --model=cifar_cnn",
        f"--seed=9 --flagfile {outer} --model=cifar_cnn",
    ):
        recipe = parse(line).recipe
        assert (recipe.epochs, recipe.batch_size, recipe.seed) == (5, 48, 9)
        assert recipe.learning_rate == own.learning_rate


def test_a_flagfile_that_includes_itself_is_refused(tmp_path):
    a, b = tmp_path / "a.flags", tmp_path / "b.flags"
    a.write_text(f"--flagfile={b}\n")
    b.write_text(f"--flagfile={a}\n")
    with pytest.raises(UsageError, match="includes itself"):
        parse(f"--model=cifar_cnn --flagfile={a}")


@pytest.mark.parametrize("path", sorted(recipe_flags.RECIPES.glob("*.flags")), ids=lambda p: p.stem)
def test_recipes_parse_and_state_what_was_measured(path):
    text = path.read_text(encoding="utf-8")
    line = "" if "\n--model=" in text else "--model=cifar_cnn"
    assert parse(f"{line} --flagfile={path.stem}")
    head = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    for word in ("python -m trainers.run", "accuracy", "runs", "cores"):
        assert word in head, f"the head of {path.name} does not state {word!r}"


def test_python_api_takes_the_same_names():
    settings = resolve("mlp_binary", {"epochs": 3, "hparams": {"hidden": (4,)}})
    assert settings.recipe.epochs == 3
    with pytest.raises(UsageError, match="epochs"):
        resolve("mlp_binary", {"epoch": 3})
    with pytest.raises(UsageError, match="--epochs takes int like 0, received '3'"):
        resolve("mlp_binary", {"epochs": "3"})


def test_numbers_of_numpy_are_numbers():
    settings = resolve("mlp", {"pipeline": "breast_cancer", "learning_rate": np.float32(0.5)})
    assert settings.recipe.learning_rate == 0.5
    assert type(settings.recipe.learning_rate) is float


def test_run_folder_is_named_after_what_is_trained():
    line = "--model=cifar_cnn --pipeline=tfds_image --dataset=svhn/cropped:1.* --seed=4"
    assert str(parse(line).run_dir) == "runs/cifar_cnn-tfds_image-svhn-cropped-1.--s4"
    assert str(parse("--model=mlp_binary").run_dir) == "runs/mlp_binary-breast_cancer-s0"


_PROBE = """
import sys, json, time
started = time.perf_counter()
from trainers import run
from trainers.errors import run_command
sys.argv = ["run", *sys.argv[1:]]
code = 0
try:
    run_command(run.main)
except SystemExit as error:
    code = error.code
loaded = [name for name in ("keras", "tensorflow", "sklearn") if name in sys.modules]
print(json.dumps([code, loaded]))
"""


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("--help", 0),
        ("--list", 0),
        *((line, 2) for line in REFUSED if re.search("batch_size=0|units=many|nowhere/", line)),
    ],
)
def test_help_list_and_refusals_take_no_second_and_import_no_keras(line, code):
    seconds = math.inf
    for _ in range(3):  # the best of three: other processes of a test run share the cores
        started = time.perf_counter()
        done = run_python("-c", _PROBE, *line.split())
        seconds = min(seconds, time.perf_counter() - started)
    assert json.loads(done.stdout.splitlines()[-1]) == [code, []]
    assert seconds < 1.0
    if code:
        assert len(done.stderr.strip().splitlines()) == 1
        assert done.stderr.startswith("error: ")


def test_a_reader_that_leaves_early_is_no_error():
    probe = (
        "import os, sys\n"
        "from trainers import run\n"
        "from trainers.errors import run_command\n"
        "read, write = os.pipe(); os.close(read); os.dup2(write, 1)\n"
        "sys.argv = ['run', '--list']; run_command(run.main)"
    )
    done = run_python("-c", probe)
    assert done.stderr == ""


@pytest.mark.parametrize("command", ["evaluate", "export", "predict", "report", "doctor"])
def test_other_commands_help_and_refuse_at_once(command):
    done = run_python("-X", "importtime", "-m", f"trainers.{command}", "--help")
    assert f"python -m trainers.{command}" in done.stdout
    assert "keras.src" not in done.stderr
    assert "tensorflow.python" not in done.stderr
    done = run_python("-m", f"trainers.{command}", "--workdri=x", check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: Unknown command line flag 'workdri'")


@pytest.mark.parametrize(
    "line",
    [f"--model={name}" for name in zoo.names()]
    + [
        "--model=cifar_cnn --flagfile=shapes --seed=7 --pipeline_options=augment=False",
        "--model=cifar_cnn --pipeline=tfds_image --dataset=a:1.0.0 --data_dir=a,b --l2=0",
        "--model=cifar_cnn --lr_scale=conv1=0,logits=10 --class_weights=1,2.5 --ema=0",
        "--model=cifar_cnn --class_weights=balanced --histograms --noreport_baseline",
        "--model=mlp_binary --hparams=hidden=(128,64),dropout=0.2 --l2=0 --workdir=a/b",
    ],
)
def test_settings_are_written_as_the_flags_that_ask_for_them(line):
    settings = parse(line)
    words = recipe_flags.command_line(settings)
    assert recipe_flags.parse(["run", *words]) == settings
    assert words[0] == line.split()[0]
    if " " not in line:
        assert len(words) == 1  # the model's own recipe needs no other flag
